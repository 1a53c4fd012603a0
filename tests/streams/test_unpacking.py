"""Nothing is unpacked beyond its bound, by any codec, and the memory stays in proportion to the bound."""

import gzip
import resource
import struct
import tracemalloc

import cramjam
import pytest

from streams.unpacking import GZIP, LZ4, SNAPPY, ZSTD, Unreadable, unpacked

CAP_BYTES = 1 << 20
PLAIN = b'{"event_type":"gpu_sample"}' * 500


def xerial(plain: bytes, block_bytes: int = 32_768) -> bytes:
    """Snappy as the Java clients frame it."""
    blocks = [
        bytes(cramjam.snappy.compress_raw(plain[at : at + block_bytes])) for at in range(0, len(plain), block_bytes)
    ]
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(one)) + one for one in blocks)


def packed(codec: int, plain: bytes) -> bytes:
    if codec == GZIP:
        return gzip.compress(plain)
    if codec == SNAPPY:
        return xerial(plain)
    return bytes((cramjam.lz4 if codec == LZ4 else cramjam.zstd).compress(plain))


ALL = pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])


@ALL
def test_what_was_packed_comes_back(codec: int) -> None:
    assert unpacked(codec, memoryview(packed(codec, PLAIN)), CAP_BYTES) == PLAIN


@ALL
@pytest.mark.parametrize("plain_bytes", [0, 1, CAP_BYTES - 1, CAP_BYTES])
def test_the_bound_itself_is_allowed(codec: int, plain_bytes: int) -> None:
    assert unpacked(codec, packed(codec, bytes(plain_bytes)), CAP_BYTES) == bytes(plain_bytes)


@ALL
def test_one_byte_more_is_refused_with_the_reason(codec: int) -> None:
    bomb = packed(codec, bytes(CAP_BYTES + 1))

    with pytest.raises(Unreadable) as refused:
        unpacked(codec, bomb, CAP_BYTES)

    name = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}[codec]
    assert str(refused.value) == (
        f"the batch ({name}, {len(bomb)} bytes) is damaged or unpacks to more than {CAP_BYTES} bytes"
    )


@ALL
def test_a_bomb_costs_no_more_memory_than_the_bound_allows(codec: int) -> None:
    bomb = packed(codec, bytes(200 * CAP_BYTES))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            unpacked(codec, bomb, CAP_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes <= 3 * CAP_BYTES + len(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib <= 32 * 1024


@ALL
@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_damaged_batch_is_refused_and_never_anything_else(codec: int, cut: int) -> None:
    whole = packed(codec, PLAIN)
    for broken in (whole[:-cut], b"\xff" * len(whole), whole[: cut // 2]):
        try:
            plain = unpacked(codec, broken, CAP_BYTES)
        except Unreadable:
            continue
        assert len(plain) <= CAP_BYTES  # a codec without checksum or length can't tell


def test_raw_snappy_and_gzip_of_several_members_are_read_too() -> None:
    assert unpacked(SNAPPY, bytes(cramjam.snappy.compress_raw(PLAIN)), CAP_BYTES) == PLAIN
    assert unpacked(GZIP, gzip.compress(PLAIN) + gzip.compress(PLAIN), CAP_BYTES) == PLAIN * 2


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(Unreadable, match=r"^the batch is compressed by codec 7, which is not known$"):
        unpacked(7, b"", CAP_BYTES)
