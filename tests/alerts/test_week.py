from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from alerts.week import Week, week_named, week_of

NINE = time(9)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_digest_of_the_week_is_due_at_its_minute_and_not_before():
    before = week_of(utc("2026-03-02 08:59:59"), "UTC", "monday", NINE)
    after = week_of(utc("2026-03-02 09:00"), "UTC", "monday", NINE)

    assert before.label == "2026-W08"
    assert after == Week(
        label="2026-W09",
        start=utc("2026-02-23"),
        end=utc("2026-03-02"),
        due_at=utc("2026-03-02 09:00"),
        timezone="UTC",
    )


def test_a_digest_due_later_in_the_week_is_about_the_last_complete_week():
    friday = week_of(utc("2026-03-08 23:00"), "UTC", "friday", NINE)

    assert (friday.label, friday.end, friday.due_at) == ("2026-W09", utc("2026-03-02"), utc("2026-03-06 09:00"))


def test_the_week_in_which_summer_time_begins_has_an_hour_less():
    week = week_of(utc("2026-03-30 07:00"), "Europe/Berlin", "monday", NINE)

    assert week == Week(
        label="2026-W13",
        start=utc("2026-03-22 23:00"),
        end=utc("2026-03-29 22:00"),
        due_at=utc("2026-03-30 07:00"),
        timezone="Europe/Berlin",
    )
    assert week.end - week.start == timedelta(hours=167)


def test_the_week_in_which_summer_time_ends_has_an_hour_more():
    week = week_of(utc("2026-10-26 08:00"), "Europe/Berlin", "monday", NINE)

    assert week == Week(
        label="2026-W43",
        start=utc("2026-10-18 22:00"),
        end=utc("2026-10-25 23:00"),
        due_at=utc("2026-10-26 08:00"),
        timezone="Europe/Berlin",
    )
    assert week.end - week.start == timedelta(hours=169)


def test_an_hour_that_the_clock_leaves_out_counts_as_the_hour_after_it():
    week = week_of(utc("2026-03-29 12:00"), "Europe/Berlin", "sunday", time(2, 30))

    assert week.due_at == utc("2026-03-29 01:30")  # 03:30 in summer time


def test_an_hour_that_the_clock_repeats_counts_once():
    labels = [
        week_of(utc(f"2026-10-25 0{hour}:30"), "Europe/Berlin", "sunday", time(2, 30)).due_at for hour in (0, 1, 2)
    ]

    assert labels == [utc("2026-10-25 00:30")] * 3


def test_the_day_is_that_of_the_zone():
    late_sunday_utc = utc("2026-03-01 23:30")

    assert week_of(late_sunday_utc, "Europe/Berlin", "monday", time(0)).label == "2026-W09"
    assert week_of(late_sunday_utc, "UTC", "monday", time(0)).label == "2026-W08"


def test_a_leap_day_is_a_day_of_its_week():
    week = week_of(utc("2028-03-06 09:00"), "UTC", "monday", NINE)

    assert (week.label, week.start, week.end) == ("2028-W09", utc("2028-02-28"), utc("2028-03-06"))
    assert week_of(utc("2028-02-29 10:00"), "UTC", "tuesday", NINE).due_at == utc("2028-02-29 09:00")


def test_a_year_may_have_53_weeks():
    week = week_of(utc("2027-01-04 09:00"), "UTC", "monday", NINE)

    assert (week.label, week.start, week.end) == ("2026-W53", utc("2026-12-28"), utc("2027-01-04"))
    assert week_of(utc("2027-01-11 09:00"), "UTC", "monday", NINE).label == "2027-W01"


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def test_every_hour_of_a_year_has_one_week_and_the_weeks_touch(timezone):
    moment, weeks = utc("2026-01-01"), {}
    while moment < utc("2027-02-01"):
        week = week_of(moment, timezone, "wednesday", time(2, 30))
        assert timedelta(0) <= moment - week.due_at < timedelta(days=7, hours=1)
        assert weeks.setdefault(week.label, week) == week
        moment += timedelta(hours=5)

    ordered = list(weeks.values())
    assert all(earlier.end == later.start for earlier, later in pairwise(ordered))


def test_a_day_that_is_none_is_refused_in_words():
    with pytest.raises(ValueError, match="the digest's day is one of monday"):
        week_of(utc("2026-01-01"), "UTC", "mon", NINE)


@pytest.mark.parametrize("now", ["2026-03-02 09:00", "2026-03-30 07:00", "2027-01-04 12:00"])
def test_a_week_by_its_name_is_the_week_that_is_due(now: str):
    week = week_of(utc(now), "Europe/Berlin", "wednesday", NINE)

    assert week_named(week.label, "Europe/Berlin", "wednesday", NINE) == week


@pytest.mark.parametrize("label", ["2026-5", "2026-W5", "2026-W54", "2025-W53", "2026-W00", "W05", "2026-W05\n"])
def test_what_names_no_week_is_refused(label: str):
    with pytest.raises(ValueError, match="week"):
        week_named(label, "UTC", "monday", NINE)
