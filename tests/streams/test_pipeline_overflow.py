"""More accelerators than there are rows: dollars still count, and nothing is called idle that can't be seen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from alerts.incidents import SeverityPolicy
from detectors.data_gap import DataGapDetector
from detectors.idle import IdleDetector
from detectors.unpriced import UnpricedDetector
from store.facts import Facts, WorkloadState
from streams.attribution import Attribution
from streams.pipeline import Limits, Pipeline
from streams.pricing import PriceBook, Pricer
from streams.records import Record
from streams.status import Statuses

NOON = datetime(2026, 1, 26, 12, tzinfo=UTC)


def pipeline(**limits: int) -> Pipeline:
    idle = IdleDetector()
    return Pipeline(
        partition=0,
        detectors=(idle, DataGapDetector(), UnpricedDetector()),
        statuses=Statuses(idle),
        pricer=Pricer(PriceBook()),
        attribution=Attribution(()),
        severity=SeverityPolicy(),
        route=lambda transition: [],
        limits=Limits(**limits),
    )


def sample(minute: int, device: str, workload: str, util_ratio: float, power_w: float) -> dict[str, Any]:
    return {
        "type": "gpu_sample",
        "at": (NOON + timedelta(minutes=minute)).isoformat(),
        "span_s": 60,
        "workload": workload,
        "device": device,
        "gpu_model": "H100",
        "util_ratio": util_ratio,
        "power_w": power_w,
    }


def an_hour(kept: Pipeline) -> Facts:
    """Two quiet accelerators and a busy one of one workload, and after them a quiet one of another."""
    for minute in range(1, 61):
        samples = [
            sample(minute, "GPU-0", "prod/llm/chat", 0.0, 70.0),
            sample(minute, "GPU-1", "prod/llm/chat", 0.0, 70.0),
            sample(minute, "GPU-2", "prod/llm/chat", 0.9, 600.0),
            sample(minute, "GPU-3", "prod/llm/notebook", 0.0, 70.0),
        ]
        payload = msgspec.json.encode(samples)
        arrived_at = NOON + timedelta(minutes=minute)
        kept.observe([Record("gpu.samples", 0, minute, arrived_at, payload)])
    kept.finish()
    return kept.drain()


def test_a_workload_with_an_accelerator_that_has_no_row_is_unknown_and_its_dollars_count():
    facts = an_hour(pipeline(max_devices=3))

    assert facts.incidents == []
    assert WorkloadState.IDLE not in {row.state for row in facts.statuses}
    assert sum(row.nano_usd for row in facts.ledger) == sum(row.nano_usd for row in an_hour(pipeline()).ledger) > 0


def test_with_room_for_all_the_quiet_workload_alone_is_idle():
    assert [one.workload for one in an_hour(pipeline()).incidents] == ["prod/llm/notebook"]


def test_a_snapshot_keeps_who_has_no_row():
    first = pipeline(max_devices=3)
    an_hour(first)
    second = pipeline(max_devices=3)
    second.load(first.snapshot(), first.offsets)
    assert second.fleet.workloads.column("crowded").tolist() == [True, True]
    assert second.snapshot() == first.snapshot()
