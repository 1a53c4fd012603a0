"""Idle accelerators: what opens, what does not, what ends it, and what it cost. Unknown is never idle."""

from math import nan

import pytest
from msgspec.structs import replace

from detectors.findings import Cause, Finding, Kind
from detectors.idle import IdleDetector
from detectors.panel import OVERFLOW, Fleet
from tests.detectors.minutes import BUSY, QUIET, Gpu, Use, Watch, at, clearings, openings

SILENT = Use(requests=0.0, running=0.0, waiting=0.0)


def test_an_accelerator_is_idle_after_thirty_minutes_exactly():
    watch = Watch(IdleDetector())

    assert watch.see(QUIET, minutes=29) == []
    assert watch.see(QUIET) == [
        Finding(
            kind=Kind.IDLE,
            cause=Cause.MEMORY_HELD,
            at=at(30),
            began_at=at(0),
            workload="prod/llm/chat",
            team="llm",
            model="H100",
            devices=("GPU-0",),
            usd_per_hour=4.0,
            usd_so_far=2.0,
            usd_if_ignored=2.0 + 4.0 * (5 * 24 + 11.5),  # to the end of January
            observed=0.0,
            expected=4.0,
            unit="usd_per_hour_used",
            confidence=0.95,
            evidence={
                "idle_s": 1800.0,
                "wasted_usd": 2.0,
                "accelerators": 1.0,
                "families": 2.0,
                "util_ratio": 0.0,
                "power_w": 70.0,
                "memory_used_ratio": 0.6,
            },
        )
    ]


def test_the_first_busy_sample_ends_it_with_what_it_cost():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=45)

    assert watch.see(BUSY) == [
        Finding(
            kind=Kind.IDLE,
            cause=Cause.MEMORY_HELD,
            at=at(46),
            began_at=at(0),
            ended_at=at(45),
            workload="prod/llm/chat",
            team="llm",
            cleared=True,
            usd_so_far=3.0,
            evidence={"idle_s": 2700.0, "wasted_usd": 3.0, "accelerators": 1.0},
        )
    ]
    assert watch.see(BUSY, minutes=60) == []


def test_each_minute_of_it_says_what_it_has_cost_so_far():
    findings = Watch(IdleDetector()).see(QUIET, minutes=33)
    assert [one.usd_so_far for one in findings] == [2.0, 2.066667, 2.133333, 2.2]


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(Gpu(memory_used_ratio=0.6), id="neither utilisation nor power"),
        pytest.param(Gpu(memory_used_ratio=0.0), id="empty memory alone"),
        pytest.param(Gpu(util_ratio=0.0, memory_used_ratio=0.6), id="utilisation alone"),
        pytest.param(Gpu(power_w=70.0, memory_used_ratio=0.6), id="power alone"),
        pytest.param(Gpu(util_ratio=0.0, power_w=0.0), id="a power meter that reads nothing"),
        pytest.param(Gpu(), id="nothing at all"),
    ],
)
def test_unknown_is_not_idle(sample: Gpu):
    assert Watch(IdleDetector()).see(sample, minutes=240) == []


def test_several_counters_of_one_family_are_one_family():
    activity = Gpu(util_ratio=0.0, engine_active_ratio=0.0, sm_active_ratio=0.0, tensor_active_ratio=0.0)
    assert Watch(IdleDetector()).see(activity, minutes=240) == []


def test_stale_samples_are_not_idle():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=20)
    assert watch.see(minutes=120) == []


def test_the_clock_begins_anew_after_a_hole_in_the_telemetry():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=20)
    watch.see(minutes=10)
    assert watch.see(QUIET, minutes=29) == []
    assert [one.began_at for one in watch.see(QUIET)] == [at(30)]


def test_a_sample_that_is_late_by_two_minutes_is_no_hole():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=20)
    watch.see(minutes=2)
    assert [one.at for one in openings(watch.see(QUIET, minutes=10))] == [at(30)]


def test_time_with_one_family_of_evidence_does_not_count():
    watch = Watch(IdleDetector())
    watch.see(Gpu(util_ratio=0.0), minutes=60)
    assert watch.see(QUIET, minutes=29) == []
    assert [one.began_at for one in watch.see(QUIET)] == [at(60)]


def test_a_field_that_is_missing_now_and_then_does_not_begin_the_clock_anew():
    watch = Watch(IdleDetector())
    findings = [one for _ in range(16) for one in watch.see(QUIET) + watch.see(Gpu(util_ratio=0.0))]
    assert [(one.at, one.began_at) for one in openings(findings)] == [(at(31), at(0))]


@pytest.mark.parametrize("field", ["util_ratio", "engine_active_ratio", "sm_active_ratio", "tensor_active_ratio"])
def test_one_busy_counter_contradicts_all_others(field: str):
    assert Watch(IdleDetector()).see(replace(QUIET, **{field: 0.5}), minutes=120) == []


def test_full_utilisation_is_not_idle_even_at_low_power():
    assert Watch(IdleDetector()).see(Gpu(util_ratio=1.0, power_w=60.0), minutes=120) == []


def test_high_power_contradicts_no_utilisation():
    watch = Watch(IdleDetector())
    watch.see(replace(QUIET, power_w=70.0))
    assert watch.see(replace(QUIET, power_w=150.0), minutes=120) == []


def test_power_above_the_ceiling_is_never_quiet():
    assert Watch(IdleDetector()).see(replace(QUIET, power_w=181.0), minutes=120) == []


def test_a_power_meter_that_fails_once_does_not_hide_idle_for_ever():
    watch = Watch(IdleDetector())
    watch.see(replace(QUIET, power_w=0.0))
    assert [one.at for one in openings(watch.see(QUIET, minutes=40))] == [at(31)]


def test_no_utilisation_while_requests_arrive_is_a_pause_between_bursts():
    assert Watch(IdleDetector()).see(QUIET, Use(requests=3.0), minutes=120) == []


def test_requests_that_run_or_wait_contradict():
    for gauge in (Use(running=1.0), Use(waiting=2.0)):
        assert Watch(IdleDetector()).see(QUIET, gauge, minutes=120) == []


def test_a_request_every_twenty_minutes_is_traffic():
    watch = Watch(IdleDetector())
    for _ in range(9):
        assert watch.see(QUIET, SILENT, minutes=19) + watch.see(QUIET, Use(requests=1.0)) == []


def test_without_traffic_requests_are_a_family_of_their_own():
    (finding,) = Watch(IdleDetector()).see(QUIET, SILENT, minutes=30)
    assert (finding.cause, finding.confidence, finding.evidence) == (
        Cause.NO_TRAFFIC,
        0.99,
        {
            "idle_s": 1800.0,
            "wasted_usd": 2.0,
            "accelerators": 1.0,
            "families": 3.0,
            "util_ratio": 0.0,
            "power_w": 70.0,
            "memory_used_ratio": 0.6,
            "requests": 0.0,
        },
    )


def test_utilisation_and_no_requests_are_two_families():
    findings = Watch(IdleDetector()).see(Gpu(util_ratio=0.0), SILENT, minutes=30)
    assert [(one.at, one.cause) for one in findings] == [(at(30), Cause.NO_TRAFFIC)]


def test_a_serving_workload_with_stale_token_telemetry_is_unknown():
    watch = Watch(IdleDetector())
    watch.see(QUIET, SILENT, minutes=10)
    assert watch.see(QUIET, minutes=600) == []


def test_a_request_ends_it_even_if_the_accelerator_stays_quiet():
    watch = Watch(IdleDetector())
    watch.see(QUIET, SILENT, minutes=60)

    (ended,) = watch.see(QUIET, Use(requests=1.0))

    assert (ended.cleared, ended.cause, ended.began_at, ended.ended_at) == (True, Cause.NO_TRAFFIC, at(0), at(60))
    assert (ended.usd_so_far, ended.evidence["idle_s"]) == (4.0, 3600.0)


def test_single_requests_have_no_rhythm_but_each_one_counts():
    watch = Watch(IdleDetector())
    watch.see(QUIET, Use(span_s=0.0, requests=1.0))
    assert watch.see(QUIET, minutes=29) == []
    (finding,) = watch.see(QUIET)
    assert (finding.at, finding.began_at, finding.cause) == (at(31), at(1), Cause.MEMORY_HELD)


def test_empty_memory_is_evidence_and_no_held_memory():
    (finding,) = Watch(IdleDetector()).see(replace(QUIET, memory_used_ratio=0.001), minutes=30)
    assert (finding.cause, finding.confidence, finding.evidence["families"]) == (Cause.UTILIZATION, 0.99, 3.0)


def test_accelerators_given_to_nobody_are_unallocated_to_the_end():
    watch = Watch(IdleDetector())
    free = replace(QUIET, workload="prod//", memory_used_ratio=0.0)

    findings = watch.see(free, minutes=30) + watch.see(replace(BUSY, workload="prod//"))

    assert [(one.workload, one.team, one.cause, one.cleared) for one in findings] == [
        ("prod//", None, Cause.UNALLOCATED, False),
        ("prod//", None, Cause.UNALLOCATED, True),
    ]


def many(*samples: Gpu) -> list[Gpu]:
    return [replace(sample, device=f"GPU-{number}") for number, sample in enumerate(samples)]


def test_all_of_many_accelerators_must_be_quiet():
    watch = Watch(IdleDetector())
    assert watch.see(*many(QUIET, QUIET, QUIET, BUSY), minutes=120) == []
    (finding,) = watch.see(*many(QUIET, QUIET, QUIET, replace(QUIET, power_w=80.0)), minutes=30)
    assert (finding.began_at, finding.usd_per_hour, finding.usd_so_far) == (at(120), 16.0, 8.0)
    assert finding.devices == ("GPU-0", "GPU-1", "GPU-2", "GPU-3")
    assert finding.evidence["power_w"] == 80.0


@pytest.mark.parametrize("unknown", [Gpu(), Gpu(util_ratio=0.0), Gpu(util_ratio=nan, power_w=nan)])
def test_one_of_many_accelerators_unknown_is_not_idle(unknown: Gpu):
    assert Watch(IdleDetector()).see(*many(QUIET, QUIET, unknown), minutes=240) == []


def test_one_of_many_accelerators_that_went_silent_makes_all_unknown_for_an_hour():
    watch = Watch(IdleDetector())
    watch.see(*many(QUIET, QUIET, BUSY), minutes=10)
    findings = watch.see(*many(QUIET, QUIET), minutes=90)
    assert [(one.at, one.began_at, one.usd_per_hour) for one in openings(findings)] == [(at(71), at(0), 8.0)]


def test_an_unknown_minute_does_not_end_what_is_open():
    watch = Watch(IdleDetector())
    watch.see(*many(QUIET, QUIET), minutes=40)
    assert watch.see(*many(QUIET, Gpu())) == []
    (finding,) = watch.see(*many(QUIET, QUIET))
    assert (finding.cleared, finding.began_at, finding.usd_so_far) == (False, at(0), 5.6)


def test_accelerators_that_vanish_end_it_at_their_last_sample():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=45)
    other = replace(BUSY, device="GPU-9", workload="prod/llm/other")

    findings = watch.see(other, minutes=45)

    assert {one.usd_so_far for one in findings} == {3.0}
    (ended,) = clearings(findings)
    assert (ended.at, ended.began_at, ended.ended_at, ended.usd_so_far) == (at(61), at(0), at(45), 3.0)


def test_rare_samples_that_vanish_have_cost_what_they_cost():
    watch = Watch(IdleDetector())
    rare = replace(QUIET, span_s=600.0)
    findings = [one for _ in range(6) for one in watch.see(minutes=9) + watch.see(rare)]
    findings += watch.see(minutes=60)
    (ended,) = clearings(findings)
    assert (ended.began_at, ended.ended_at, ended.usd_so_far) == (at(0), at(60), 4.0)


def test_an_accelerator_that_moves_takes_its_idle_time_with_no_one():
    watch = Watch(IdleDetector())
    watch.see(QUIET, minutes=45)

    findings = watch.see(replace(QUIET, workload="prod/llm/batch"), minutes=31)

    assert [(one.workload, one.began_at) for one in openings(findings)] == [("prod/llm/batch", at(45))]
    (ended,) = clearings(findings)
    assert (ended.workload, ended.ended_at, ended.usd_so_far) == ("prod/llm/chat", at(45), 3.0)


def test_accelerators_that_come_and_go_cost_only_while_they_are_there():
    watch = Watch(IdleDetector())
    watch.see(*many(QUIET), minutes=60)
    findings = watch.see(*many(QUIET, QUIET), minutes=60)
    assert (findings[-1].usd_per_hour, findings[-1].usd_so_far) == (8.0, 12.0)


def test_instances_of_one_card_are_accelerators_of_their_own():
    watch = Watch(IdleDetector())
    slices = [
        Gpu(device="GPU-7/gi-1", workload="prod/a/x", engine_active_ratio=0.0, memory_used_ratio=0.0),
        Gpu(device="GPU-7/gi-2", workload="prod/b/y", engine_active_ratio=0.4, memory_used_ratio=0.5),
    ]
    (finding,) = watch.see(*slices, minutes=30)
    assert (finding.workload, finding.devices) == ("prod/a/x", ("GPU-7/gi-1",))


def test_of_many_accelerators_all_are_counted_and_some_are_named():
    watch = Watch(IdleDetector())
    findings = watch.see(*many(*[QUIET] * 100), minutes=30) + watch.see(*many(BUSY))
    assert [(len(one.devices), one.evidence["accelerators"]) for one in findings] == [(64, 100.0), (0, 100.0)]
    assert findings[0].usd_per_hour == 400.0


def test_an_accelerator_without_a_price_is_idle_for_no_known_dollars():
    (finding,) = Watch(IdleDetector()).see(replace(QUIET, usd_per_hour=nan), minutes=30)
    assert (finding.usd_per_hour, finding.usd_so_far) == (0.0, 0.0)


def test_a_workload_whose_accelerator_has_no_row_of_its_own_is_unknown():
    watch = Watch(IdleDetector(), fleet=Fleet(max_devices=3))
    mine = many(QUIET, QUIET, BUSY)  # the third shares a row with an accelerator of someone else
    other = replace(QUIET, device="GPU-9", workload="prod/llm/other")

    assert watch.see(*mine, other, minutes=120) == []
    assert watch.fleet.devices.keys == ["GPU-0", "GPU-1", OVERFLOW]


def test_workloads_that_share_the_overflow_row_are_unknown():
    watch = Watch(IdleDetector(), fleet=Fleet(max_workloads=2))
    crowd = [replace(one, workload=f"prod/llm/{one.device}") for one in many(QUIET, QUIET, QUIET)]
    findings = watch.see(*crowd, minutes=60)
    assert {one.workload for one in findings} == {"prod/llm/GPU-0"}
