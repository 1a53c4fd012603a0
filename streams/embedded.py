"""The embedded runner: what HTTP took in, or the demo made, from the store's inbox through the pipeline. No Kafka.

An accepted message is on disk before its sender hears so, and leaves the inbox only when a snapshot holds it: a process
that is killed reads it again. The inbox has limits: when too much waits unread, senders are told to come again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from store.errors import StoreUnavailable
from store.failpoints import Point, reach
from store.store import Store
from streams.arrivals import read_head
from streams.inbox_room import InboxRoom
from streams.intake import IntakeDown, IntakeFull
from streams.keeper import Keeper
from streams.records import Record

log = structlog.get_logger()

PARTITION = 0
BATCH = 2_000
BATCH_BYTES = 16 * 1024**2
PRUNE_EVERY = 10_000  # messages
PRUNE_EVERY_BYTES = 64 * 1024**2
MOST_REJECTS = 100_000
MOST_REJECT_BYTES = 256 * 1024**2
RETRY_AFTER_S = 5
STOP_S = 5.0  # so long a stop waits for the store; what is not written is read again by the next start


class Embedded:
    """Reads the inbox in order and feeds the one partition that there is."""

    def __init__(
        self, store: Store, keeper: Keeper, clock: Callable[[], datetime], room: InboxRoom | None = None
    ) -> None:
        """One process, one partition."""
        self.store, self.keeper, self.clock = store, keeper, clock
        self.room = room or InboxRoom()
        self.arrived = asyncio.Event()
        self._next = 0
        self._pruned = 0
        self._unpruned_bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def append(self, values: Sequence[bytes], topic: str | None = None) -> None:
        """Write messages down, all or none, durably when it returns. For any thread. Raises IntakeFull, IntakeDown."""
        size_bytes = sum(map(len, values))
        try:
            self.room.take(len(values), size_bytes)
        except IntakeFull:
            self.keeper.pressure.inbox(full=True)
            raise
        self.keeper.pressure.inbox(full=False)
        try:
            self.store.inbox_append_all([(topic or read_head(value).topic, value) for value in values], self.clock())
        except StoreUnavailable as error:
            self.room.free(len(values), size_bytes)
            log.warning("intake_refused", reason=str(error), remedy=error.trouble.remedy)
            raise IntakeDown(
                "the store can't be used just now; nothing was kept, send it again", RETRY_AFTER_S
            ) from error
        reach(Point.INBOX_WRITTEN)
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile; the next start reads it
                loop.call_soon_threadsafe(self.arrived.set)

    async def run(self, stop: asyncio.Event, tick_s: float = 1.0) -> None:
        """Until `stop`: read, observe, commit; and let time pass where nothing comes."""
        self._loop = asyncio.get_running_loop()
        working = asyncio.ensure_future(self._work(stop, tick_s))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            _, unfinished = await asyncio.wait([working], timeout=STOP_S)
            for task in unfinished:  # it waits for the store
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            if not working.cancelled():
                working.result()
        finally:
            stopping.cancel()
            self._loop = None
        await self.keeper.revoked({PARTITION})

    async def _work(self, stop: asyncio.Event, tick_s: float) -> None:
        offsets = await self.keeper.assigned({PARTITION})
        self._next = max(offsets.values(), default=0)
        await self._measure()
        while not stop.is_set():
            if await self.drain() == 0:
                await self.keeper.tick()
                self.arrived.clear()
                waits = [asyncio.ensure_future(self.arrived.wait()), asyncio.ensure_future(stop.wait())]
                await asyncio.wait(waits, timeout=tick_s, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        await self.drain()

    async def drain(self) -> int:
        """Take everything that is in the inbox now; return how many messages that were."""
        taken = 0
        while PARTITION not in self.keeper.stopped:
            at_change = self.room.changes
            try:
                rows = await asyncio.to_thread(self.store.inbox_read, self._next - 1, BATCH, BATCH_BYTES)
            except StoreUnavailable as error:
                self.keeper.pressure.away(error, "read")
                return taken
            self.keeper.pressure.back("read")
            if not rows:
                self.room.found(0, 0, at_change)
                return taken
            await self.keeper.handle(
                [Record(row.topic, PARTITION, row.offset, row.arrived_at, row.value) for row in rows]
            )
            if PARTITION in self.keeper.stopped:  # the rest of it is read again when it goes on
                self._next = max(self.keeper.next_offsets(PARTITION).values(), default=self._next)
                await self._measure()
                break
            self._next = rows[-1].offset + 1
            taken += len(rows)
            size_bytes = sum(len(row.value) for row in rows)
            self.room.free(len(rows), size_bytes)
            self._unpruned_bytes += size_bytes
            if self._next - self._pruned >= PRUNE_EVERY or self._unpruned_bytes >= PRUNE_EVERY_BYTES:
                await self._prune()
        return taken

    async def _prune(self) -> None:
        """Let go of what a snapshot holds, and of the oldest rejects beyond the limits."""
        await self.keeper.flush()
        try:
            await asyncio.to_thread(self.store.inbox_prune, self._next)
            forgotten = await asyncio.to_thread(self.store.bound_rejects, MOST_REJECTS, MOST_REJECT_BYTES)
        except StoreUnavailable as error:
            self.keeper.pressure.away(error, "prune")
            return
        self.keeper.pressure.back("prune")
        if forgotten:
            log.warning("rejects_forgotten", rejects=forgotten, most=MOST_REJECTS, most_bytes=MOST_REJECT_BYTES)
        self._pruned, self._unpruned_bytes = self._next, 0

    async def _measure(self) -> None:
        at_change = self.room.changes
        try:
            messages, size_bytes = await asyncio.to_thread(self.store.inbox_size, self._next)
        except StoreUnavailable as error:
            self.keeper.pressure.away(error, "read")
        else:
            self.room.found(messages, size_bytes, at_change)
