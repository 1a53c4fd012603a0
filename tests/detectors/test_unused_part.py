"""Accelerators that nobody uses in a workload whose others work."""

import pytest
from msgspec.structs import replace

from detectors.findings import Cause, Kind
from detectors.idle import IdleDetector
from detectors.unused_part import UnusedPartDetector
from tests.detectors.minutes import BUSY, QUIET, Gpu, Report, Use, Watch, at, clearings, openings


def job(used: int, unused: int, **more: float) -> list[Report]:
    """A job's minute: so many accelerators at work, so many not."""
    busy = [replace(BUSY, device=f"GPU-{number}") for number in range(used)]
    quiet = [replace(QUIET, device=f"GPU-{used + number}", **more) for number in range(unused)]
    return [*busy, *quiet]


def watch() -> Watch:
    return Watch(IdleDetector(), UnusedPartDetector())


def test_two_of_eight_that_nobody_uses_are_told_after_an_hour_with_what_they_alone_cost():
    eyes = watch()
    assert eyes.see(*job(6, 2), minutes=59) == []

    (opened,) = openings(eyes.see(*job(6, 2), minutes=11))
    assert (opened.kind, opened.cause) == (Kind.WASTE, Cause.UTILIZATION)
    assert (opened.at, opened.began_at, opened.devices) == (at(60), at(0), ("GPU-6", "GPU-7"))
    assert (opened.usd_per_hour, opened.usd_so_far, opened.unit) == (8.0, 8.0, "accelerators")
    assert (opened.observed, opened.expected) == (6.0, 8.0)
    assert opened.evidence == {
        "unused_s": 3600.0, "wasted_usd": 8.0, "accelerators": 2.0, "used_accelerators": 6.0
    }  # fmt: skip


def test_it_is_over_when_they_are_used_and_says_what_it_cost():
    eyes = watch()
    eyes.see(*job(6, 2), minutes=120)

    (ended,) = clearings(eyes.see(*job(8, 0), minutes=5))
    assert (ended.ended_at, ended.usd_so_far) == (at(125), pytest.approx(8.0 * 125 / 60))


def test_a_workload_that_falls_idle_as_a_whole_is_told_as_idle_and_no_longer_in_part():
    eyes = watch()
    eyes.see(*job(6, 2), minutes=120)
    found = eyes.see(*job(0, 8), minutes=40)

    assert Kind.IDLE in {one.kind for one in openings(found)}
    assert [one.kind for one in clearings(found)] == [Kind.WASTE]


def test_stages_of_a_job_that_take_turns_are_used():
    eyes = watch()
    for number in range(8):
        first, second = (BUSY, QUIET) if number % 2 else (QUIET, BUSY)
        found = eyes.see(replace(first, device="GPU-0"), replace(second, device="GPU-1"), minutes=45)
        assert found == []


@pytest.mark.parametrize(("memory_used_ratio", "told"), [(0.6, 0), (0.0, 1)])
def test_where_requests_come_an_accelerator_is_unused_only_with_its_memory_empty(memory_used_ratio, told):
    eyes = watch()
    serving: list[Report] = [*job(2, 1, memory_used_ratio=memory_used_ratio), Use(requests=5.0)]

    assert len(openings(eyes.see(*serving, minutes=120))) == told


def test_utilisation_alone_calls_nothing_unused():
    eyes = watch()
    silent = Gpu(device="GPU-9", util_ratio=0.0)

    assert eyes.see(replace(BUSY, device="GPU-0"), silent, minutes=240) == []
