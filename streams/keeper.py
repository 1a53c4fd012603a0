"""The keeper of partitions: hands messages to each partition's pipeline, and what comes of it to the store.

Progress lives in the store: a partition begins at the offsets of its snapshot, whatever the transport believes, and
one commit writes snapshot, offsets and facts together. While the store is away the keeper waits, holds what it has and
says so; it lets nothing go. A keeper that lost a partition is fenced by the store and drops what it had in memory.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from store.errors import AlreadyOpen, Fenced, StoreError, StoreUnavailable
from store.facts import Facts, RejectRow
from store.store import Store
from streams.back_pressure import BackPressure
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.records import Messages, Record, Slice

log = structlog.get_logger()

T = TypeVar("T")
DeadLetters = Callable[[Sequence[RejectRow]], Awaitable[None]]
Parts = dict[str, bytes | memoryview | None]
Behind = Callable[[int], frozenset[str]]
LONGEST_WAIT_S = 15.0
FOLLOW_EVERY_S = 5.0
COMMIT_SHARE_RATIO = 0.1  # of the time that is spent on commits; one for a notice is never put off
MOST_PUT_OFF = 10.0  # times the usual interval


class Held(Struct):
    """A partition in this process."""

    pipeline: Pipeline
    epoch: int
    lock: asyncio.Lock
    committed_s: float = 0.0  # monotonic
    uncommitted: int = 0  # messages observed since the last commit
    unwritten: Facts | None = None  # handed over by the pipeline, and not in the store yet
    unwritten_parts: Parts = {}  # so are these, of its snapshot
    commit_s: float = 0.0  # how long the last commit took
    watermark: datetime | None = None  # as the store has it


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
        commit_every: int = 20_000,
        pressure: BackPressure | None = None,
    ) -> None:
        """`dead_letters`: where rejects go instead of the store. `behind`: which topics have unread messages."""
        self.store, self.build, self.owner, self.clock, self.metrics = store, build, owner, clock, metrics
        self.dead_letters, self.behind = dead_letters, behind
        self.commit_every_s, self.commit_every = commit_every_s, commit_every
        self.held: dict[int, Held] = {}
        self._claiming = asyncio.Lock()
        self.pressure = pressure or BackPressure()
        self._followed_s = float("-inf")
        self._furthest: datetime | None = None

    @property
    def waiting_for_store(self) -> bool:
        """Whether input waits because the store can't be used."""
        return self.pressure.store_away

    async def assigned(self, partitions: set[int]) -> dict[tuple[str, int], int]:
        """Take partitions over; return the offset to go on from, by topic and partition."""
        async with self._claiming:  # two claims of one partition at a time would fence each other
            for partition in sorted(partitions - set(self.held)):
                claim = await self._patiently(self.store.claim_partition, partition, self.owner, self.clock())
                pipeline = self.build(partition)
                if claim.snapshot is not None:
                    pipeline.load(claim.snapshot, claim.offsets)
                self.held[partition] = Held(pipeline, claim.epoch, asyncio.Lock())
                log.info("partition_claimed", partition=partition, epoch=claim.epoch, offsets=claim.offsets)
        return {
            (topic, partition): offset
            for partition in sorted(partitions & set(self.held))
            for topic, offset in self.held[partition].pipeline.offsets.items()
        }

    async def revoked(self, partitions: set[int]) -> None:
        """Write what is in memory, as far as that can be done at once, and let the partitions go."""
        for partition in sorted(partitions & set(self.held)):
            held = self.held[partition]
            async with held.lock:
                try:
                    await self._write(partition, held, once=True)
                except StoreError as error:
                    log.info("partition_released_unwritten", partition=partition, reason=str(error))
                self.held.pop(partition, None)

    async def handle(self, messages: Messages) -> None:
        """Observe messages of one or more partitions; returns when they are safe, or will be read again."""
        for partition, batch in _by_partition(messages).items():
            if partition not in self.held:
                await self.assigned({partition})
            held = self.held[partition]
            async with held.lock:
                if self.held.get(partition) is not held:  # lost while we waited: its next owner reads this again
                    continue
                await self._observe(partition, held, batch)
                await self._commit_if_due(partition, held)

    async def _observe(self, partition: int, held: Held, messages: Messages) -> None:
        pipeline = held.pipeline
        batch = pipeline.read(messages)
        suspects = pipeline.suspects(batch)
        recalled = await self._patiently(pipeline.recalled, suspects) if suspects else None
        pipeline.take(batch, self.behind(partition), self.clock(), recalled)
        held.uncommitted += len(messages)

    async def tick(self) -> None:
        """Time passes without messages: silent inputs let the clock go on; what is in memory is written.

        As a silent input goes along with the other inputs of its partition, a silent partition goes along with the rest
        of the service: what it lost would never be told otherwise, and it would hold up the forecasts.
        """
        for partition, held in list(self.held.items()):
            async with held.lock:
                if self.held.get(partition) is not held:
                    continue
                now, unread = self.clock(), self.behind(partition)
                held.pipeline.tick(now, unread)
                if not unread and held.pipeline.silent(now):
                    await self._follow(held.pipeline)
                try:
                    await self._commit_if_due(partition, held)
                except Fenced:
                    continue  # said and dropped already; whoever has it now goes on

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
                    await self._write(partition, held)

    async def _commit_if_due(self, partition: int, held: Held) -> None:
        wait_s = min(max(self.commit_every_s, held.commit_s / COMMIT_SHARE_RATIO), self.commit_every_s * MOST_PUT_OFF)
        due = monotonic() - held.committed_s >= wait_s or held.uncommitted >= self.commit_every
        if due or held.pipeline.facts.notices:
            await self._write(partition, held)

    async def _write(self, partition: int, held: Held, *, once: bool = False) -> None:
        pipeline = held.pipeline
        self._measure(partition, pipeline)
        facts = held.unwritten = _joined(held.unwritten, pipeline.drain())
        if not facts and not held.uncommitted and pipeline.watermark == held.watermark:
            held.committed_s = monotonic()
            return
        if self.dead_letters is not None and facts.rejects:
            await self.dead_letters(facts.rejects)
            facts.rejects = []
        began_s = monotonic()
        held.unwritten_parts |= pipeline.changes()
        try:
            await (self._commit if once else self._commit_patiently)(partition, held, facts, held.unwritten_parts)
        except Fenced as error:
            log.warning("partition_lost", partition=partition, reason=str(error))
            self.held.pop(partition, None)
            raise
        held.unwritten_parts = {}
        held.committed_s, held.uncommitted, held.unwritten = monotonic(), 0, None
        held.watermark, held.commit_s = pipeline.watermark, held.committed_s - began_s
        self.metrics.committed(held.commit_s)

    async def _commit(self, partition: int, held: Held, facts: Facts, parts: Parts) -> None:
        pipeline = held.pipeline
        await asyncio.to_thread(
            self.store.commit,
            partition,
            held.epoch,
            facts,
            snapshot=parts,
            offsets=dict(pipeline.offsets),
            now=self.clock(),
            watermark=pipeline.watermark,
        )

    async def _commit_patiently(self, partition: int, held: Held, facts: Facts, parts: Parts) -> None:
        wait_s = 0.5
        while True:
            try:
                try:
                    with self.pressure.writing():
                        await self._commit(partition, held, facts, parts)
                except AlreadyOpen as error:
                    await self._end_orphan(error, facts)
                    continue
            except StoreUnavailable as error:
                wait_s = await self._wait(error, "commit", wait_s)
            else:
                self.pressure.back("commit")
                return

    async def _end_orphan(self, error: AlreadyOpen, facts: Facts) -> None:
        """An incident of the same condition that no book knows any more ends where the new one begins."""
        orphan = await asyncio.to_thread(self.store.incident, error.incident_id)
        if orphan is None or any(one.incident_id == orphan.incident_id for one in facts.incidents):
            raise error
        now = max(orphan.updated_at, max(one.detected_at for one in facts.incidents))
        log.warning("orphan_incident_ended", incident_id=orphan.incident_id, fingerprint=orphan.fingerprint)
        ended = replace(orphan, resolved_at=now, updated_at=now, transition=orphan.transition + 1)
        facts.incidents.insert(0, ended)

    async def _patiently(self, ask: Callable[..., T], *given: object) -> T:
        wait_s = 0.5
        while True:
            try:
                answer = await asyncio.to_thread(ask, *given)
            except StoreUnavailable as error:
                wait_s = await self._wait(error, "ask", wait_s)
            else:
                self.pressure.back("ask")
                return answer

    async def _wait(self, error: StoreUnavailable, doing: str, wait_s: float) -> float:
        self.pressure.away(error, doing)
        await asyncio.sleep(wait_s)
        return min(wait_s * 2, LONGEST_WAIT_S)

    def _measure(self, partition: int, pipeline: Pipeline) -> None:
        tally = pipeline.take_tally()
        for topic, number in tally.records.items():
            self.metrics.consumed(topic, number)
        for kind, number in tally.events.items():
            self.metrics.decoded(kind, number)
        for reason, number in tally.rejects.items():
            self.metrics.rejected(reason, number)
        for model, tokens in tally.unpriced_tokens.items():
            self.metrics.unpriced(model, tokens)
        watermark = pipeline.watermark
        if watermark is not None:
            self.metrics.watermark(partition, watermark)
            self.metrics.event_time_lag((self.clock() - watermark).total_seconds())


def _by_partition(messages: Messages) -> dict[int, Messages]:
    if isinstance(messages, Slice):
        return {messages.partition: messages}
    parts: dict[int, list[Record]] = {}
    for record in messages:
        parts.setdefault(record.partition, []).append(record)
    return dict(parts)


def _joined(earlier: Facts | None, later: Facts) -> Facts:
    """Facts in the order in which they were found."""
    if not earlier:
        return later
    return Facts(**{name: getattr(earlier, name) + getattr(later, name) for name in Facts.__struct_fields__})


def process_owner(kind: str) -> str:
    """A name for this process among all that share a store."""
    return f"{kind}-{os.uname().nodename}-{os.getpid()}"
