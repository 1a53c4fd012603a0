"""Workloads come and go by the thousand: their lines in the ledger go with the hours that told of them."""

from datetime import datetime
from itertools import pairwise
from typing import Any

from alerts.incidents import SeverityPolicy
from detectors.idle import IdleDetector
from streams.attribution import Attribution
from streams.pipeline import Limits, Pipeline
from streams.pricing import PriceBook, Pricer
from streams.records import Slice
from streams.status import Statuses
from tests.streams.test_many_keys import BEGIN_S, NANO_USD, sample

AN_HOUR, HOURS = 1_500, 6


def pipeline() -> Pipeline:
    idle = IdleDetector()
    return Pipeline(
        partition=0,
        detectors=(idle,),
        statuses=Statuses(idle),
        pricer=Pricer(PriceBook()),
        attribution=Attribution(()),
        severity=SeverityPolicy(),
        route=lambda transition: [],
        limits=Limits(horizon_h=1),
    )


def messages() -> list[tuple[int, bytes]]:
    """Each hour others, and one that is always there."""
    told = []
    for hour in range(HOURS):
        at_s = BEGIN_S + hour * 3600
        told += [(at_s + 60, sample(at_s + 60, f"GPU-{hour}-{n}", f"prod/h{hour}/{n}")) for n in range(AN_HOUR)]
        told += [(at_s + minute * 60, sample(at_s + minute * 60, "GPU-a", "prod/always/a")) for minute in range(2, 50)]
    return told


def fed(size: int) -> tuple[Pipeline, dict[tuple[datetime, str], int], dict[str, Any]]:
    """The pipeline after all of it in slices of so many, what it told of dollars, and what it wrote down."""
    pipe, told, ledger, written = pipeline(), messages(), {}, {}
    ends = [*range(size, len(told), size), len(told) - 1, len(told)]  # the last one closes minutes when all is told
    for first, end in pairwise([0, *ends]):
        part = told[first:end]
        offsets = range(first, end)
        pipe.observe(Slice("gpu.samples", 0, offsets, [at_s * 1000 for at_s, _ in part], [one for _, one in part]))
        ledger |= {(row.hour, row.workload): row.nano_usd for row in pipe.drain().ledger}
        written |= pipe.changes()
    return pipe, ledger, {name: bytes(body) for name, body in written.items() if body is not None}


def test_lines_that_are_forgotten_cost_no_dollar_and_however_messages_come_the_state_is_the_same():
    pipe, ledger, written = fed(777)
    other, same_ledger, _ = fed(5_000)

    assert len(ledger) == HOURS * (AN_HOUR + 1)
    assert {row for (_, name), row in ledger.items() if name != "prod/always/a"} == {NANO_USD}
    assert {row for (_, name), row in ledger.items() if name == "prod/always/a"} == {48 * NANO_USD}
    assert ledger == same_ledger
    assert pipe.snapshot() == other.snapshot()
    assert len(pipe.snapshot()["pages/lines"]) < 4 * AN_HOUR * 40  # of the last hours, not of all
    loaded = pipeline()
    loaded.load(written, pipe.offsets)
    assert loaded.snapshot() == pipe.snapshot()
