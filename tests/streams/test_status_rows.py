from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from store.facts import StatusRow, WorkloadState
from streams.pipeline import Pipeline
from tests.streams.events import (
    CHAT,
    H100,
    HOUR,
    MINUTE,
    NOON,
    NOTEBOOK,
    SECOND,
    Log,
    gpu,
    idle_gpu,
    pipeline,
    usage,
)


def seen(one: Pipeline, log: Log, values: Sequence[Any]) -> dict[str, StatusRow]:
    one.observe(log.records(values))
    one.finish()
    return {row.workload: row for row in one.drain().statuses}


def status(*values: Any) -> dict[str, StatusRow]:
    return seen(pipeline(), Log(), values)


def test_a_busy_workload():
    rows = status(*[gpu(NOON + number * 30 * SECOND, team="ml") for number in range(10)])

    assert rows == {
        NOTEBOOK: StatusRow(
            workload=NOTEBOOK,
            team="ml",
            at=NOON + 5 * MINUTE,
            state=WorkloadState.BUSY,
            usd_per_hour=4.0,
            devices=1,
            idle_devices=0,
            gpu_model=H100,
            util_ratio=0.8,
            power_w=500.0,
        )
    }


def test_an_idle_workload_says_since_when_and_how_many_accelerators():
    values = [
        idle_gpu(NOON + number * MINUTE, device=f"GPU-{device}", span_s=60) for number in range(8) for device in (1, 2)
    ]

    row = status(*values)[NOTEBOOK]

    assert (row.state, row.devices, row.idle_devices, row.usd_per_hour) == (WorkloadState.IDLE, 2, 2, 8.0)
    assert row.idle_since is not None
    assert abs(row.idle_since - (NOON - MINUTE)) <= MINUTE


def test_what_is_not_known_is_unknown_and_not_idle():
    row = status(*[gpu(NOON + number * MINUTE, util_ratio=None, power_w=None, span_s=60) for number in range(8)])[
        NOTEBOOK
    ]

    assert (row.state, row.idle_devices, row.idle_since) == (WorkloadState.UNKNOWN, 0, None)
    assert (row.util_ratio, row.power_w) == (None, None)


def test_one_busy_accelerator_makes_the_workload_busy():
    values = [
        make(NOON + number * MINUTE, device=device, span_s=60)
        for number in range(8)
        for make, device in ((idle_gpu, "GPU-1"), (gpu, "GPU-2"))
    ]

    assert status(*values)[NOTEBOOK].state is WorkloadState.BUSY


def test_tokens_count_in_dollars_an_hour_and_in_tokens_a_minute():
    row = status(*[usage(NOON + number * MINUTE) for number in range(5)])[CHAT]

    assert (row.state, row.devices, row.gpu_model) == (WorkloadState.BUSY, 0, None)
    assert (row.usd_per_hour, row.tokens_per_minute) == (0.39, 12_000.0)


def test_only_what_reported_since_the_last_look_is_told():
    one, log = pipeline(), Log()
    assert set(seen(one, log, [gpu(), usage()])) == {NOTEBOOK, CHAT}
    assert one.drain().statuses == []

    assert set(seen(one, log, [gpu(NOON + 10 * MINUTE)])) == {NOTEBOOK}


def test_a_restart_does_not_forget_what_tokens_cost():
    log, whole = Log(), pipeline()
    both = [gpu(NOON, workload=CHAT), usage(NOON, span_s=600)]
    whole.observe(log.records(both))
    whole.finish()
    whole.drain()
    loaded = pipeline()
    loaded.load(whole.snapshot(), whole.offsets)
    after = log.records([gpu(NOON + 2 * MINUTE, workload=CHAT)])

    rows = []
    for one in (whole, loaded):
        one.observe(after)
        one.finish()
        rows.append(one.drain().statuses)

    assert rows[0] == rows[1]
    assert rows[0][0].usd_per_hour == pytest.approx(4.0 + 0.039)


def test_tokens_of_long_ago_cost_nothing_now():
    one, log = pipeline(), Log()
    seen(one, log, [gpu(NOON, workload=CHAT), usage(NOON)])

    row = seen(one, log, [gpu(NOON + HOUR + timedelta(minutes=1), workload=CHAT)])[CHAT]

    assert (row.usd_per_hour, row.tokens_per_minute) == (4.0, 0.0)
