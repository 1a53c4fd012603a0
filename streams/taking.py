"""What is done with a piece of a log: in its turn it is handed on, and nothing that the log holds is passed over.

A piece that begins too late is read again from where reading stands; one of a stopped partition is left out, and read
again when it goes on; what Kafka no longer holds is booked before what follows it is handed on.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

import structlog
from aiokafka.errors import KafkaError

from streams.client import ASK_AGAIN_S, Client
from streams.gaps import Log, left_out
from streams.handler import Handler, Place
from streams.pieces import Piece
from streams.reading import Reading
from streams.records import Refused, Slice

log = structlog.get_logger(__name__)


class Taking:
    """Hands pieces on, one at a time."""

    def __init__(
        self, client: Client, reading: Reading, handler: Handler, *, clock: Callable[[], datetime], sliced: bool
    ) -> None:
        """`sliced`: the pieces are our own transport's; those of single messages tell no holes of a log."""
        self._client, self._reading, self._handler = client, reading, handler
        self._clock, self._sliced = clock, sliced

    async def hand_on(self, place: Place, piece: Piece) -> bool:
        """Hand a piece on; whether it is handled, now or before."""
        reading = self._reading
        topic, partition = place
        now, expected = self._clock(), reading.next[place]
        if partition in self._handler.stopped:
            return await self._leave_out(place, piece, now)
        if piece.after <= expected:
            return True
        is_due = self._sliced or place in reading.sought
        if piece.first > expected and is_due and not await self._is_next(place, piece.first):
            return False
        reading.sought.discard(place)
        reading.missed.pop(place, None)
        new = piece.since(expected)
        if new.refused is not None:
            log.error("kafka_batch_refused", topic=topic, partition=partition, offset=new.first, reason=new.refused)
            await self._handler.refuse(
                Refused(topic, partition, first=new.first, last=new.after - 1, at=now, reason=new.refused)
            )
        elif len(new.offsets):
            await self._handle(place, new, now)
        if partition in self._handler.stopped:
            self._pause(place)
            return False
        reading.next[place] = piece.after
        if self._sliced:
            self._client.handled(place, piece.after)
        return True

    async def _handle(self, place: Place, piece: Piece, now: datetime) -> None:
        """Hand messages on; where Kafka no longer holds those between two of them, that is booked first."""
        holes = await self._holes(place, piece.offsets)
        whole = _slice(place, piece, now)
        for begin, end in pairwise(sorted({0, *holes, len(piece.offsets)})):
            if begin in holes:
                await self._handler.begin([holes[begin]])
            await self._handler.handle(whole.cut(begin, end))

    async def _leave_out(self, place: Place, piece: Piece, now: datetime) -> bool:
        """Show the handler what it does not take, so that it knows where to go on; it is read again."""
        self._pause(place)
        if len(piece.offsets):
            await self._handler.handle(_slice(place, piece, now))
        return False

    def _pause(self, place: Place) -> None:
        """Fetch no more of a partition, of any topic, and keep in mind that this place has to be read again."""
        self._reading.left.add(place)
        self._client.pause(place[1])

    async def go_on(self) -> None:
        """Go back to the first message that was not handled, where a partition is no longer stopped."""
        left = {partition for _, partition in self._reading.left}
        for partition in sorted(left - set(self._handler.stopped)):
            await self._read_again(partition)

    async def _read_again(self, partition: int) -> None:
        reading = self._reading
        starts = {place: reading.next[place] for place in sorted(reading.left) if place[1] == partition}
        try:
            await self._client.seek(starts)
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka_offsets_not_set", reason=str(error))
            return
        for (topic, _), at in starts.items():
            self._handler.read_from(topic, partition, at)
        if not self._sliced:
            reading.sought |= set(starts)
        reading.left -= set(starts)
        self._client.resume(partition)
        log.info("kafka_partition_resumed", partition=partition)

    async def _is_next(self, place: Place, first: int) -> bool:
        """Whether the log goes on at `first`, which is beyond what was to come; else what lies before is asked for.

        A piece that was on its way when the transport went back begins too late as well. Single messages tell no holes
        of compaction or transactions: what comes as the first one once more, after they were asked for, is the next.
        """
        reading = self._reading
        held = await self._first_held(place)
        if held is None:
            return False
        missed = reading.missed.get(place)
        if first <= held or (not self._sliced and first == missed):
            return True
        if missed is not None and missed < first and not self._sliced:
            return False  # it follows what was asked for, and is read again
        reading.missed[place] = first
        topic, partition = place
        log.warning("kafka_slice_read_again", topic=topic, partition=partition, first=reading.next[place], got=first)
        try:
            await self._client.seek({place: reading.next[place]})
        except (KafkaError, TimeoutError) as error:
            reading.missed.pop(place, None)
            log.warning("kafka_offsets_not_set", reason=str(error))
        return False

    async def _holes(self, place: Place, offsets: Sequence[int]) -> dict[int, Log]:
        """By place in the slice, logs that begin there only: what lay before was gone before it could be read.

        The client goes on at the start of a log when retention has overtaken it, without a word. Offsets that were
        left out by compaction or transactions are no loss.
        """
        jumps = left_out(self._reading.next.get(place), offsets)
        if not jumps:
            return {}
        first = await self._first_held(place)
        if first is None:
            return {}
        topic, partition = place
        return {
            at: Log(topic=topic, partition=partition, first_offset=min(first, offsets[at]), end_offset=offsets[-1] + 1)
            for at, expected in jumps
            if expected < first
        }

    async def _first_held(self, place: Place) -> int | None:
        """The first offset that Kafka holds; None when a rebalance takes the partition away as we ask."""
        while self._reading.goes_on:
            try:
                return (await self._client.firsts([place]))[place]
            except (KafkaError, TimeoutError) as error:
                log.warning("kafka_offsets_unknown", reason=str(error), retry_in_s=ASK_AGAIN_S)
                await asyncio.sleep(ASK_AGAIN_S)
        return None


def _slice(place: Place, piece: Piece, now: datetime) -> Slice:
    return Slice(*place, piece.offsets, _arrived_ms(piece.stamped_ms, now), piece.values, piece.keys)


def _arrived_ms(stamped_ms: Sequence[int], now: datetime) -> Sequence[int]:
    """A message arrived when Kafka dated it, and not in the future: read again, or late, it is judged the same."""
    now_ms = int(now.timestamp() * 1000)
    if min(stamped_ms) > 0 and max(stamped_ms) <= now_ms:
        return stamped_ms
    return [min(ms, now_ms) if ms > 0 else now_ms for ms in stamped_ms]
