"""What was expected beside what was found: which rows agree, and what differs. Pure."""

import re
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
RANGE = re.compile(r"(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)")
LIMIT = re.compile(r"(>=|<=|>|<)\s*(-?[\d.]+)")
CLOSE_RATIO, CLOSE_USD = 0.01, 0.01  # a number that is written out is meant that exactly


class ExpectationError(ValueError):
    """An expectation that can't be read."""


def agrees(wanted: Row, found: Row) -> bool:
    """Whether every field that is wanted is as wanted; others don't matter."""
    return all(_same(value, found.get(name)) for name, value in wanted.items())


def differences(heading: str, wanted: Sequence[Row], found: Sequence[Row]) -> list[str]:
    """Lines that say what is missing (`-`) and what is too much (`+`); none where all agree.

    Each row found answers one that is wanted. Raises ExpectationError for a field that there is none of.
    """
    known = sorted({name for row in found for name in row})
    for row in wanted:
        unknown = sorted(set(row) - set(known)) if known else []
        if unknown:
            raise ExpectationError(f"{heading}: no such field: {', '.join(unknown)}; known are {', '.join(known)}")
    pairs = _paired(wanted, found)
    missing = [row for place, row in enumerate(wanted) if place not in pairs]
    left = [row for place, row in enumerate(found) if place not in pairs.values()]
    if not missing and not left:
        return []
    names = list(dict.fromkeys(name for row in wanted for name in row)) or ["cause", "severity", "usd_per_hour"]
    lines = [f"  {heading}:"]
    lines += [f"    - {_shown(row, list(row))}" for row in missing]
    lines += [f"    + {_shown(row, _telling(row, names))}" for row in left]
    agreed = len(wanted) - len(missing)
    return [*lines, f"      ({agreed} as expected)"] if agreed else lines


def _paired(wanted: Sequence[Row], found: Sequence[Row]) -> dict[int, int]:
    """The most pairs of wanted and found rows that agree (augmenting paths): an unlucky order makes no fault."""
    taken: dict[int, int] = {}

    def seat(place: int, tried: set[int]) -> bool:
        for other in range(len(found)):
            if other in tried or not agrees(wanted[place], found[other]):
                continue
            tried.add(other)
            if other not in taken or seat(taken[other], tried):
                taken[other] = place
                return True
        return False

    for place in range(len(wanted)):
        seat(place, set())
    return {place: other for other, place in taken.items()}


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(found, list) and sorted(map(str, wanted)) == sorted(map(str, found))
    text = str(wanted).strip()
    if isinstance(found, int | float) and not isinstance(found, bool):
        return _number_agrees(text, float(found))
    if text in ("", "null", "~", "none"):
        return found is None or found == ""
    return text == str(found)


def _number_agrees(text: str, found: float) -> bool:
    between, limit = RANGE.fullmatch(text), LIMIT.fullmatch(text)
    try:
        if between:
            return float(between[1]) <= found <= float(between[2])
        if limit:
            border = float(limit[2])
            return {">=": found >= border, "<=": found <= border, ">": found > border, "<": found < border}[limit[1]]
        wanted = float(text)
    except ValueError:
        raise ExpectationError(f"{text!r} is no number such as 32, >= 30 or 30..40") from None
    return abs(found - wanted) <= max(CLOSE_USD, CLOSE_RATIO * abs(wanted))


def _telling(row: Row, names: Sequence[str]) -> list[str]:
    """What identifies a row, and what was asked of the others."""
    first = [name for name in ("kind", "workload", "budget", "step", "channel", "title") if row.get(name) is not None]
    return list(dict.fromkeys([*first, *(name for name in names if row.get(name) is not None)]))


def _shown(row: Row, names: Sequence[str]) -> str:
    return ", ".join(f"{name}: {_value(row[name])}" for name in names)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
