"""The embedded runner: what HTTP took in, or the demo made, from the store's inbox through the pipeline. No Kafka.

An accepted message is on disk before its sender hears so, and leaves the inbox only when a snapshot holds it: a process
that is killed reads it again.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from store.errors import StoreUnavailable
from store.failpoints import Point, reach
from store.store import Store
from streams.arrivals import read_head
from streams.keeper import Keeper
from streams.records import Record

log = structlog.get_logger()

PARTITION = 0
BATCH = 2_000
PRUNE_EVERY = 10_000  # messages


class Embedded:
    """Reads the inbox in order and feeds the one partition that there is."""

    def __init__(self, store: Store, keeper: Keeper, clock: Callable[[], datetime]) -> None:
        """One process, one partition."""
        self.store, self.keeper, self.clock = store, keeper, clock
        self.arrived = asyncio.Event()
        self._next = 0
        self._pruned = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def append(self, values: Sequence[bytes]) -> None:
        """Write messages down, all or none, durably when it returns. For any thread. Raises StoreUnavailable."""
        self.store.inbox_append_all([(read_head(value).topic, value) for value in values], self.clock())
        reach(Point.INBOX_WRITTEN)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.arrived.set)

    async def run(self, stop: asyncio.Event, tick_s: float = 1.0) -> None:
        """Until `stop`: read, observe, commit; and let time pass where nothing comes."""
        self._loop = asyncio.get_running_loop()
        offsets = await self.keeper.assigned({PARTITION})
        self._next = max(offsets.values(), default=0)
        while not stop.is_set():
            if await self.drain() == 0:
                await self.keeper.tick()
                self.arrived.clear()
                waits = [asyncio.ensure_future(self.arrived.wait()), asyncio.ensure_future(stop.wait())]
                await asyncio.wait(waits, timeout=tick_s, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        self._loop = None
        await self.drain()
        await self.keeper.revoked({PARTITION})

    async def drain(self) -> int:
        """Take everything that is in the inbox now; return how many messages that were."""
        taken = 0
        while PARTITION not in self.keeper.stopped:
            try:
                rows = await asyncio.to_thread(self.store.inbox_read, self._next - 1, BATCH)
            except StoreUnavailable as error:
                log.warning("store_unavailable", reason=str(error))
                return taken
            if not rows:
                break
            records = [Record(row.topic, PARTITION, row.offset, row.arrived_at, row.value) for row in rows]
            await self.keeper.handle(records)
            if PARTITION in self.keeper.stopped:  # the rest of it is read again when it goes on
                self._next = max(self.keeper.next_offsets(PARTITION).values(), default=self._next)
                break
            self._next = rows[-1].offset + 1
            taken += len(rows)
            if self._next - self._pruned >= PRUNE_EVERY:
                await self.keeper.flush()
                await asyncio.to_thread(self.store.inbox_prune, self._next)
                self._pruned = self._next
        return taken
