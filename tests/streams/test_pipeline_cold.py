"""Workloads that nobody heard of for days leave a crowded panel, and are judged on return as if they had stayed."""

import asyncio
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

from alerts.incidents import SeverityPolicy
from detectors.anomaly import AnomalyDetector
from detectors.data_gap import DataGapDetector
from detectors.idle import IdleDetector
from detectors.unpriced import UnpricedDetector
from store.facts import Facts
from store.store import Store
from streams.attribution import Attribution
from streams.keeper import Keeper
from streams.metrics import Metrics
from streams.pipeline import Limits, Pipeline
from streams.pricing import Pricer
from streams.status import Statuses
from tests.streams.events import BOOK, HOUR, NOON, Log, change, gpu, nano_usd, router, usage

DAY = timedelta(days=1)
NAMES = [f"lab/team/w{number}" for number in range(8)]


def crowded(store: Store | None, max_workloads: int) -> Pipeline:
    idle = IdleDetector()
    return Pipeline(
        partition=0,
        detectors=(idle, DataGapDetector(), UnpricedDetector(), AnomalyDetector()),
        statuses=Statuses(idle),
        pricer=Pricer(BOOK),
        attribution=Attribution(()),
        severity=SeverityPolicy(),
        route=router().decide,
        limits=Limits(max_workloads=max_workloads, max_devices=max_workloads),
        recall=None if store is None else partial(store.read_cold, 0),
    )


def hours(names: list[str], begin: int, end: int) -> list[Any]:
    """One busy accelerator and some tokens of each, every half hour; and someone who is always there."""
    values: list[Any] = []
    for half in range(2 * begin, 2 * end):
        at = NOON + half * HOUR / 2
        for name in [*names, "lab/team/always"]:
            values.append(gpu(at, workload=name, device=f"GPU-{name}", span_s=1800, util_ratio=0.9))
            values.append(usage(at, workload=name, event_id=f"{name}-{half}", span_s=1800))
    return values


def test_who_comes_back_after_days_is_judged_as_if_it_had_stayed():
    store, log, other = Store.open("sqlite://"), Log(), Log()
    tight, roomy = crowded(store, 14), crowded(None, 1000)
    epoch = store.claim_partition(0, "me", NOON).epoch
    stories = [
        hours(NAMES, 0, 30),
        hours([], 30, 90),
        [change(NOON + 90 * HOUR, workload=NAMES[1])],
        hours(NAMES, 90, 120),
    ]
    ledgers, incidents, left = ([], []), ([], []), 0
    for story in stories:
        for start in range(0, len(story), 10):
            piece = story[start : start + 10]
            roomy.observe(other.records(piece))
            tight.observe(log.records(piece))
            for place, one in enumerate((roomy, tight)):
                facts = one.drain()
                ledgers[place].extend(facts.ledger)
                incidents[place].extend(facts.incidents)
                left = max(left, len(one.cold))
                if one is tight:
                    store.commit(0, epoch, facts, snapshot=one.changes(), offsets=one.offsets, now=NOON)

    assert left == 2 * len(NAMES)  # each with its accelerator
    assert len(tight.cold) == 0
    assert store.read_cold(0, "workload", NAMES) == {}
    assert nano_usd(ledgers[1]) == nano_usd(ledgers[0])
    assert [(one.incident_id, one.transition, one.resolved_at) for one in incidents[1]] == [
        (one.incident_id, one.transition, one.resolved_at) for one in incidents[0]
    ]
    assert incidents[0]
    again = crowded(store, 14)
    claim = store.claim_partition(0, "again", NOON)
    again.load(claim.snapshot or {}, claim.offsets)
    assert again.snapshot() == tight.snapshot()


def test_who_comes_back_while_the_commit_that_it_left_with_is_under_way_is_recalled_all_the_same():
    store, log, may_write = Store.open("sqlite://"), Log(), Event()
    cold: list[str] = []
    warmed: list[str] = []

    class Slow:
        def commit(self, partition: int, epoch: int, facts: Facts, **how: Any) -> None:
            cold.extend(row.key for row in facts.cold)
            warmed.extend(row.key for row in facts.warmed)
            if cold:
                assert may_write.wait(120)
            store.commit(partition, epoch, facts, **how)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    async def scene() -> None:
        keeper = Keeper(
            store=Slow(),  # type: ignore[arg-type]
            build=lambda partition: crowded(store, 14),
            owner="me",
            clock=lambda: NOON + 200 * HOUR,
            metrics=Metrics("test"),
            commit_every_s=0.0,
            beside_bytes=10**9,
        )
        await keeper.assigned({0})
        held = keeper.held[0]
        held.committed_s = float("inf")
        one = held.pipeline
        await keeper.handle(log.records([*hours(NAMES, 0, 30), *hours([], 30, 90)]))
        await keeper.flush()
        one._cool(one.next_minute * 60 // 3600 * 3600)
        assert len(one.cold)
        held.committed_s = 0.0
        await keeper.handle(log.records(hours([], 90, 91)[:1]))
        async with asyncio.timeout(120):
            while not cold:
                await asyncio.sleep(0)
        back = asyncio.ensure_future(keeper.handle(log.records(hours([NAMES[0]], 91, 92))))
        for _ in range(20):
            await asyncio.sleep(0)
        may_write.set()
        await back
        await keeper.flush()

    asyncio.run(scene())
    store.close()

    assert NAMES[0] in cold
    assert NAMES[0] in warmed
