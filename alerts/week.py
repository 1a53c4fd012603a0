"""Which week a digest is about, and when it is due: by the wall clock of a zone, summer time included. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Week(Struct, frozen=True, kw_only=True):
    """An ISO week, Monday to Monday by the wall clock of its zone; it may have 167 or 169 hours."""

    label: str  # 2026-W53
    start: datetime  # UTC, included
    end: datetime  # UTC, not included
    due_at: datetime  # UTC: when its digest is due
    timezone: str


def week_of(now: datetime, timezone: str, day: str, at: time) -> Week:
    """Return the last week whose digest is due at `now` (aware) or before.

    The digest is due on `day` at `at` by the wall clock of the zone, and is about the last ISO week that was complete
    then. An hour that the clock leaves out counts as the hour after it, one that it repeats as its first.
    Raises ValueError for a day that is none, ZoneInfoNotFoundError for a zone that is none.
    """
    if day not in DAYS:
        raise ValueError(f"the digest's day is one of {', '.join(DAYS)}; got {day!r}")
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    due_day = today - timedelta(days=(today.weekday() - DAYS.index(day)) % 7)
    due_at = _moment(due_day, at, zone)
    if due_at > now:
        due_day -= timedelta(days=7)
        due_at = _moment(due_day, at, zone)
    return _week(due_day - timedelta(days=due_day.weekday() + 7), due_at, zone, timezone)


def week_named(label: str, timezone: str, day: str, at: time) -> Week:
    """Return the ISO week of this label (`2026-W05`), due at the first `day` and `at` after its end.

    Raises ValueError for what is no week, ZoneInfoNotFoundError for a zone that is none.
    """
    match = re.fullmatch(r"(\d{4})-W(\d{2})", label)
    if match is None:
        raise ValueError(f"a week is written like 2026-W05; got {label!r}")
    if day not in DAYS:
        raise ValueError(f"the digest's day is one of {', '.join(DAYS)}; got {day!r}")
    try:
        start_day = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        due_day = start_day + timedelta(days=7 + DAYS.index(day))
    except (ValueError, OverflowError):
        raise ValueError(f"there is no week {label}; a year has weeks 01 to 52 or 53") from None
    zone = ZoneInfo(timezone)
    return _week(start_day, _moment(due_day, at, zone), zone, timezone)


def _week(start_day: date, due_at: datetime, zone: ZoneInfo, timezone: str) -> Week:
    end_day = start_day + timedelta(days=7)
    year, number, _ = start_day.isocalendar()
    return Week(
        label=f"{year}-W{number:02d}",
        start=_moment(start_day, time(), zone),
        end=_moment(end_day, time(), zone),
        due_at=due_at,
        timezone=timezone,
    )


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at.replace(tzinfo=None, fold=0), zone).astimezone(UTC)
