"""Events up to a day out of order, and a bill that rewrites last week: the same dollars, and nobody is woken."""

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from alerts.severity import Severity
from store.facts import Facts
from store.store import Store
from streams.pipeline import Pipeline
from streams.records import Record
from tests.store.samples import commit
from tests.streams.events import HOUR, MINUTE, NOON, SECOND, Log, charge, gpu, nano_usd, pipeline, usage

DAY = timedelta(days=1)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    yield opened
    opened.close()


def two_days() -> list[dict[str, Any]]:
    """Three busy accelerators and a stream of tokens, a report every ten minutes."""
    events = []
    for number in range(2 * 24 * 6):
        at = NOON + number * 10 * MINUTE
        events += [
            gpu(at, device=f"GPU-{device}", workload=f"prod/x/{device}", span_s=600, power_w=500.0)
            for device in range(3)
        ]
        events.append(usage(at, span_s=600, cost_usd="0.000000007"))
    return events


def told(pipe: Pipeline, records: Sequence[Record]) -> Facts:
    pipe.observe(records)
    pipe.finish()
    return pipe.drain()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("spread", [2 * HOUR, DAY], ids=str)
def test_out_of_order_by_hours_comes_to_the_same_dollars_and_wakes_nobody(seed, spread):
    events = two_days()
    in_order = told(pipeline(), Log().records(events))
    chance = random.Random(seed)
    delayed = [
        (NOON + number // 4 * 10 * MINUTE + SECOND + chance.random() * spread, number) for number in range(len(events))
    ]
    log = Log()
    shuffled = [log.record(events[number], arrived_at) for arrived_at, number in sorted(delayed)]

    facts = told(pipeline(), shuffled)

    assert facts.rejects == []
    assert nano_usd(facts.ledger) == nano_usd(in_order.ledger)
    assert [incident for incident in facts.incidents if incident.severity is Severity.PAGE] == []
    assert [incident for incident in facts.incidents if incident.kind == "idle"] == []


def test_a_late_file_that_rewrites_last_week_replaces_its_charges_and_wakes_nobody(store):
    log, one = Log(), pipeline()
    week = [NOON + number * DAY for number in range(7)]
    first = [charge(day, effective_cost="48", billed_cost="48") for day in week]
    second = [{**event, "at": charge(NOON + 9 * DAY)["at"], "effective_cost": "50.25"} for event in first]
    samples = [gpu(NOON + 9 * DAY + number * MINUTE, span_s=60) for number in range(30)]

    one.observe(log.records([*first, *samples]))
    commit(store, one.drain())
    before = billed(store)
    one.observe([log.record([*second, *second], NOON + 9 * DAY + HOUR)])
    one.finish()
    facts = one.drain()
    commit(store, facts)

    assert (before, billed(store)) == (7 * Decimal(48), 7 * Decimal("50.25"))
    assert [incident for incident in facts.incidents if incident.severity is Severity.PAGE] == []
    assert facts.rejects == []


def billed(store: Store) -> Decimal:
    return sum((row.effective_cost for row in store.charges_between(NOON - 30 * DAY, NOON + 30 * DAY)), Decimal(0))
