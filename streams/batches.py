"""Record batches of a Kafka log, read into columns: no object for each message, nothing unpacked beyond a bound.

What aiokafka's own reading keeps to holds here too: control batches are passed over, those of aborted transactions
where only committed ones are wanted, holes left by compaction are no loss, and messages before the position, which
a batch may hold, are left out.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from streams.pieces import MAX_UNPACKED_BYTES, Piece
from streams.unpacking import Unreadable, unpacked

ROW, COLUMNS = attrgetter("offset", "timestamp", "value", "key"), 4
FRAME = struct.Struct(">qi")  # base offset, length of what follows
MAGIC_AT, NEWEST = 16, 2
ATTRIBUTES_AT, HEADER_BYTES = 21, 61  # of a batch in the newest format
LEAST_OLD_BYTES = 26  # of a message in the formats before it
LENGTH = struct.Struct(">i")
CODEC_MASK = 0x07
STRIDE = 500  # messages that are read at a time, before their bytes are counted


class BadChecksum(Exception):
    """A batch is not what the broker wrote."""


class Batches:
    """The batches of one answer to a fetch, as bytes. It stands where aiokafka has its `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        """`raw`: whole batches, and perhaps the beginning of one more."""
        self._raw, self._at = raw, 0

    def size_in_bytes(self) -> int:
        """Of all batches, the cut one included."""
        return len(self._raw)

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return self.peek() is not None

    def peek(self) -> memoryview | None:
        """The next whole batch."""
        if len(self._raw) - self._at < FRAME.size:
            return None
        _, length = FRAME.unpack_from(self._raw, self._at)
        end = self._at + FRAME.size + length
        if length < 0 or end > len(self._raw):
            return None
        return memoryview(self._raw)[self._at : end]

    def skip(self) -> None:
        """Go on to the batch after the next."""
        batch = self.peek()
        self._at += len(batch) if batch is not None else 0


class Cursor:
    """Reads the batches of one fetch, a piece at a time."""

    def __init__(
        self,
        batches: Batches,
        position: int,
        *,
        aborted: Sequence[tuple[int, int]] | None = None,
        committed_only: bool = False,
        check_crcs: bool = True,
        most_bytes: int = MAX_UNPACKED_BYTES,
    ) -> None:
        """`aborted`: producer id and first offset of each aborted transaction. `most_bytes`: of one batch, unpacked."""
        self.next_fetch_offset = position  # named so by aiokafka, which asks for it
        self._batches = batches
        self._aborted = sorted(aborted or (), key=lambda one: one[1])
        self._aborted_producers: set[int] = set()
        self._committed_only, self._check_crcs, self._most_bytes = committed_only, check_crcs, most_bytes
        self._records: Iterator[Any] | None = None  # of the batch that is being read
        self._batch_after = position
        self._spent = False
        self._fault: str | None = None  # of the batch that comes next
        self._mean_bytes = float(MAX_UNPACKED_BYTES)  # of a message, by those read last: at first, one is tried

    @property
    def spent(self) -> bool:
        """Whether all was read."""
        return self._spent

    def take(self, most: int, most_bytes: int = MAX_UNPACKED_BYTES, *, trusted: bool = True) -> Piece | None:
        """The next `most` messages, fewer at the end or where they have `most_bytes`; None when nothing is left.

        Raises BadChecksum, with the position unchanged; unless `trusted`: then such a batch is refused.
        """
        first = self.next_fetch_offset
        rows: list[Any] = []
        left_bytes = most_bytes
        try:
            while (
                self._fault is None
                and len(rows) < most * COLUMNS
                and left_bytes > 0
                and (self._records is not None or self._open(trusted))
            ):
                left_bytes -= self._read(rows, most, left_bytes)
        except Unreadable as fault:
            self._fault = str(fault)
        except BadChecksum:
            if not rows:
                raise
        if self._fault is not None and not rows:
            return self._refuse(first)
        self._spent = self._records is None and self._batches.peek() is None
        if self.next_fetch_offset == first:
            return None
        values = rows[2::COLUMNS]
        return Piece(
            first=first,
            after=self.next_fetch_offset,
            offsets=rows[0::COLUMNS],
            stamped_ms=rows[1::COLUMNS],
            values=values if None not in values else [value or b"" for value in values],
            keys=rows[3::COLUMNS],
        )

    def _read(self, rows: list[Any], most: int, left_bytes: int) -> int:
        """Add rows of the open batch, their columns in turn: no row is kept for the collector to visit.

        Returns the bytes of their values: no more than are left, unless messages grow all at once.
        """
        wanted = min(most - len(rows) // COLUMNS, int(left_bytes / self._mean_bytes) + 1, STRIDE)
        found: list[Any] = []
        damage: Exception | None = None
        try:
            found.extend(chain.from_iterable(map(ROW, islice(self._records or (), wanted))))
        except (KafkaError, ValueError, OverflowError) as error:
            damage = error  # what came before it is kept
        ended = len(found) < wanted * COLUMNS
        read_bytes = 0
        if found:
            read_bytes = sum(map(len, filter(None, found[2::COLUMNS])))
            self._mean_bytes = max(read_bytes * COLUMNS / len(found), 1.0)
            after = found[-COLUMNS] + 1
            if found[0] < self.next_fetch_offset:
                del found[: bisect_left(found[::COLUMNS], self.next_fetch_offset) * COLUMNS]
            rows += found
            self.next_fetch_offset = max(self.next_fetch_offset, after)
        if damage is not None:
            raise Unreadable("the batch is damaged: its messages can't be told apart") from damage
        if ended:
            self._close()
        return read_bytes

    def _open(self, trusted: bool) -> bool:
        """Begin the next batch that holds messages; False when there is none."""
        while (raw := self._batches.peek()) is not None:
            self._batch_after = FRAME.unpack_from(raw)[0] + 1
            if len(raw) < LEAST_OLD_BYTES or (raw[MAGIC_AT] >= NEWEST and len(raw) < HEADER_BYTES):
                raise Unreadable("the batch is damaged: it is shorter than its header")
            opened = self._opened_old(raw) if raw[MAGIC_AT] < NEWEST else self._opened(raw, trusted)
            if opened is not None:
                self._records = chain(opened)  # aiokafka's batches may be asked for their iterator once
                return True
            self._close()
        return False

    def _close(self) -> None:
        """Leave the batch behind, with the end that it may have lost to compaction."""
        self._batches.skip()
        self._records = None
        self.next_fetch_offset = max(self.next_fetch_offset, self._batch_after)

    def _refuse(self, first: int) -> Piece:
        reason, self._fault = self._fault, None
        self._close()
        self._spent = self._batches.peek() is None
        return Piece(first=first, after=self.next_fetch_offset, refused=reason)

    def _opened(self, raw: memoryview, trusted: bool) -> Any:
        """The messages of a batch; None when it holds none for us."""
        self._batch_after += LENGTH.unpack_from(raw, ATTRIBUTES_AT + 2)[0]  # the offset of its last, less the first's
        batch = DefaultRecordBatch(raw)
        if self._check_crcs and not batch.validate_crc():
            if trusted:
                raise BadChecksum
            raise Unreadable("the batch is damaged: its checksum is wrong each time it is read")
        if self._committed_only and batch.producer_id is not None and self._is_aborted(batch):
            return None
        if batch.is_control_batch:
            return None
        codec = batch.compression_type
        if not codec:
            return batch
        plain = unpacked(codec, raw[HEADER_BYTES:], self._most_bytes)
        attributes = (batch.attributes & ~CODEC_MASK).to_bytes(2, "big")
        return DefaultRecordBatch(
            b"".join((raw[:ATTRIBUTES_AT], attributes, raw[ATTRIBUTES_AT + 2 : HEADER_BYTES], plain))
        )

    def _is_aborted(self, batch: Any) -> bool:
        while self._aborted and self._aborted[0][1] <= batch.base_offset:
            self._aborted_producers.add(self._aborted.pop(0)[0])
        if batch.is_control_batch and ControlRecord.parse(next(iter(batch)).key) == ABORT_MARKER:
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)

    def _opened_old(self, raw: memoryview) -> Any:
        """The message, or the compressed set of them, in the formats that brokers before 0.11 wrote."""
        magic, attributes = raw[MAGIC_AT], raw[MAGIC_AT + 1]
        batch = LegacyRecordBatch(raw, magic)
        if self._check_crcs and not batch.validate_crc():
            raise Unreadable("the batch is damaged: its checksum is wrong")
        if attributes & CODEC_MASK:
            unpacked(attributes & CODEC_MASK, _old_value(raw), self._most_bytes)  # aiokafka does it again, unbounded
        return batch


def _old_value(raw: memoryview) -> memoryview:
    """The value of a message in an old format. Raises Unreadable."""
    at = MAGIC_AT + 2 + 8 * raw[MAGIC_AT]  # the second of these formats has a timestamp here
    try:
        (key_bytes,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size + max(key_bytes, 0)
        (value_bytes,) = LENGTH.unpack_from(raw, at)
    except struct.error as error:
        raise Unreadable("the batch is damaged: it is cut short") from error
    return raw[at + LENGTH.size : at + LENGTH.size + max(value_bytes, 0)]
