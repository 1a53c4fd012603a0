"""Values of a series in short: `0.9x60 0x120`, `10+5x12`, `_x30`."""

import re

MOST_VALUES = 1_000_000
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
ITEM = re.compile(rf"(?P<first>{NUMBER}|_)(?:(?P<step>[+-](?:\d+\.?\d*|\.\d+))?x(?P<times>\d+))?")


class SeriesError(ValueError):
    """A series that can't be read."""


def values_of(text: str) -> list[float | None]:
    """The values that the text stands for; None where nothing is known. Raises SeriesError.

    `0.9` is one value, `0.9x60` sixty of them, `10+5x3` is 10 15 20, `10-5x3` is 10 5 0; `_` stands for nothing.
    """
    values: list[float | None] = []
    for item in text.split():
        match = ITEM.fullmatch(item)
        if match is None:
            raise SeriesError(f"{item!r} is not a value such as 0.9, 0.9x60, 10+5x12 or _x30")
        times = int(match["times"] or 1)
        if len(values) + times > MOST_VALUES:
            raise SeriesError(f"more than {MOST_VALUES:,} values")
        if match["first"] == "_":
            if match["step"]:
                raise SeriesError(f"{item!r} adds to nothing")
            values += [None] * times
        else:
            first, step = float(match["first"]), float(match["step"] or 0.0)
            values += [round(first + number * step, 9) for number in range(times)]
    if not values:
        raise SeriesError("no values")
    return values
