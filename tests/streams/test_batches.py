"""Batches of a log as columns: the same messages as aiokafka reads, and what can't be had is told with its range."""

import struct
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.batches import BadChecksum, Batches, Cursor
from streams.pieces import Limits, Piece, joined

T0_MS = 1_780_000_000_000
CODECS = [0, 1, 2, 3, 4]


def sealed(raw: bytes) -> bytes:
    """With the checksum of what it holds."""
    return raw[:17] + struct.pack(">I", crc32c(raw[21:])) + raw[21:]


def batch(
    base: int, values: Iterable[bytes | None], *, codec: int = 0, more: int = 0, producer: int = -1, flags: int = 0
) -> bytes:
    """A batch from offset `base`; `more`: offsets at its end that compaction has emptied."""
    builder = DefaultRecordBatchBuilder(2, codec, flags & 1, producer, 0, 0, 1 << 24)
    for n, value in enumerate(values):
        builder.append(n, T0_MS + base + n, bytes([97 + n % 26]) if n != 8 else None, value, [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    struct.pack_into(">i", raw, 23, struct.unpack_from(">i", raw, 23)[0] + more)
    return sealed(bytes(raw))


def values(base: int, n: int) -> list[bytes | None]:
    return [f"v{base + i}".encode() for i in range(n)]


def control(base: int, producer: int, *, commit: bool) -> bytes:
    """The marker that ends a transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1024)
    builder.append(0, T0_MS, struct.pack(">HH", 0, int(commit)), b"", [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    raw[22] |= 0x20
    return sealed(bytes(raw))


def read(cursor: Cursor, most: int = 1000) -> list[Piece]:
    pieces = []
    while (piece := cursor.take(most)) is not None:
        pieces.append(piece)
    assert cursor.spent
    return pieces


def rows(pieces: Iterable[Piece]) -> list[tuple[int, int, bytes, bytes | None]]:
    return [row for one in pieces for row in zip(one.offsets, one.stamped_ms, one.values, one.keys, strict=True)]


def as_aiokafka_reads(
    raw: bytes, position: int, aborted: list[tuple[int, int]] | None = None
) -> list[tuple[int, int, bytes, bytes | None]]:
    place = TopicPartition("gpu.samples", 0)
    isolation = READ_UNCOMMITTED if aborted is None else READ_COMMITTED
    records = PartitionRecords(place, MemoryRecords(raw), aborted, position, None, None, True, isolation)
    return [(one.offset, one.timestamp, one.value or b"", one.key) for one in records]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("most", [1, 3, 7, 1000])
@pytest.mark.parametrize("position", [10, 13, 15])
def test_the_same_messages_as_aiokafka_in_pieces_that_follow_one_another(codec: int, most: int, position: int) -> None:
    raw = batch(10, values(10, 6), codec=codec) + batch(16, values(16, 9), codec=codec, more=2)

    pieces = read(Cursor(Batches(raw), position), most)

    assert rows(pieces) == as_aiokafka_reads(raw, position)
    assert [one.first for one in pieces] == [position, *(one.after for one in pieces[:-1])]
    assert pieces[-1].after == 27
    assert all(len(one.offsets) <= most for one in pieces)


def test_a_cut_batch_at_the_end_is_left_for_the_next_fetch() -> None:
    raw = batch(0, values(0, 3)) + batch(3, values(3, 3))[:-5]

    assert [(one.offsets, one.after) for one in read(Cursor(Batches(raw), 0))] == [([0, 1, 2], 3)]


def test_a_batch_that_compaction_emptied_and_a_control_batch_move_the_position_alone() -> None:
    cursor = Cursor(Batches(batch(5, [], more=4) + control(9, 7, commit=True)), 5)

    assert read(cursor) == [Piece(first=5, after=10, offsets=[], stamped_ms=[], values=[], keys=[])]


def test_aborted_transactions_are_left_out_where_only_committed_messages_are_wanted() -> None:
    raw = (
        batch(0, values(0, 2), producer=7, flags=1)
        + control(2, 7, commit=False)
        + batch(3, values(3, 2), producer=7, flags=1)
        + control(5, 7, commit=True)
    )
    aborted = [(7, 0)]

    assert rows(read(Cursor(Batches(raw), 0, aborted=aborted, committed_only=True))) == as_aiokafka_reads(
        raw, 0, aborted
    )
    assert [row[0] for row in rows(read(Cursor(Batches(raw), 0, aborted=aborted)))] == [0, 1, 3, 4]


def test_a_message_without_a_value_is_empty() -> None:
    assert [one.values for one in read(Cursor(Batches(batch(0, [b"a", None, b""])), 0))] == [[b"a", b"", b""]]


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_bomb_is_one_refused_piece_and_what_is_around_it_is_read(codec: int) -> None:
    bomb = batch(2, [bytes(300_000)] * 5, codec=codec)
    raw = batch(0, values(0, 2), codec=codec) + bomb + batch(7, values(7, 2), codec=codec)

    before, refused, behind = read(Cursor(Batches(raw), 0, most_bytes=1 << 20))

    assert (before.offsets, behind.offsets) == ([0, 1], [7, 8])
    assert (refused.first, refused.after, refused.offsets) == (2, 7, ())
    assert "unpacks to more than 1048576 bytes" in str(refused.refused)


def test_messages_that_cannot_be_told_apart_are_refused_from_there_on() -> None:
    raw = bytearray(batch(0, values(0, 3)))
    raw[-6] = 0x7F  # a length that leads beyond the end
    sound = batch(3, values(3, 1))

    pieces = read(Cursor(Batches(sealed(bytes(raw)) + sound), 0))

    told = [(one.first, one.after, one.refused is None) for one in pieces]
    assert told == [(0, 2, True), (2, 3, False), (3, 4, True)]
    assert pieces[1].refused == "the batch is damaged: its messages can't be told apart"


@pytest.mark.parametrize("length", [0, 5, 20, 40])
def test_a_batch_shorter_than_its_header_is_refused(length: int) -> None:
    stump = struct.pack(">qi", 4, length) + bytes([2] * length)

    (piece,) = read(Cursor(Batches(stump), 4))

    assert (piece.first, piece.after) == (4, 5)
    assert piece.refused == "the batch is damaged: it is shorter than its header"


def test_a_wrong_checksum_is_raised_with_the_position_unchanged_and_refused_when_it_stays() -> None:
    raw = bytearray(batch(0, values(0, 3)))
    raw[-1] ^= 1
    cursor = Cursor(Batches(bytes(raw)), 0)

    with pytest.raises(BadChecksum):
        cursor.take(10)
    assert cursor.next_fetch_offset == 0
    piece = cursor.take(10, trusted=False)

    assert piece is not None
    assert (piece.after, piece.refused) == (3, "the batch is damaged: its checksum is wrong each time it is read")


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)])
def test_the_formats_of_old_brokers_are_read_and_bounded_too(magic: int, codec: int) -> None:
    def old(value: bytes) -> bytes:
        builder = LegacyRecordBatchBuilder(magic, codec, 1 << 24)
        builder.append(0, T0_MS, b"k", value)
        return bytes(builder.build())

    plain = read(Cursor(Batches(old(b"v")), 0, most_bytes=1000))
    assert [(one.offsets, one.values, one.after) for one in plain] == [([0], [b"v"], 1)]
    if codec:
        (bomb,) = read(Cursor(Batches(old(bytes(5000))), 0, most_bytes=1000))
        assert (bomb.first, bomb.after, "more than 1000 bytes" in str(bomb.refused)) == (0, 1, True)


def test_neighbours_become_one_and_a_refused_one_stays_by_itself() -> None:
    one, two, bad, three = (
        Piece(
            first=0, after=2, offsets=[0, 1], stamped_ms=[5, 6], values=[b"a", b"b"], keys=[b"k", None], generation=3
        ),
        Piece(first=2, after=5, offsets=[3], stamped_ms=[7], values=[b"c"], keys=[b"l"], generation=3),
        Piece(first=5, after=9, refused="no", generation=3),
        Piece(first=9, after=10, offsets=[9], stamped_ms=[8], values=[b"d"], generation=3),
    )

    assert joined([one, two, bad, three]) == [
        Piece(
            first=0,
            after=5,
            offsets=[0, 1, 3],
            stamped_ms=[5, 6, 7],
            values=[b"a", b"b", b"c"],
            keys=[b"k", None, b"l"],
            generation=3,
        ),
        bad,
        three,
    ]


def test_the_rest_of_a_piece_begins_at_the_offset_asked_for() -> None:
    piece = Piece(
        first=0, after=5, offsets=[0, 1, 3], stamped_ms=[5, 6, 7], values=[b"a", b"b", b"c"], keys=[b"k", None, b"l"]
    )

    assert piece.since(2) == Piece(first=2, after=5, offsets=[3], stamped_ms=[7], values=[b"c"], keys=[b"l"])


@pytest.mark.parametrize("codec", CODECS)
def test_a_piece_ends_where_its_values_have_so_many_bytes_once_they_are_unpacked(codec: int) -> None:
    large = [bytes([65 + n % 26]) * 15_000 for n in range(300)]
    raw = batch(0, large[:200], codec=codec) + batch(200, large[200:], codec=codec)
    cursor = Cursor(Batches(raw), 0)

    pieces = []
    while (piece := cursor.take(5_000, 150_000)) is not None:
        pieces.append(piece)

    assert [value for one in pieces for value in one.values] == large
    assert [one.first for one in pieces] == [0, *(one.after for one in pieces[:-1])]
    assert max(one.size_bytes for one in pieces) <= 165_000  # one message over, at most
    assert len(pieces) <= 31


def test_a_message_larger_than_a_piece_may_be_is_a_piece_of_its_own() -> None:
    cursor = Cursor(Batches(batch(0, [b"x" * 50_000, b"y" * 50_000, b"z"])), 0)

    assert [list(one.offsets) for one in (cursor.take(10, 1_000), cursor.take(10, 1_000), cursor.take(10, 1_000))] == [
        [0],
        [1],
        [2],
    ]


def test_what_is_left_of_a_slice_is_counted_in_messages_and_in_bytes_of_their_values() -> None:
    limits = Limits(slice_events=5, slice_bytes=100)
    few, large = (
        Piece(first=0, after=2, offsets=[0, 1], stamped_ms=[0, 0], values=[b"a" * 10, b"b" * 20]),
        Piece(first=2, after=3, offsets=[2], stamped_ms=[0], values=[b"c" * 90]),
    )

    assert [limits.left([]), limits.left([few]), limits.left([few, large])] == [(5, 100), (3, 70), (2, 0)]
