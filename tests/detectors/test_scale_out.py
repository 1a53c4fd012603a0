"""A scale-out that nobody took back: extra accelerators, usual work."""

from datetime import timedelta

import pytest

from detectors.findings import Cause, Kind
from detectors.scale_out import ScaleOutDetector
from tests.detectors.reports import Gpu, Use, Watch, at

HOUR = 60


def serve(watch: Watch, hours: range, *, accelerators: int, requests: float, serves: bool = True) -> None:
    """So many accelerators and, each minute, so many requests (or so much utilisation)."""
    for number in range(hours.start * HOUR + 1, hours.stop * HOUR + 1):
        util = 0.5 if serves else requests / accelerators
        samples: list[Gpu | Use] = [Gpu(device=f"GPU-{n}", util_ratio=util) for n in range(accelerators)]
        if serves:
            samples.append(Use(requests=requests))
        watch.see(number, *samples)


@pytest.mark.parametrize(("serves", "work"), [(True, 60.0), (False, 1.0)])
def test_what_stays_after_the_peak_is_waste_and_only_the_extra_is_counted(serves, work):
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 60), accelerators=2, requests=work, serves=serves)
    serve(watch, range(60, 63), accelerators=4, requests=2 * work, serves=serves)
    serve(watch, range(63, 68), accelerators=4, requests=work, serves=serves)
    serve(watch, range(68, 70), accelerators=2, requests=work, serves=serves)

    opened, ended = watch.told
    assert (opened.kind, opened.cause) == (Kind.WASTE, Cause.SCALE_OUT_NOT_REVERSED)
    assert (opened.began_at, opened.at) == (at(63 * HOUR), at(66 * HOUR))
    assert opened.devices == ("GPU-2", "GPU-3")
    assert opened.usd_per_hour == pytest.approx(4.0, rel=0.05)
    assert opened.usd_so_far == pytest.approx(12.0, rel=0.05)
    assert (ended.cleared, ended.ended_at) == (True, at(68 * HOUR))
    assert ended.usd_so_far == pytest.approx(5 * 4.0, rel=0.05)


@pytest.mark.parametrize("late", [5, 30, 55])
def test_a_watch_that_begins_in_the_middle_of_an_hour_knows_the_usual_number(late):
    watch = Watch(ScaleOutDetector())
    for number in range(late + 1, 70 * HOUR + 1):
        watch.see(number, *(Gpu(device=f"GPU-{n}", util_ratio=0.0) for n in range(4)))

    assert watch.findings == []


def test_accelerators_that_the_work_needs_are_left_alone():
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 60), accelerators=2, requests=60.0)
    serve(watch, range(60, 75), accelerators=4, requests=120.0)

    assert watch.findings == []


def test_work_that_the_usual_number_has_carried_before_needs_no_more():
    watch = Watch(ScaleOutDetector())
    for day in range(3):
        serve(watch, range(day * 24, day * 24 + 12), accelerators=2, requests=40.0)
        serve(watch, range(day * 24 + 12, day * 24 + 24), accelerators=2, requests=100.0)
    serve(watch, range(72, 80), accelerators=4, requests=80.0)  # twice the usual of the hour, less than a busy one

    (opened,) = watch.told
    assert opened.at - opened.began_at == timedelta(hours=3)
    assert opened.at == at(77 * HOUR)


def test_accelerators_that_have_just_come_are_given_some_hours_and_then_all_of_them_count():
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 60), accelerators=2, requests=60.0)
    serve(watch, range(60, 66), accelerators=4, requests=60.0)

    (opened,) = watch.told
    assert (opened.began_at, opened.at) == (at(60 * HOUR), at(65 * HOUR))
    assert opened.usd_so_far == pytest.approx(5 * 4.0, rel=0.05)


def test_a_lull_of_the_days_before_is_no_lesser_need_of_what_came_with_a_peak():
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 72), accelerators=2, requests=60.0)
    serve(watch, range(72, 84), accelerators=2, requests=36.0)  # a weaker day
    serve(watch, range(84, 92), accelerators=3, requests=54.0)  # whose peak is less than usual

    assert [finding for finding in watch.told if finding.at < at(89 * HOUR)] == []


def test_a_busy_hour_among_many_does_not_close_what_the_usual_number_could_carry():
    watch = Watch(ScaleOutDetector())
    for day in range(3):
        serve(watch, range(day * 24, day * 24 + 12), accelerators=2, requests=20.0)
        serve(watch, range(day * 24 + 12, day * 24 + 24), accelerators=2, requests=100.0)
    serve(watch, range(72, 79), accelerators=3, requests=20.0)
    serve(watch, range(79, 83), accelerators=3, requests=60.0)  # three times what the hour usually asks for

    (opened,) = watch.told
    assert not opened.cleared


def test_a_young_workload_has_no_usual_number():
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 20), accelerators=2, requests=60.0)
    serve(watch, range(20, 40), accelerators=4, requests=60.0)

    assert watch.findings == []


def test_a_number_that_is_kept_for_a_week_becomes_the_usual_one():
    watch = Watch(ScaleOutDetector(adopt_after_s=24 * 3600.0))
    serve(watch, range(0, 60), accelerators=2, requests=60.0)
    serve(watch, range(60, 160), accelerators=4, requests=60.0)

    assert [finding.cleared for finding in watch.told] == [False, True]


def test_the_state_survives_a_trip_through_bytes():
    watch = Watch(ScaleOutDetector())
    serve(watch, range(0, 60), accelerators=2, requests=60.0)
    serve(watch, range(60, 62), accelerators=4, requests=60.0)
    watch = watch.through_bytes()
    serve(watch, range(62, 66), accelerators=4, requests=60.0)

    (opened,) = watch.told
    assert (opened.began_at, opened.at) == (at(60 * HOUR), at(65 * HOUR))
