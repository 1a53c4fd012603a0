"""A flood of names: memory stays flat, who was known before is judged as before, and no dollar is lost."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from alerts.incidents import SeverityPolicy
from detectors.data_gap import DataGapDetector
from detectors.idle import IdleDetector
from detectors.panel import OVERFLOW
from store.facts import LedgerRow
from streams.attribution import Attribution, TeamRule
from streams.pipeline import Limits, Pipeline
from streams.pricing import PriceBook, Pricer
from streams.records import Slice
from streams.status import Statuses

BEGIN_S = 1_769_428_800
KNOWN = [f"prod/known/{number}" for number in range(50)]
A_MINUTE, MINUTES, SETTLED = 8_000, 55, 25  # strangers; at first caches fill, and they have limits
NANO_USD = 4_000_000_000 * 60 // 3600  # of a minute at the shipped price of an H100
STATM = Path("/proc/self/statm")


def pipeline() -> Pipeline:
    idle = IdleDetector()
    return Pipeline(
        partition=0,
        detectors=(idle, DataGapDetector()),
        statuses=Statuses(idle),
        pricer=Pricer(PriceBook()),
        attribution=Attribution((TeamRule(match={"namespace": "known"}, team="search"),), limit=20_000),
        severity=SeverityPolicy(),
        route=lambda transition: [],
        limits=Limits(max_workloads=2_000, max_devices=2_000),
    )


def sample(at_s: int, device: str, workload: str) -> bytes:
    return msgspec.json.encode(
        {
            "type": "gpu_sample", "at": datetime.fromtimestamp(at_s, UTC).isoformat(), "span_s": 60,
            "workload": workload, "device": device, "gpu_model": "H100", "util_ratio": 0.0, "power_w": 70.0,
        }
    )  # fmt: skip


def slices(strangers: int) -> Iterator[Slice]:
    """A minute each: those who are known, and then so many who were never heard of before."""
    offset = 0
    for minute in range(1, MINUTES + 1):
        at_s = BEGIN_S + minute * 60
        values = [sample(at_s, f"GPU-{name}", name) for name in KNOWN]
        first = minute * strangers
        values += [sample(at_s, f"GPU-{n}", f"prod/strange/{n}") for n in range(first, first + strangers)]
        offsets = list(range(offset, offset + len(values)))
        offset += len(values)
        yield Slice("gpu.samples", 0, offsets, [at_s * 1000] * len(values), values)


def rss_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc")
def test_a_flood_of_names_costs_no_memory_no_judgement_and_no_dollar():
    calm, flooded = pipeline(), pipeline()
    for piece in slices(0):
        calm.observe(piece)
    calm.finish()
    before, rss = calm.drain(), []
    ledger: dict[tuple[datetime, str, str], LedgerRow] = {}
    incidents = {}
    for piece in slices(A_MINUTE):
        flooded.observe(piece)
        facts, _ = flooded.drain(), flooded.changes()
        ledger |= {(row.hour, row.workload, row.line): row for row in facts.ledger}
        incidents |= {one.incident_id: one for one in facts.incidents}
        rss.append(rss_bytes())
    flooded.finish()
    after = flooded.drain()
    ledger |= {(row.hour, row.workload, row.line): row for row in after.ledger}
    incidents |= {one.incident_id: one for one in after.incidents}

    assert rss[-1] - rss[SETTLED] < 24 * 2**20, (
        "of 240,000 names: the marks against duplicates, and what the allocator keeps"
    )
    known = [one for one in incidents.values() if one.workload in KNOWN]
    assert sorted(map(repr, known)) == sorted(map(repr, before.incidents))
    assert len(known) == len(KNOWN)
    assert sum(row.nano_usd for row in ledger.values()) == NANO_USD * MINUTES * (A_MINUTE + len(KNOWN))
    own = {key for key in flooded.fleet.workloads.keys if key != OVERFLOW}
    shared = sum(row.nano_usd for row in ledger.values() if row.workload == OVERFLOW)
    assert shared == NANO_USD * (A_MINUTE * MINUTES - (len(own) - len(KNOWN)))
