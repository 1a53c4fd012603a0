"""Figures and names in words: money, durations, moments, and text from outside made harmless."""

import unicodedata
from datetime import UTC, datetime, timedelta
from math import isfinite

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: str, limit: int = 200) -> str:
    """Text from outside on one line: control, bidirectional and other hidden characters gone, at most `limit` long."""
    shown = "".join(
        " " if c in "\t\r\n" else c for c in text if c in "\t\r\n" or unicodedata.category(c) not in _HIDDEN
    )
    return cap(" ".join(shown.split()), limit)


def visible(text: str) -> str:
    """Text from outside with its lines and spaces, but without control, bidirectional and other hidden characters."""
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in _HIDDEN)


def cap(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def money(usd: float) -> str:
    """Dollars as people write them: cents below 1,000, none above; `<$0.01` for less than a cent."""
    size = abs(usd)
    sign = "-" if usd < 0 else ""
    if size == 0:
        return "$0"
    if size < 0.005:
        return f"{sign}<$0.01"
    return f"{sign}${size:,.2f}" if size < 999.995 else f"{sign}${size:,.0f}"


def per_hour(usd: float) -> str:
    """A rate: `$16.00/h`, or by the day where the hour is below ten cents."""
    return f"{money(usd)}/h" if usd == 0 or abs(usd) >= 0.095 else f"{money(usd * 24)}/day"


def per_day(usd_per_hour: float) -> str:
    """An hourly rate by the day: `$4,120/day`."""
    return f"{money(usd_per_hour * 24)}/day"


def duration(span: timedelta | float) -> str:
    """A span of time in its two largest units: `40 s`, `47 min`, `3 h 20 min`, `2 d 4 h`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{int(seconds)} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 14 else f"{days} d"


def moment(at: datetime) -> str:
    """A moment in UTC to the minute: `2026-11-23 21:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day(at: datetime) -> str:
    """A day in UTC: `Dec 14`."""
    at = at.astimezone(UTC)
    return f"{at:%b} {at.day}"


def percent(ratio: float) -> str:
    """A ratio as a percentage: `2 %`, `0.4 %`."""
    value = ratio * 100
    return f"{value:.0f} %" if value == 0 or abs(value) >= 1 else f"{value:.1g} %"


def count(number: float) -> str:
    """A quantity with a word for its size: `950`, `12 k`, `1.2 M`."""
    if not isfinite(number):
        return "unknown"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.1f} {letter}" if abs(scaled) < 9.95 else f"{scaled:.0f} {letter}"
    return f"{number:.0f}" if number == int(number) else f"{number:.3g}"


def quantity(value: float, unit: str) -> str:
    """A figure in the unit that its name ends with (`_s`, `_usd_per_hour`, `_ratio`, ...), in words."""
    writers = (
        ("usd_per_hour", per_hour),
        ("usd_per_hour_used", per_hour),
        ("s_between_reports", duration),
        ("times_reference_price", lambda v: f"{count(v)} times the price"),
        ("usd_per_million", lambda v: f"{money(v)} per million"),
        ("usd_per_day", lambda v: f"{money(v)}/day"),
        ("tokens_per_request", lambda v: f"{count(v)} tokens"),
        ("tokens_per_minute", lambda v: f"{count(v)} tokens/min"),
        ("requests_per_minute", lambda v: f"{count(v)} requests/min"),
        ("usd", money),
        ("ratio", percent),
        ("tokens", lambda v: f"{count(v)} tokens"),
        ("bytes", lambda v: f"{v / 2**30:.1f} GiB"),
        ("w", lambda v: f"{v:.0f} W"),
        ("s", duration),
    )
    for ending, write in writers if isfinite(value) else ():
        if unit == ending or unit.endswith("_" + ending):
            return write(value)
    return count(value)


PLAIN = {"families": "kinds of evidence", "util": "utilisation"}
"""Names of figures that need other words to be understood."""

_ENDINGS = ("_usd_per_hour", "_usd_per_million", "_usd_per_day", "_usd", "_ratio", "_bytes", "_w", "_s")


def figure(name: str, value: float) -> str:
    """One piece of evidence in words: `("power_w", 71.0)` reads `power 71 W`."""
    ending = next((e for e in _ENDINGS if name.endswith(e) and len(name) > len(e)), "")
    bare = name.removesuffix(ending)
    label = clean(PLAIN.get(bare, bare).replace("_", " "), 40)
    return f"{label} {quantity(value, ending.removeprefix('_')) if ending else count(value)}"
