"""What aiokafka has fetched, taken in pieces of whole columns: no `ConsumerRecord` is made for a message.

It works on the insides of aiokafka's `Fetcher`, which is why it is used with the exact version that it was tested with.
Requests, positions, offset resets, leaders and high-water marks stay aiokafka's.
"""

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from types import FunctionType
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import ConsumerStoppedError
from msgspec.structs import replace

from streams.batches import BadChecksum, Batches, Cursor
from streams.pieces import Limits, Piece, joined

BUSY_WAIT_MS = (
    25  # of a request that finds nothing, while there is something to read: the client has one under way for each
)
IDLE_WAIT_MS = 500  # broker, and one that waits for quiet topics holds up those that have more
CHECKSUM_TRIES = 3  # a batch is fetched so often before its checksum is believed to be wrong on the disk too

Pieces = dict[TopicPartition, list[Piece]]

_fetch = aiokafka_fetcher.Fetcher._proc_fetch_request


class RawFetcher(aiokafka_fetcher.Fetcher):  # type: ignore[misc]  # it ships no types
    """aiokafka's fetcher, but for one thing: an answer of the broker stays bytes until it is read."""

    _proc_fetch_request = FunctionType(
        _fetch.__code__, {**vars(aiokafka_fetcher), "MemoryRecords": Batches}, closure=_fetch.__closure__
    )
    _proc_fetch_request.__kwdefaults__ = _fetch.__kwdefaults__


class Reader:
    """Takes what a consumer has fetched. Lives on the loop of the consumer."""

    def __init__(self, fetcher: Any, limits: Limits, generation: Callable[[], int]) -> None:
        """Takes the fetcher over, which must not have fetched anything yet."""
        fetcher.__class__ = RawFetcher
        self._fetcher, self._limits, self._generation = fetcher, limits, generation
        self._bad: dict[TopicPartition, tuple[int, int]] = {}  # offset, and how often its checksum was wrong
        self._error: BaseException | None = None  # to be raised once what was taken before it has been handed over

    async def read(self, partitions: Collection[TopicPartition], timeout_s: float) -> Pieces:
        """What has been fetched of these partitions; waits until a slice is full or its time is over.

        Empty when nothing came within the timeout. Raises as aiokafka does.
        """
        subscriptions = self._fetcher._subscriptions
        if subscriptions.reassignment_in_progress:
            await subscriptions.wait_for_assignment()
        self._raise_kept()
        generation = self._generation()
        pieces: Pieces = {}
        ends_s = monotonic() + timeout_s
        while self._generation() == generation:  # of another one is read from where that one begins
            empty = not pieces
            full = self._drain(partitions, pieces, generation)
            if empty and pieces:
                ends_s = monotonic() + self._limits.slice_within_s
            left_s = ends_s - monotonic()
            if full or left_s <= 0 or subscriptions.reassignment_in_progress or self._error is not None:
                break
            if not await self._more(left_s):
                break
        self._fetcher._fetch_max_wait_ms = BUSY_WAIT_MS if pieces else IDLE_WAIT_MS
        return {tp: joined(taken) for tp, taken in pieces.items()}

    def _raise_kept(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self._fetcher._closed:
            raise ConsumerStoppedError

    async def _more(self, wait_s: float) -> bool:
        """Wait until something was fetched; False when nothing was, or nothing ever will be."""
        waiter = self._fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=wait_s)
        if not done:
            waiter.cancel()
            return False
        if waiter.exception() is not None:  # of the group: not allowed to read, for one
            self._error = waiter.exception()
            return False
        return not self._fetcher._closed

    def _drain(self, partitions: Collection[TopicPartition], pieces: Pieces, generation: int) -> bool:
        """Take what is there; whether that is enough for a slice."""
        full = False
        for tp in list(self._fetcher._records):
            if tp not in partitions:
                if not self._fetcher._subscriptions.is_assigned(tp):
                    del self._fetcher._records[tp]
                continue
            result = self._fetcher._records[tp]
            if isinstance(result, aiokafka_fetcher.FetchResult):
                full |= self._take(tp, result, pieces, generation)
            elif not pieces and self._error is None:
                self._forget(tp)
                result.check_raise()
            else:
                return True  # what was taken is handed over first
        held = [piece for taken in pieces.values() for piece in taken]
        return (
            full
            or sum(len(piece.offsets) for piece in held) >= self._limits.enough
            or sum(piece.size_bytes for piece in held) >= self._limits.slice_bytes
        )

    def _take(self, tp: TopicPartition, result: Any, pieces: Pieces, generation: int) -> bool:
        records = result._partition_records
        if not isinstance(records, Cursor):
            records = result._partition_records = self._cursor(records)
        if not result.check_assignment(tp):
            self._forget(tp)
            return False
        taken = pieces.setdefault(tp, [])
        self._take_pieces(tp, result, records, taken, generation)
        if not taken:
            del pieces[tp]
        return 0 in self._limits.left(taken)

    def _take_pieces(
        self, tp: TopicPartition, result: Any, cursor: Cursor, taken: list[Piece], generation: int
    ) -> None:
        """Add pieces of what was fetched, up to the limits, both of which are of what it is once it is unpacked."""
        while 0 not in (left := self._limits.left(taken)) and not cursor.spent:
            try:
                piece = cursor.take(*left, trusted=self._is_trusted(tp, cursor.next_fetch_offset))
            except BadChecksum:
                self._count_bad(tp, cursor.next_fetch_offset)
                result._update_position()
                self._forget(tp)  # it is fetched again
                return
            if piece is None:
                break
            taken.append(replace(piece, generation=generation))
        result._update_position()
        if cursor.spent:
            self._forget(tp)

    def _cursor(self, records: Any) -> Cursor:
        return Cursor(
            records._records,
            records.next_fetch_offset,
            aborted=records._aborted_transactions,
            committed_only=records._isolation_level == aiokafka_fetcher.READ_COMMITTED,
            check_crcs=records._check_crcs,
            most_bytes=self._limits.batch_bytes,
        )

    def _is_trusted(self, tp: TopicPartition, offset: int) -> bool:
        return self._bad.get(tp, (offset, 0)) != (offset, CHECKSUM_TRIES - 1)

    def _count_bad(self, tp: TopicPartition, offset: int) -> None:
        before, tries = self._bad.get(tp, (offset, 0))
        self._bad[tp] = (offset, tries + 1 if before == offset else 1)

    def _forget(self, tp: TopicPartition) -> None:
        """Let aiokafka fetch this partition again."""
        self._fetcher._records.pop(tp, None)
        self._fetcher._notify(self._fetcher._wait_consume_future)
