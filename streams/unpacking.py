"""Compressed batches, unpacked within a bound: a few kilobytes that unpack to gigabytes are refused on the way."""

import struct
import zlib
from typing import Protocol

import cramjam

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}

XERIAL = b"\x82SNAPPY\x00"  # how the Java clients frame snappy: 16 bytes of header, then blocks with their lengths
XERIAL_HEADER_BYTES = 16
FIRST_GUESS_RATIO = 8
LEAST_GUESS_BYTES = 65_536
GUESS_GROWTH = 4


class _Library(Protocol):
    def decompress_into(self, packed: bytes | memoryview, buffer: bytearray) -> int: ...


class Unreadable(Exception):
    """What a batch holds can't be had. The message says why, in words for an operator."""


def unpacked(codec: int, packed: bytes | memoryview, most_bytes: int) -> bytes:
    """The plain bytes, at most `most_bytes` of them, with memory in proportion. Raises Unreadable."""
    name = CODECS.get(codec)
    if name is None:
        raise Unreadable(f"the batch is compressed by codec {codec}, which is not known")
    try:
        if codec == GZIP:
            plain = _gzip(packed, most_bytes)
        elif codec == SNAPPY:
            plain = _snappy(bytes(packed), most_bytes)
        else:
            plain = _framed(cramjam.lz4 if codec == LZ4 else cramjam.zstd, packed, most_bytes)
    except (zlib.error, cramjam.DecompressionError, struct.error, ValueError) as error:
        raise Unreadable(f"the batch is not sound {name}") from error
    if plain is None:
        raise Unreadable(
            f"the batch ({name}, {len(packed)} bytes) is damaged or unpacks to more than {most_bytes} bytes"
        )
    return plain


def _gzip(packed: bytes | memoryview, most_bytes: int) -> bytes | None:
    """All members of a gzip stream; None when they are too long."""
    parts: list[bytes] = []
    left, rest = most_bytes, bytes(packed)
    while rest:
        member = zlib.decompressobj(wbits=31)
        part = member.decompress(rest, left + 1)
        if len(part) > left:
            return None
        if not member.eof:
            raise ValueError("it is cut short")
        parts.append(part)
        left, rest = left - len(part), member.unused_data
    return b"".join(parts)


def _snappy(packed: bytes, most_bytes: int) -> bytes | None:
    """Raw snappy, or blocks of it as the Java clients write them; each says its length before it is unpacked."""
    parts: list[bytes] = []
    left = most_bytes
    for block in _snappy_blocks(packed):
        left -= int(cramjam.snappy.decompress_raw_len(block))
        if left < 0:
            return None
        parts.append(bytes(cramjam.snappy.decompress_raw(block)))
    return b"".join(parts)


def _snappy_blocks(packed: bytes) -> list[bytes]:
    if not packed.startswith(XERIAL):
        return [packed]
    blocks, at = [], XERIAL_HEADER_BYTES
    while at < len(packed):
        (length,) = struct.unpack_from(">i", packed, at)
        at += 4
        if length < 0 or at + length > len(packed):
            raise ValueError("a block is cut short")
        blocks.append(packed[at : at + length])
        at += length
    return blocks


def _framed(library: _Library, packed: bytes | memoryview, most_bytes: int) -> bytes | None:
    """A frame, into a buffer that grows up to the bound; None when it does not fit there."""
    size = min(max(len(packed) * FIRST_GUESS_RATIO, LEAST_GUESS_BYTES), most_bytes)
    while True:
        buffer = bytearray(size)
        try:
            length = library.decompress_into(packed, buffer)
        except cramjam.DecompressionError:
            if size >= most_bytes:
                return None
            size = min(size * GUESS_GROWTH, most_bytes)
        else:
            return bytes(memoryview(buffer)[:length])
