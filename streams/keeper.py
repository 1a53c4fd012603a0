"""The keeper of partitions: hands messages to each partition's pipeline, and what comes of it to the store.

Progress lives in the store: a partition begins at the offsets of its snapshot, whatever the transport believes, and
one commit writes snapshot, offsets and facts together. While the store is away the keeper waits, holds what it has and
says so; it lets nothing go. A keeper that lost a partition is fenced by the store and drops what it had in memory.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alerts.incidents import Transition
from alerts.notices import Notice
from alerts.partition_stop import stopped
from store.errors import AlreadyOpen, Fenced, StoreError, StoreUnavailable
from store.facts import Facts, RejectCount, RejectRow, StopRow
from store.failpoints import Point, reach
from store.progress import COUNTS_KNOWN
from store.store import Store
from streams.back_pressure import BackPressure
from streams.gap_book import GapBook
from streams.gaps import Log
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.poison import PoisonGuard, PoisonLimit, Trip
from streams.portions import after_seek, bites, bitten, by_partition, leave_out
from streams.records import Messages, Refused

log = structlog.get_logger()

T = TypeVar("T")
DeadLetters = Callable[[Sequence[RejectRow]], Awaitable[None]]
Parts = dict[str, bytes | memoryview | None]
Behind = Callable[[int], frozenset[str]]
LONGEST_WAIT_S = 15.0
RESUMED_EVERY_S = 2.0
FOLLOW_EVERY_S = 5.0
COMMIT_SHARE_RATIO = 0.1  # of the time that is spent on commits; one for a notice is never put off
MOST_GAPS_NAMED = 20
BESIDE_BYTES = 16 * 1024 * 1024  # of a snapshot that is copied, so that it can be written while messages are taken
LET_GO_S = 2.0  # for a commit that is under way when a partition is given up
MOST_PUT_OFF = 10.0  # times the usual interval


class Commit(Struct, frozen=True):
    """What one commit writes: facts, parts of the snapshot, and how far reading and the clock have come with them."""

    facts: Facts
    parts: Parts
    offsets: dict[str, int]
    watermark: datetime | None


class Held(Struct):
    """A partition in this process."""

    pipeline: Pipeline
    epoch: int
    lock: asyncio.Lock
    gaps: GapBook
    committed_s: float = 0.0  # monotonic
    uncommitted: int = 0  # messages observed since the last commit
    unwritten: Facts | None = None  # to go with the next commit, beside what the pipeline finds
    commit_s: float = 0.0  # how long the last commit took
    writing: asyncio.Task[None] | None = None  # a commit that is under way while messages are taken
    still: bool = False  # nothing may be taken until then: what it writes is not a copy
    pending: Commit | None = None  # what that writes, until it is written
    watermark: datetime | None = None  # as the store has it
    guard: PoisonGuard | None = None
    left_out: dict[str, int] = {}  # while it was stopped: the first message of each topic that has to be read again
    counts: dict[tuple[datetime, str], int] = {}  # events set aside, by hour and fault


def told_to_nobody(transition: Transition) -> list[Notice]:
    """No channel hears of anything."""
    return []


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
        self.dead_letters, self.behind = dead_letters, behind
        self.commit_every_s, self.commit_every, self.beside_bytes = commit_every_s, commit_every, beside_bytes
        self.poison, self.poison_together, self.route = poison, poison_together, route
        self.held: dict[int, Held] = {}
        self.lost: set[int] = set()  # partitions that another owner took, until they are assigned anew
        self.stopped: dict[int, str] = {}  # partitions that are not read, and why: what comes is to be read again
        self._looked_s = float("-inf")
        self._claiming = asyncio.Lock()
        self.pressure = pressure or BackPressure()
        self._gaps: deque[str] = deque(maxlen=MOST_GAPS_NAMED)  # since the start
        self._followed_s = float("-inf")
        self._furthest: datetime | None = None

    @property
    def waiting_for_store(self) -> bool:
        """Whether input waits because the store can't be used."""
        return self.pressure.store_away

    async def assigned(self, partitions: set[int]) -> dict[tuple[str, int], int]:
        """Take partitions over; return the offset to go on from, by topic and partition."""
        async with self._claiming:  # two claims of one partition at a time would fence each other
            self.lost -= partitions
            for partition in sorted(partitions - set(self.held)):
                claim = await self._patiently(self.store.claim_partition, partition, self.owner, self.clock())
                pipeline = self.build(partition)
                if claim.snapshot is not None:
                    pipeline.load(claim.snapshot, claim.offsets)
                    reach(Point.SNAPSHOT_LOADED)
                gaps = await self._patiently(GapBook.load, self.store, pipeline)
                held = self.held[partition] = Held(pipeline, claim.epoch, asyncio.Lock(), gaps)
                held.guard = self._guard(claim.allowance)
                held.counts = {(row.hour, row.fault): row.events for row in claim.reject_counts}
                if claim.stop is not None:
                    self._note_stop(partition, claim.stop.reason)
                else:
                    self.metrics.partition_stopped(partition, False)
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
                    gap = await self._patiently(held.gaps.begin, one, self.clock())
                    starts[one.topic, partition] = held.pipeline.offsets[one.topic]
                    if gap is not None:
                        self._gaps.append(gap.source)
                        self.metrics.lost(gap.topic, str(gap.cause), gap.most_events or 0)
                await self._write(partition, held)
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
                    await self._write(partition, held, once=True)
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
                await self._read(partition, held, batch)

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

    async def _read(self, partition: int, held: Held, messages: Messages) -> None:
        """Observe messages as far as the limit allows; what a stopped partition is handed is left for later."""
        if partition in self.stopped:
            leave_out(held.left_out, messages)
            return
        await self._settle_still(partition, held)
        messages = after_seek(held.left_out, messages)
        for part in bites(messages) if held.guard is None else bitten(held.guard.parts(messages)):
            if partition in self.stopped:
                leave_out(held.left_out, part)
                continue
            known = len(held.pipeline.facts.rejects)
            await self._observe(partition, held, part)
            new = held.pipeline.facts.rejects[known:]
            trip = None if held.guard is None else held.guard.judge(part, new)
            if trip is not None:
                await self._stop(partition, held, trip)
        await self._commit_if_due(partition, held)

    async def _stop(self, partition: int, held: Held, trip: Trip) -> None:
        """Read no further, say so once, and keep what was read up to here: all in one commit."""
        now = self.clock()
        opened = stopped(
            topic=trip.topic,
            partition=partition,
            offset=trip.offset,
            at=datetime.fromtimestamp(trip.arrived_ms / 1000, UTC),
            now=now,
            bad_messages=trip.bad_messages,
        )
        row = StopRow(
            partition=partition,
            topic=trip.topic,
            offset=trip.offset,
            reason=trip.reason,
            at=now,
            incident_id=opened.incident.incident_id,
        )
        told = Facts(incidents=[opened.incident], notices=self.route(opened), stops=[row])
        held.unwritten = _joined(held.unwritten, told)
        self._note_stop(partition, trip.reason)
        await self._write(partition, held)

    def _note_stop(self, partition: int, reason: str) -> None:
        self.stopped[partition] = f"partition {partition} is stopped: {reason}; `emberwatch dlq resume` lets it go on"
        self.metrics.partition_stopped(partition, True)
        log.error("partition_stopped", partition=partition, reason=reason)

    async def _look_for_resumed(self) -> None:
        """Go on with the partitions that a person has let go on."""
        if not self.stopped or monotonic() - self._looked_s < RESUMED_EVERY_S:
            return
        self._looked_s = monotonic()
        for partition in sorted(self.stopped):
            held = self.held.get(partition)
            if held is None:
                continue
            async with held.lock:  # its stop is in the store once this is free
                if self.held.get(partition) is not held:
                    continue
                try:
                    allowance = await asyncio.to_thread(self.store.take_up_resumed, partition, self.clock())
                except StoreUnavailable as error:
                    log.warning("store_unavailable", reason=str(error))
                    return
                if allowance is not None:
                    held.guard = self._guard(allowance)
                    del self.stopped[partition]
                    self.metrics.partition_stopped(partition, False)
                    log.info("partition_resumed", partition=partition, allowance=allowance)

    def _guard(self, allowance: int) -> PoisonGuard | None:
        if self.poison is None:
            return None
        return PoisonGuard(self.poison, together=self.poison_together, allowance=allowance)

    def _forget(self, partition: int) -> None:
        self.held.pop(partition, None)
        self.stopped.pop(partition, None)
        self.metrics.partition_stopped(partition, None)

    def stopped_in_words(self) -> str | None:
        """Which partitions are not read, and why; None while all are."""
        return "; ".join(reason for _, reason in sorted(self.stopped.items())) or None

    async def refuse(self, refused: Refused) -> None:
        """Put on record that these messages can't be had, and read on behind them."""
        held = self.held.get(refused.partition)
        if held is None:  # its next owner comes upon them too
            return
        async with held.lock:
            if self.held.get(refused.partition) is held:
                held.pipeline.refuse(refused)
                held.uncommitted += 1
                await self._commit_if_due(refused.partition, held)

    async def _observe(self, partition: int, held: Held, messages: Messages) -> None:
        pipeline = held.pipeline
        batch = pipeline.read(messages)
        suspects = pipeline.suspects(batch)
        if suspects and held.pending is not None and held.pending.facts.cold:  # the store does not have them all yet
            await self._write(partition, held)
        recalled = await self._patiently(pipeline.recalled, suspects) if suspects else None
        pipeline.take(batch, self.behind(partition), self.clock(), recalled)
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
                    await self._settle_still(partition, held)
                    now, unread = self.clock(), self.behind(partition)
                    held.pipeline.tick(now, unread)
                    if not unread and held.pipeline.silent(now):
                        await self._follow(held.pipeline)
                    await self._commit_if_due(partition, held, caught_up=not unread)
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

    async def _commit_if_due(self, partition: int, held: Held, *, caught_up: bool = False) -> None:
        """Begin a commit where one is due. It goes on while more messages are taken, unless there is much to write."""
        if held.writing is not None:
            if not held.writing.done() and held.uncommitted < self.commit_every:
                return
            await self._settle(partition, held)
        share_s = 0.0 if caught_up else held.commit_s / COMMIT_SHARE_RATIO
        wait_s = min(max(self.commit_every_s, share_s), self.commit_every_s * MOST_PUT_OFF)
        due = monotonic() - held.committed_s >= wait_s or held.uncommitted >= self.commit_every
        if due or held.pipeline.facts.notices:
            commit = self._prepared(partition, held)
            if commit is None:
                return
            size = sum(len(body) for body in commit.parts.values() if body is not None)
            if size <= self.beside_bytes:
                commit = held.pending = replace(commit, parts=copied(commit.parts))
                held.writing, held.still = asyncio.ensure_future(self._store(partition, held, commit)), False
            else:  # no copy of that much: nothing is taken meanwhile, so that what is written stays as it is
                held.writing, held.still = asyncio.ensure_future(self._store(partition, held, commit)), True
                await self._settle(partition, held)

    async def _write(self, partition: int, held: Held, *, once: bool = False) -> None:
        """Write everything now; `once`: as far as that can be done at once."""
        await self._settle(partition, held, once=once)
        commit = self._prepared(partition, held)
        if commit is not None:
            held.writing, held.still = asyncio.ensure_future(self._store(partition, held, commit, once=once)), True
            await self._settle(partition, held)

    async def _settle(self, partition: int, held: Held, *, once: bool = False) -> None:
        """Wait for the commit that is under way. Raises what it raised: Fenced, where the partition is lost.

        `once`: not for a store that is away; then StoreUnavailable is raised, and what was to be written is left.
        A wait that is cancelled leaves the commit under way: two at a time could be written in the wrong order.
        """
        task = held.writing
        if task is None:
            return
        await asyncio.wait({task}, timeout=LET_GO_S if once else None)
        held.writing = None
        if not task.done():
            task.cancel()
            raise StoreUnavailable("a commit did not end in time")
        try:
            task.result()
        except Fenced as error:
            log.warning("partition_lost", partition=partition, reason=str(error))
            self.lost.add(partition)
            self._forget(partition)
            raise

    async def _settle_still(self, partition: int, held: Held) -> None:
        """Before anything is taken: wait for a commit that writes what is in memory itself."""
        if held.writing is not None and held.still:
            await self._settle(partition, held)

    def _prepared(self, partition: int, held: Held) -> Commit | None:
        """What there is to write now; None where there is nothing."""
        pipeline = held.pipeline
        self._measure(partition, pipeline)
        found = pipeline.drain()
        if self.dead_letters is not None:
            found.reject_counts = self._counted(partition, held, found.rejects)
        facts, held.unwritten = _joined(held.unwritten, found), None
        before, held.pending = held.pending, None
        if before is not None:  # it was interrupted
            facts = _joined(before.facts, facts)
        elif not facts and not held.uncommitted and pipeline.watermark == held.watermark:
            held.committed_s = monotonic()
            return None
        held.uncommitted = 0
        parts = pipeline.changes() if before is None else before.parts | pipeline.changes()
        held.pending = Commit(facts, parts, dict(pipeline.offsets), pipeline.watermark)
        return held.pending

    async def _store(self, partition: int, held: Held, commit: Commit, *, once: bool = False) -> None:
        facts = commit.facts
        if self.dead_letters is not None and facts.rejects:
            await self.dead_letters(facts.rejects)
            reach(Point.DEAD_LETTERS_WRITTEN)
            facts.rejects = []
        began_s = monotonic()
        await (self._commit if once else self._commit_patiently)(partition, held, commit)
        held.committed_s, held.watermark, held.pending = monotonic(), commit.watermark, None
        held.commit_s = held.committed_s - began_s
        self.metrics.committed(held.commit_s)

    def _counted(self, partition: int, held: Held, rejects: Sequence[RejectRow]) -> list[RejectCount]:
        """How many there are of each fault in this hour, in all: written again, they count nothing twice."""
        hour = self.clock().replace(minute=0, second=0, microsecond=0)
        for reject in rejects:
            held.counts[hour, reject.fault] = held.counts.get((hour, reject.fault), 0) + 1
        held.counts = {key: events for key, events in held.counts.items() if key[0] >= hour - COUNTS_KNOWN}
        return [
            RejectCount(hour=hour, partition=partition, fault=fault, events=held.counts[hour, fault])
            for fault in sorted({reject.fault for reject in rejects})
        ]

    async def _commit(self, partition: int, held: Held, commit: Commit) -> None:
        await asyncio.to_thread(
            self.store.commit,
            partition,
            held.epoch,
            commit.facts,
            snapshot=commit.parts,
            offsets=commit.offsets,
            now=self.clock(),
            watermark=commit.watermark,
        )

    async def _commit_patiently(self, partition: int, held: Held, commit: Commit) -> None:
        wait_s = 0.5
        while True:
            try:
                try:
                    with self.pressure.writing():
                        await self._commit(partition, held, commit)
                except AlreadyOpen as error:
                    await self._end_orphan(error, commit.facts)
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


def copied(parts: Parts) -> Parts:
    """Parts that stay as they are whatever is taken next."""
    return {name: bytes(body) if isinstance(body, memoryview) else body for name, body in parts.items()}


def _logs_by_partition(logs: Iterable[Log]) -> dict[int, list[Log]]:
    parts: dict[int, list[Log]] = {}
    for one in logs:
        parts.setdefault(one.partition, []).append(one)
    return parts


def _joined(earlier: Facts | None, later: Facts) -> Facts:
    """Facts in the order in which they were found."""
    if not earlier:
        return later
    return Facts(**{name: getattr(earlier, name) + getattr(later, name) for name in Facts.__struct_fields__})


def process_owner(kind: str) -> str:
    """A name for this process among all that share a store."""
    return f"{kind}-{os.uname().nodename}-{os.getpid()}"
