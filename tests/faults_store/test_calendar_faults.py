"""Summer time both ways, leap days and ISO week 53: the digest once a week and recipient, budgets without a gap."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from alerts.week import week_of
from detectors.budget import month_of
from store.facts import Facts
from store.store import Store
from streams.digest_duty import DigestDuty
from tests.store.samples import commit, ledger_row

STEP = timedelta(minutes=90)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    commit(opened, Facts(ledger=[ledger_row(hour=datetime(2023, 12, 1, tzinfo=UTC), nano_usd=10**9)]))
    yield opened
    opened.close()


def digest_duty(store: Store, zone: str, day: str, at: time) -> DigestDuty:
    return DigestDuty(store, budgets=(), channels=("mail", "slack"), day=day, at=at, timezone=zone)


def told(store: Store) -> Counter[tuple[str, str]]:
    return Counter((entry.notice.subject_id, entry.notice.channel) for entry in store.notices(1000))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("day", "at"), [("monday", time(2, 30)), ("sunday", time(2, 30))])
@pytest.mark.parametrize(
    ("start", "weeks"),
    [
        (datetime(2026, 3, 2, tzinfo=UTC), 6),  # summer time begins in New York and Berlin, ends on Lord Howe
        (datetime(2026, 9, 28, tzinfo=UTC), 6),  # and the other way round
        (datetime(2026, 12, 14, tzinfo=UTC), 4),  # a year of 53 weeks
        (datetime(2028, 2, 14, tzinfo=UTC), 4),  # 29 February
    ],
    ids=["spring", "autumn", "week-53", "leap-day"],
)
def test_each_week_is_told_once_to_each_recipient(store, zone, day, at, start, weeks):
    one = digest_duty(store, zone, day, at)
    moment, due = start, set()
    while moment < start + timedelta(weeks=weeks):
        one.run(moment)
        week = week_of(moment, zone, day, at)
        if not one.too_old(week, moment):
            due.add(week.label)
        moment += STEP

    assert told(store) == {(f"digest:{week}", channel): 1 for week in due for channel in ("mail", "slack")}
    assert len(due) in (weeks - 1, weeks, weeks + 1)


def test_a_move_to_another_zone_tells_no_week_twice_and_misses_none(store):
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
    for number in range(6 * 7 * 16):
        digest_duty(store, zones[number // 31 % 3], "monday", time(2, 30)).run(moment + number * STEP)

    counts = told(store)
    weeks = sorted({subject for subject, _ in counts})
    assert set(counts.values()) == {1}
    assert weeks == [f"digest:2026-W{number:02d}" for number in range(9, 15)]


@pytest.mark.parametrize("zone", ZONES)
def test_the_months_of_a_budget_touch_and_begin_at_local_midnight(zone):
    moment, months = datetime(2027, 12, 20, tzinfo=UTC), []
    while moment < datetime(2029, 3, 10, tzinfo=UTC):
        month = month_of(moment, zone)
        assert month[0] <= moment < month[1]
        if month not in months:
            months.append(month)
        moment += timedelta(hours=7)

    assert all(earlier[1] == later[0] for earlier, later in pairwise(months))
    starts = [start.astimezone(ZoneInfo(zone)) for start, _ in months]
    assert {(start.day, start.hour, start.minute) for start in starts} == {(1, 0, 0)}
    assert [start.month for start in starts][:4] == [12, 1, 2, 3]
    february = next(
        month for month, start in zip(months, starts, strict=True) if (start.year, start.month) == (2028, 2)
    )
    assert february[1] - february[0] == timedelta(days=29)
