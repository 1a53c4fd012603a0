"""Times in which nothing is stopped, however idle: a holiday's rush, working hours, a launch. Pure."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

from msgspec import Struct

from alerts.week import DAYS


class Freeze(Struct, frozen=True, kw_only=True):
    """Nothing is stopped while all that is said here holds; what is absent holds always."""

    since: datetime | None = None  # included
    until: datetime | None = None  # not included
    days: tuple[str, ...] = ()  # of the week; empty: every day
    begins: time | None = None  # of each day, included; a freeze that ends before it begins goes over midnight
    ends: time | None = None  # not included
    timezone: str = "UTC"  # of `days`, `begins` and `ends`


def frozen(freezes: tuple[Freeze, ...], now: datetime) -> bool:
    """Whether any of them holds at a moment (aware)."""
    return any(_holds(freeze, now) for freeze in freezes)


def _holds(freeze: Freeze, now: datetime) -> bool:
    if (freeze.since is not None and now < freeze.since) or (freeze.until is not None and now >= freeze.until):
        return False
    there = now.astimezone(ZoneInfo(freeze.timezone))
    begins, ends = freeze.begins or time.min, freeze.ends
    clock, day = there.time(), there.weekday()
    if ends is None or begins < ends:
        inside = begins <= clock and (ends is None or clock < ends)
    else:
        inside = clock >= begins or clock < ends
        day -= clock < ends  # the night belongs to the day on which it began
    return inside and (not freeze.days or DAYS[day % 7] in freeze.days)
