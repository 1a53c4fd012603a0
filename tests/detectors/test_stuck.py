"""Busy without output: all evidence, for long enough; unknown is unknown."""

from datetime import timedelta

import pytest

from detectors.findings import Cause, Finding, Kind
from detectors.stuck import StuckDetector
from tests.detectors.reports import Gpu, Use, Watch, at

TRAINING = "prod/train/bert"


def spinning(device: str = "GPU-1", workload: str = TRAINING) -> Gpu:
    return Gpu(device=device, workload=workload, util_ratio=1.0, sm_active_ratio=0.02, power_w=90.0)


def working(device: str = "GPU-1", workload: str = TRAINING) -> Gpu:
    return Gpu(device=device, workload=workload, util_ratio=0.97, sm_active_ratio=0.6, power_w=450.0)


def test_a_job_that_spins_is_told_after_a_quarter_of_an_hour():
    watch = Watch(StuckDetector())
    watch.see(1, working())
    for number in range(2, 17):
        watch.see(number, spinning())

    (finding,) = watch.findings
    assert finding == Finding(
        kind=Kind.WASTE,
        cause=Cause.BUSY_NO_OUTPUT,
        at=at(16),
        began_at=at(1),
        workload=TRAINING,
        team="search",
        model="L40S",
        devices=("GPU-1",),
        usd_per_hour=2.0,
        usd_so_far=0.5,
        usd_if_ignored=round(0.5 + 2.0 * (27 * 24 - 16 / 60), 6),  # to the end of January
        observed=0.0,
        expected=2.0,
        unit="usd_per_hour_used",
        confidence=0.95,
        evidence={
            "busy_without_output_s": 900.0,
            "wasted_usd": 0.5,
            "accelerators": 1.0,
            "util_ratio": 1.0,
            "sm_active_ratio": 0.02,
            "power_w": 90.0,
        },
    )


@pytest.mark.parametrize(
    "sample",
    [
        Gpu(util_ratio=1.0),
        Gpu(util_ratio=1.0, power_w=90.0),
        Gpu(util_ratio=1.0, sm_active_ratio=0.02),
        Gpu(util_ratio=1.0, sm_active_ratio=0.02, power_w=0.0),
        Gpu(util_ratio=1.0, tensor_active_ratio=0.0, power_w=90.0),
        Gpu(util_ratio=1.0, sm_active_ratio=0.02, power_w=400.0),
        Gpu(util_ratio=1.0, sm_active_ratio=0.02, tensor_active_ratio=0.3, power_w=90.0),
        Gpu(util_ratio=0.5, sm_active_ratio=0.02, power_w=90.0),
    ],
)
def test_utilisation_alone_or_with_evidence_missing_or_against_it_is_never_enough(sample):
    watch = Watch(StuckDetector())
    for number in range(1, 200):
        watch.see(number, sample)

    assert watch.findings == []


def test_a_server_that_still_answers_is_not_stuck():
    watch = Watch(StuckDetector())
    for number in range(1, 200):
        watch.see(number, spinning(workload="prod/llm/chat"), Use(requests=1.0, tokens=100.0))

    assert watch.findings == []


def test_a_server_whose_counters_are_silent_is_unknown():
    watch = Watch(StuckDetector())
    watch.see(1, spinning(workload="prod/llm/chat"), Use(requests=1.0))
    for number in range(2, 200):
        watch.see(number, spinning(workload="prod/llm/chat"))

    assert watch.findings == []


def test_a_server_without_any_answer_is_stuck_and_ends_where_answers_come_again():
    watch = Watch(StuckDetector())
    for number in range(1, 61):
        busy = number > 20
        sample = spinning if busy else working
        watch.see(number, sample(workload="prod/llm/chat"), Use(requests=0.0 if busy else 5.0))
    watch.see(61, working(workload="prod/llm/chat"), Use(requests=5.0))
    watch.see(62, working(workload="prod/llm/chat"), Use(requests=5.0))

    opened, ended = watch.told
    assert (opened.began_at, opened.at, opened.evidence["requests"]) == (at(20), at(35), 0.0)
    assert (ended.cleared, ended.at, ended.ended_at, ended.usd_so_far) == (True, at(61), at(60), 1.333333)


def test_one_accelerator_that_works_speaks_for_its_job():
    watch = Watch(StuckDetector())
    for number in range(1, 200):
        watch.see(number, spinning("GPU-1"), working("GPU-2"))

    assert watch.findings == []


def test_it_is_over_when_all_accelerators_have_gone():
    watch = Watch(StuckDetector())
    for number in range(1, 31):
        watch.see(number, spinning())
    for number in range(31, 60):
        watch.see(number, spinning(workload="prod/train/other", device="GPU-2"))

    opened, other, ended = watch.told
    assert (opened.workload, opened.at) == (TRAINING, at(15))
    assert (ended.workload, ended.at, ended.ended_at) == (TRAINING, at(46), at(30))
    assert (other.workload, other.at - other.began_at) == ("prod/train/other", timedelta(seconds=900))


def test_the_state_survives_a_trip_through_bytes():
    watch = Watch(StuckDetector())
    for number in range(1, 10):
        watch.see(number, spinning())
    watch = watch.through_bytes()
    for number in range(10, 20):
        watch.see(number, spinning())

    assert watch.told[0].began_at == at(0)
