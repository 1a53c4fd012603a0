"""What a member of the group reads: one slice at a time is handed on, and nothing acknowledged that was not handled.

Faust marks an event as read even when its agent raises. So nothing may leave an agent: a bad event is the handler's to
set aside, a store that is down is the handler's to wait for, and whatever remains ends the process on the spot, with
the slice unread. Where to begin is the store's word: at each assignment Kafka's committed offsets are set to it.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog

from streams.app import App, KafkaSettings, add_agents, transport_of
from streams.assignment import WATCH_EVERY_S, Assignment
from streams.client import Client
from streams.handler import Handler
from streams.pieces import Piece
from streams.reading import Reading
from streams.singles import Message, give_free, piece_of, runs, withhold
from streams.taking import Taking
from streams.topics import topic_ids

log = structlog.get_logger(__name__)

EXIT_CRASHED = 70
MARK_MAX_AGE_S = 5.0  # an idle partition is asked every 1.5 s


class Consumption:
    """What the agents of an app have handled since the last assignment."""

    def __init__(
        self,
        app: App,
        settings: KafkaSettings,
        handler: Handler,
        *,
        clock: Callable[[], datetime],
        wall_s: Callable[[], float] = time.time,  # by which the client dates its fetches
        die: Callable[[int], object] = os._exit,
        identify: Callable[..., dict[str, str]] = topic_ids,
    ) -> None:
        """Adds its agents to an app that has not started."""
        self._wall_s, self._die, self._handler = wall_s, die, handler
        self._client, self._reading = Client(app, settings.topics), Reading()
        transport = transport_of(settings)
        self._taking = Taking(self._client, self._reading, handler, clock=clock, sliced=transport.sliced)
        self._assignment = Assignment(
            self._client,
            self._reading,
            handler,
            bootstrap=settings.bootstrap,
            login=settings.login,
            identify=identify,
        )
        self._gate = asyncio.Lock()  # one call of the handler at a time, rebalances included
        self._closed = False
        add_agents(app, settings, self._take_piece, self._take)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_rebalance_complete)

    async def _take_piece(self, topic: str, partition: int, piece: Piece) -> None:
        """Hand a piece on; Kafka's committed offset moves over it when it is handled, whatever Faust acknowledges."""
        with self._crash_only():
            async with self._gate:
                if self._is_current(piece.generation):
                    await self._taking.hand_on((topic, partition), piece)

    async def _take(self, topic: str, messages: Sequence[Message]) -> None:
        """Hand a slice on, partition by partition. Nothing is raised but the cancellation of a stop.

        Whatever ends this early, a stop included, makes Faust acknowledge the slice. So its messages are withheld from
        the start, and given free only when they have been handled.
        """
        withhold(messages)
        with self._crash_only():
            async with self._gate:
                # What was read before a rebalance stays withheld: whoever owns it now reads it again.
                current = [message for message in messages if self._is_current(message.generation_id)]
                for run in runs(current):
                    if await self._taking.hand_on((topic, run[0].partition), piece_of(run)):
                        give_free(run)

    def _is_current(self, generation: int | None) -> bool:
        return not self._closed and generation == self._reading.generation

    async def go_on(self) -> None:
        """Go back to the first message that was not handled, where a partition is no longer stopped."""
        with self._crash_only():
            async with self._gate:
                await self._taking.go_on()

    async def watch(self, every_s: float = WATCH_EVERY_S) -> None:
        """See to it that the logs are still those that were assigned; for ever, or until one is not."""
        await self._assignment.watch(every_s)

    @property
    def outdated(self) -> asyncio.Event:
        """Set when a log is another one than was assigned: the group is to be joined anew."""
        return self._assignment.outdated

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        """Load the partitions, and make Kafka's committed offsets say what the store says; then Faust seeks there."""
        with self._crash_only():
            async with self._gate:
                await self._assignment.begin()

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        await self._release()

    async def _release(self) -> None:
        self._reading.leaving += 1
        try:
            with self._crash_only():
                async with self._gate:
                    held = self._reading.end()
                    if held:
                        await self._handler.revoked(set(held))
        finally:
            self._reading.leaving -= 1

    async def close(self) -> None:
        """Hand on nothing more, wait for the slice in progress, and let go of the partitions."""
        self._closed = True
        await self._release()

    def lag_events(self, topic: str, partition: int) -> int | None:
        """How many messages that Kafka is known to hold in this place are still to be handled; None when in doubt."""
        place = (topic, partition)
        handled, mark = self._reading.next.get(place), self._high_water(topic, partition)
        if handled is None or mark is None:
            return None
        return max(mark[0] - handled, self._reading.ends[place] - handled, 0)

    def caught_up(self, topic: str, partition: int) -> bool:
        """Whether all was handled that Kafka said, in the last seconds, it holds in this place; False when in doubt.

        A place of which Kafka says nothing, because its broker is away, is not caught up: it may hold anything.
        """
        mark = self._high_water(topic, partition)
        fresh = mark is not None and self._wall_s() - mark[1] <= MARK_MAX_AGE_S
        return fresh and self.lag_events(topic, partition) == 0

    def _high_water(self, topic: str, partition: int) -> tuple[int, float] | None:
        return None if self._reading.generation is None else self._client.high_water((topic, partition))

    @property
    def partitions(self) -> frozenset[int]:
        """What is assigned now."""
        return self._reading.partitions

    @property
    def fault(self) -> str | None:
        """Why what is assigned is not read; None while it is."""
        return self._reading.fault

    @property
    def has_assignment(self) -> bool:
        """Whether partitions are held, loaded and being read."""
        return self._reading.generation is not None and bool(self._reading.partitions)

    @contextmanager
    def _crash_only(self) -> Iterator[None]:
        """Let no error past into Faust: it ends the process at once, and the next start reads on from the store."""
        try:
            yield
        except Exception as error:
            log.critical("worker_crashed", error=type(error).__name__, exc_info=error)
            self._die(EXIT_CRASHED)
