"""The keeper of partitions: hands messages to each partition's pipeline, and what comes of it to the store.

Progress lives in the store: a partition begins at the offsets of its snapshot, whatever the transport believes, and
one commit writes snapshot, offsets and facts together. While the store is away the keeper waits, holds what it has and
says so; it lets nothing go. A keeper that lost a partition is fenced by the store and drops what it had in memory.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic

import structlog

from alerts.incidents import Transition
from alerts.notices import Notice
from store.errors import Fenced, StoreError, StoreUnavailable
from store.failpoints import Point, reach
from store.store import Store
from streams.back_pressure import BackPressure
from streams.commits import BESIDE_BYTES, Commits, DeadLetters
from streams.gap_book import GapBook
from streams.gaps import Log
from streams.held import Held
from streams.metrics import Metrics
from streams.patience import Patience
from streams.pipeline import Pipeline
from streams.poison import PoisonLimit
from streams.portions import after_seek, bites, bitten, by_partition, leave_out
from streams.records import Messages, Refused
from streams.stops import Stops, told_to_nobody

log = structlog.get_logger()

Behind = Callable[[int], frozenset[str]]
FOLLOW_EVERY_S = 5.0
MOST_GAPS_NAMED = 20


def no_unread(partition: int) -> frozenset[str]:
    """No input of any partition has unread messages."""
    return frozenset()


class Keeper:
    """Owns the partitions that this process was given."""

    def __init__(
        self,
        *,
        store: Store,
        build: Callable[[int], Pipeline],
        owner: str,
        clock: Callable[[], datetime],
        metrics: Metrics,
        dead_letters: DeadLetters | None = None,
        behind: Behind = no_unread,
        commit_every_s: float = 1.0,
        commit_every: int = 100_000,
        beside_bytes: int = BESIDE_BYTES,
        pressure: BackPressure | None = None,
        poison: PoisonLimit | None = None,
        poison_together: bool = False,
        route: Callable[[Transition], list[Notice]] = told_to_nobody,
    ) -> None:
        """`dead_letters`: where rejects go instead of the store. `behind`: which topics have unread messages.

        `poison`: how much may be set aside before a partition stops, None: anything; `poison_together`: over all its
        topics. `route`: who hears of a stop. `beside_bytes`: how large a snapshot may be that is written while more
        messages are taken; all others hold up their partition until they are written.
        """
        self.store, self.build, self.owner, self.clock, self.metrics = store, build, owner, clock, metrics
        self.behind = behind
        self.pressure = pressure or BackPressure()
        self.held: dict[int, Held] = {}
        self.lost: set[int] = set()  # partitions that another owner took, until they are assigned anew
        self._patience = Patience(self.pressure)
        self._stops = Stops(
            store=store, clock=clock, metrics=metrics, poison=poison, together=poison_together, route=route
        )
        self._commits = Commits(
            store=store,
            clock=clock,
            metrics=metrics,
            patience=self._patience,
            dead_letters=dead_letters,
            every_s=commit_every_s,
            every=commit_every,
            beside_bytes=beside_bytes,
            lost=self._lose,
        )
        self._claiming = asyncio.Lock()
        self._gaps: deque[str] = deque(maxlen=MOST_GAPS_NAMED)  # since the start
        self._followed_s = float("-inf")
        self._furthest: datetime | None = None

    @property
    def waiting_for_store(self) -> bool:
        """Whether input waits because the store can't be used."""
        return self.pressure.store_away

    @property
    def stopped(self) -> dict[int, str]:
        """Partitions that are not read, and why: what comes of them is to be read again."""
        return self._stops.stopped

    async def assigned(self, partitions: set[int]) -> dict[tuple[str, int], int]:
        """Take partitions over; return the offset to go on from, by topic and partition."""
        async with self._claiming:  # two claims of one partition at a time would fence each other
            self.lost -= partitions
            for partition in sorted(partitions - set(self.held)):
                claim = await self._patience.ask(self.store.claim_partition, partition, self.owner, self.clock())
                pipeline = self.build(partition)
                if claim.snapshot is not None:
                    pipeline.load(claim.snapshot, claim.offsets)
                    reach(Point.SNAPSHOT_LOADED)
                gaps = await self._patience.ask(GapBook.load, self.store, pipeline)
                held = self.held[partition] = Held(partition, pipeline, claim.epoch, asyncio.Lock(), gaps)
                held.counts = {(row.hour, row.fault): row.events for row in claim.reject_counts}
                self._stops.begin(held, claim.stop, claim.allowance)
                log.info("partition_claimed", partition=partition, epoch=claim.epoch, offsets=claim.offsets)
        return {
            (topic, partition): offset
            for partition in sorted(partitions & set(self.held))
            for topic, offset in self.held[partition].pipeline.offsets.items()
        }

    async def begin(self, logs: Iterable[Log]) -> dict[tuple[str, int], int]:
        """Say where each log is read on, for partitions that were assigned.

        What is gone unread is booked as a gap, and that is durable, together with the new offset, when this returns.
        """
        starts: dict[tuple[str, int], int] = {}
        for partition, own in _logs_by_partition(logs).items():
            held = self.held.get(partition)
            if held is None:  # lost meanwhile: its next owner says where
                continue
            async with held.lock:
                for one in own:
                    gap = await self._patience.ask(held.gaps.begin, one, self.clock())
                    starts[one.topic, partition] = held.pipeline.offsets[one.topic]
                    if gap is not None:
                        self._gaps.append(gap.source)
                        self.metrics.lost(gap.topic, str(gap.cause), gap.most_events or 0)
                await self._commits.write(held)
        return starts

    def gaps_found(self) -> str | None:
        """The gaps that were found since the start, in words; None where there was none."""
        return f"gone from Kafka unread since the start: {', '.join(self._gaps)}" if self._gaps else None

    async def revoked(self, partitions: set[int]) -> None:
        """Write what is in memory, as far as that can be done at once, and let the partitions go."""
        for partition in sorted(partitions & set(self.held)):
            held = self.held[partition]
            async with held.lock:
                try:
                    await self._commits.write(held, once=True)
                except StoreError as error:
                    log.info("partition_released_unwritten", partition=partition, reason=str(error))
                self._forget(partition)
        self.lost -= partitions

    async def handle(self, messages: Messages) -> None:
        """Observe messages of one or more partitions; returns when they are safe, or will be read again.

        Raises Fenced where another owner has taken the partition: it may stand elsewhere than what is handed over here,
        so that it is taken back by `assigned` alone.
        """
        for partition, batch in by_partition(messages).items():
            if partition in self.lost:  # what lies between the new owner's offsets and these messages is not here
                raise Fenced(f"partition {partition} has another owner; nothing was taken")
            if partition not in self.held:
                await self.assigned({partition})
            held = self.held[partition]
            async with held.lock:
                if self.held.get(partition) is not held:  # lost while we waited: its next owner reads this again
                    continue
                await self._read(held, batch)

    def left_out(self, partition: int) -> dict[str, int]:
        """By topic, the first message that came while the partition was stopped, and has to be read again."""
        held = self.held.get(partition)
        return {} if held is None else dict(held.left_out)

    def read_from(self, topic: str, partition: int, offset: int) -> None:
        """The transport goes back to this message of a topic, and hands over nothing that it has not gone back for.

        What comes first is taken wherever it begins: messages may have expired meanwhile.
        """
        held = self.held.get(partition)
        if held is not None:
            held.left_out.pop(topic, None)

    def next_offsets(self, partition: int) -> dict[str, int]:
        """Where reading of each topic of a held partition goes on: where to seek to when it is no longer stopped."""
        return dict(self.held[partition].pipeline.offsets)

    def stopped_in_words(self) -> str | None:
        """Which partitions are not read, and why; None while all are."""
        return self._stops.in_words()

    async def refuse(self, refused: Refused) -> None:
        """Put on record that these messages can't be had, and read on behind them, unless the limit is passed."""
        held = self.held.get(refused.partition)
        if held is None:  # its next owner comes upon them too
            return
        async with held.lock:
            if self.held.get(refused.partition) is not held:
                return
            if refused.partition in self.stopped:
                held.left_out.setdefault(refused.topic, refused.first)
                return
            if refused.last < held.pipeline.offsets.get(refused.topic, 0):  # on record already
                return
            await self._commits.settle_still(held)
            held.pipeline.refuse(refused)
            held.uncommitted += 1
            trip = None if held.guard is None else held.guard.judge_refused(refused)
            if trip is not None:
                self._stops.stop(held, trip)
                await self._commits.write(held)
            await self._commits.if_due(held)

    async def _read(self, held: Held, messages: Messages) -> None:
        """Observe messages as far as the limit allows; what a stopped partition is handed is left for later."""
        if held.partition in self.stopped:
            leave_out(held.left_out, messages)
            return
        await self._commits.settle_still(held)
        messages = after_seek(held.left_out, messages)
        for part in bites(messages) if held.guard is None else bitten(held.guard.parts(messages)):
            if held.partition in self.stopped:
                leave_out(held.left_out, part)
                continue
            known = len(held.pipeline.facts.rejects)
            await self._observe(held, part)
            new = held.pipeline.facts.rejects[known:]
            trip = None if held.guard is None else held.guard.judge(part, new)
            if trip is not None:
                self._stops.stop(held, trip)
                await self._commits.write(held)  # what was read up to here goes with it
        await self._commits.if_due(held)

    async def _observe(self, held: Held, messages: Messages) -> None:
        pipeline = held.pipeline
        batch = pipeline.read(messages)
        suspects = pipeline.suspects(batch)
        if suspects and held.pending is not None and held.pending.facts.cold:  # the store does not have them all yet
            await self._commits.write(held)
        recalled = await self._patience.ask(pipeline.recalled, suspects) if suspects else None
        pipeline.take(batch, self.behind(held.partition), self.clock(), recalled)
        held.uncommitted += len(messages)
        held.gaps.heard(messages, self.clock())

    async def tick(self) -> None:
        """Time passes without messages: silent inputs let the clock go on; what is in memory is written.

        As a silent input goes along with the other inputs of its partition, a silent partition goes along with the rest
        of the service: what it lost would never be told otherwise, and it would hold up the forecasts.
        """
        await self._look_for_resumed()
        for partition, held in list(self.held.items()):
            async with held.lock:
                if self.held.get(partition) is not held or partition in self.stopped:  # its time stands still
                    continue
                try:
                    await self._commits.settle_still(held)
                    now, unread = self.clock(), self.behind(partition)
                    held.pipeline.tick(now, unread)
                    if not unread and held.pipeline.silent(now):
                        await self._follow(held.pipeline)
                    await self._commits.if_due(held, caught_up=not unread)
                except Fenced:
                    continue  # said and dropped already; whoever has it now goes on

    async def _look_for_resumed(self) -> None:
        """Go on with the partitions that a person has let go on."""
        if not self._stops.is_time_to_look():
            return
        for partition in sorted(self.stopped):
            held = self.held.get(partition)
            if held is None:
                continue
            async with held.lock:
                if self.held.get(partition) is not held:
                    continue
                try:
                    await self._commits.write(held)  # its stop among it, if nobody has waited for that
                    await self._stops.take_up(held)
                except Fenced:
                    continue  # said and dropped already
                except StoreUnavailable as error:
                    log.warning("store_unavailable", reason=str(error))
                    return

    async def _follow(self, pipeline: Pipeline) -> None:
        if monotonic() - self._followed_s >= FOLLOW_EVERY_S:
            self._followed_s = monotonic()
            try:
                self._furthest = await asyncio.to_thread(self.store.high_watermark)
            except StoreUnavailable as error:
                self.pressure.away(error, "follow")
            else:
                self.pressure.back("follow")
        known = [self._furthest, *(held.pipeline.watermark for held in self.held.values())]
        furthest = max((at for at in known if at is not None), default=None)
        if furthest is not None:
            pipeline.follow(furthest)

    async def flush(self) -> None:
        """Write everything now."""
        for partition, held in list(self.held.items()):
            async with held.lock:
                if self.held.get(partition) is held:
                    await self._commits.write(held)

    def _lose(self, partition: int) -> None:
        self.lost.add(partition)
        self._forget(partition)

    def _forget(self, partition: int) -> None:
        self.held.pop(partition, None)
        self._stops.forget(partition)


def _logs_by_partition(logs: Iterable[Log]) -> dict[int, list[Log]]:
    parts: dict[int, list[Log]] = {}
    for one in logs:
        parts.setdefault(one.partition, []).append(one)
    return parts


def process_owner(kind: str) -> str:
    """A name for this process among all that share a store."""
    return f"{kind}-{os.uname().nodename}-{os.getpid()}"
