"""What a partition owes the store: when it is written, in what order, and what happens when it can't be.

One commit writes snapshot, offsets and facts together. Messages are taken while one is under way, unless it is too
large to be copied. While the store is away it is tried again; a partition that another owner has taken is fenced.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import monotonic

import structlog
from msgspec.structs import replace

from store.errors import AlreadyOpen, Fenced, StoreUnavailable
from store.facts import AllowanceRow, Facts, RejectCount, RejectRow
from store.failpoints import Point, reach
from store.progress import COUNTS_KNOWN
from store.store import Store
from streams.held import Commit, Held, Parts, joined
from streams.metrics import Metrics
from streams.patience import FIRST_WAIT_S, Patience
from streams.pipeline import Pipeline

log = structlog.get_logger()

DeadLetters = Callable[[Sequence[RejectRow]], Awaitable[None]]
COMMIT_SHARE_RATIO = 0.1  # of the time that is spent on commits; one for a notice is never put off
BESIDE_BYTES = 16 * 1024 * 1024  # of a snapshot that is copied, so that it can be written while messages are taken
LET_GO_S = 2.0  # for a commit that is under way when a partition is given up
MOST_PUT_OFF = 10.0  # times the usual interval


class Commits:
    """Writes what partitions hold. The caller has the partition's lock."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], datetime],
        metrics: Metrics,
        patience: Patience,
        dead_letters: DeadLetters | None,
        every_s: float,
        every: int,
        beside_bytes: int,
        lost: Callable[[int], None],
    ) -> None:
        """`lost`: is told of a partition that has another owner; otherwise as the keeper has it."""
        self.store, self.clock, self.metrics, self.patience = store, clock, metrics, patience
        self.dead_letters, self.lost = dead_letters, lost
        self.every_s, self.every, self.beside_bytes = every_s, every, beside_bytes

    async def if_due(self, held: Held, *, caught_up: bool = False) -> None:
        """Begin a commit where one is due. It goes on while more messages are taken, unless there is much to write."""
        if held.writing is not None:
            if not held.writing.done() and held.uncommitted < self.every:
                return
            await self.settle(held)
        share_s = 0.0 if caught_up else held.commit_s / COMMIT_SHARE_RATIO
        wait_s = min(max(self.every_s, share_s), self.every_s * MOST_PUT_OFF)
        due = monotonic() - held.committed_s >= wait_s or held.uncommitted >= self.every
        if due or held.pipeline.facts.notices:
            commit = self._prepared(held)
            if commit is None:
                return
            size = sum(len(body) for body in commit.parts.values() if body is not None)
            if size <= self.beside_bytes:
                commit = held.pending = replace(commit, parts=copied(commit.parts))
                held.writing, held.still = asyncio.ensure_future(self._store(held, commit)), False
            else:  # no copy of that much: nothing is taken meanwhile, so that what is written stays as it is
                held.writing, held.still = asyncio.ensure_future(self._store(held, commit)), True
                await self.settle(held)

    async def write(self, held: Held, *, once: bool = False) -> None:
        """Write everything now; `once`: as far as that can be done at once."""
        await self.settle(held, once=once)
        commit = self._prepared(held)
        if commit is not None:
            held.writing, held.still = asyncio.ensure_future(self._store(held, commit, once=once)), True
            await self.settle(held)

    async def settle(self, held: Held, *, once: bool = False) -> None:
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
            log.warning("partition_lost", partition=held.partition, reason=str(error))
            self.lost(held.partition)
            raise

    async def settle_still(self, held: Held) -> None:
        """Before anything is taken: wait for a commit that writes what is in memory itself."""
        if held.writing is not None and held.still:
            await self.settle(held)

    def _prepared(self, held: Held) -> Commit | None:
        """What there is to write now; None where there is nothing."""
        pipeline = held.pipeline
        self._measure(held.partition, pipeline)
        found = pipeline.drain()
        if self.dead_letters is not None:
            found.reject_counts = self._counted(held, found.rejects)
        if held.guard is not None and held.guard.allowance != held.allowance:
            held.allowance = held.guard.allowance
            found.allowances = [AllowanceRow(partition=held.partition, left=held.allowance)]
        facts, held.unwritten = joined(held.unwritten, found), None
        before, held.pending = held.pending, None
        if before is not None:  # it was interrupted
            facts = joined(before.facts, facts)
        elif not facts and not held.uncommitted and pipeline.watermark == held.watermark:
            held.committed_s = monotonic()
            return None
        held.uncommitted = 0
        parts = pipeline.changes() if before is None else before.parts | pipeline.changes()
        held.pending = Commit(facts, parts, dict(pipeline.offsets), pipeline.watermark)
        return held.pending

    async def _store(self, held: Held, commit: Commit, *, once: bool = False) -> None:
        facts = commit.facts
        if self.dead_letters is not None and facts.rejects:
            await self.dead_letters(facts.rejects)
            reach(Point.DEAD_LETTERS_WRITTEN)
            facts.rejects = []
        began_s = monotonic()
        await (self._commit if once else self._commit_patiently)(held, commit)
        held.committed_s, held.watermark, held.pending = monotonic(), commit.watermark, None
        held.commit_s = held.committed_s - began_s
        self.metrics.committed(held.commit_s)

    def _counted(self, held: Held, rejects: Sequence[RejectRow]) -> list[RejectCount]:
        """How many there are of each fault in this hour, in all: written again, they count nothing twice."""
        hour = self.clock().replace(minute=0, second=0, microsecond=0)
        for reject in rejects:
            held.counts[hour, reject.fault] = held.counts.get((hour, reject.fault), 0) + 1
        held.counts = {key: events for key, events in held.counts.items() if key[0] >= hour - COUNTS_KNOWN}
        return [
            RejectCount(hour=hour, partition=held.partition, fault=fault, events=held.counts[hour, fault])
            for fault in sorted({reject.fault for reject in rejects})
        ]

    async def _commit(self, held: Held, commit: Commit) -> None:
        await asyncio.to_thread(
            self.store.commit,
            held.partition,
            held.epoch,
            commit.facts,
            snapshot=commit.parts,
            offsets=commit.offsets,
            now=self.clock(),
            watermark=commit.watermark,
        )

    async def _commit_patiently(self, held: Held, commit: Commit) -> None:
        pressure, wait_s = self.patience.pressure, FIRST_WAIT_S
        while True:
            try:
                try:
                    with pressure.writing():
                        await self._commit(held, commit)
                except AlreadyOpen as error:
                    await self._end_orphan(error, commit.facts)
                    continue
            except StoreUnavailable as error:
                wait_s = await self.patience.wait(error, "commit", wait_s)
            else:
                pressure.back("commit")
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
