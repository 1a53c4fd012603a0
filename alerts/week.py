"""Which week a digest is about, and when it is due: by the wall clock of a zone, summer time included. Pure."""

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
    end_day = due_day - timedelta(days=due_day.weekday())
    start_day = end_day - timedelta(days=7)
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
