"""Plans: one look at a group of metrics, or at one, that is but for times and values byte for byte what it was before.

A plan masks the bytes of times, values and metrics of no interest out of a group. Where the rest is as it was, the
group holds the same series in the same places, and all its numbers are read in one step.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from struct import Struct

from streams.formats.gathering import Point
from streams.formats.series import Series

NS_PER_MS = 1_000_000
MOST_MISSES = 3  # in a row, after which a group is taken for one that changes all the time
MOST_PLAN_BYTES = 262_144

Place = tuple[int, int, int, bool, Series | None]
"""Where a point's start (-1: none), time and value lie, whether that is an integer, and the series."""


class Plan:
    """How to read a group of `size` bytes at once."""

    __slots__ = (
        "_mask",
        "_numbers",
        "_pick_starts",
        "_pick_times",
        "_pick_values",
        "_series",
        "_template",
        "misses",
        "number",
    )

    def __init__(
        self, group: bytes, places: list[Place], unread: Sequence[tuple[int, int]] = (), misses: int = 0
    ) -> None:
        """Made of a group that was read: its points in order, and the stretches of no interest.

        `misses`: how many plans before this one did not fit, in a row.
        """
        self.misses = misses
        keep = bytearray(b"\xff") * len(group)
        for begin, end in unread:
            keep[begin:end] = bytes(end - begin)
        codes: list[tuple[int, str]] = []
        for start, time, value, is_integer, series in places:
            for at in (start, time, value):
                if at >= 0:
                    keep[at : at + 8] = bytes(8)
            if series is not None:
                codes += [(time, "Q"), (value, "q" if is_integer else "d")]
                if start >= 0:
                    codes.append((start, "Q"))
        codes.sort()
        form, at = ["<"], 0
        for place, code in codes:
            form.append(f"{place - at}x{code}")
            at = place + 8
        index = {place: number for number, (place, _) in enumerate(codes)}
        wanted = [place for place in places if place[4] is not None]
        self._series = [place[4] for place in wanted]
        self._mask = int.from_bytes(keep, "little")
        self._template = int.from_bytes(group, "little") & self._mask
        self._numbers = Struct("".join(form))
        self._pick_times = _picker([index[time] for _, time, *_ in wanted])
        self._pick_values = _picker([index[value] for _, _, value, *_ in wanted])
        starts = [start for start, *_ in wanted]
        self._pick_starts = _picker([index[start] for start in starts]) if starts and min(starts) >= 0 else None
        self.number = len(places)

    def read(self, group: bytes) -> list[Point] | None:
        """The points of a group of the same length; None where it is not the same group."""
        if int.from_bytes(group, "little") & self._mask != self._template:
            return None
        self.misses = 0
        if not self._series:
            return []
        numbers = self._numbers.unpack_from(group)
        times = self._pick_times(numbers)
        if times.count(times[0]) == len(times):
            at_ms = repeat(times[0] // NS_PER_MS)
        else:
            at_ms = iter([time // NS_PER_MS for time in times])  # type: ignore[assignment]
        starts = repeat(0)
        if self._pick_starts is not None:
            starts = iter([start // NS_PER_MS for start in self._pick_starts(numbers)])  # type: ignore[assignment]
        return list(zip(self._series, at_ms, self._pick_values(numbers), starts, strict=False))  # type: ignore[arg-type]


def mixed(places: list[Place]) -> bool:
    """Whether some points have a start and some have none: no plan is made of such a group."""
    return len({start >= 0 for start, _, _, _, series in places if series is not None}) > 1


def _picker(places: list[int]) -> "itemgetter[tuple[float, ...]]":
    if len(places) == 1:
        return itemgetter(slice(places[0], places[0] + 1))  # type: ignore[arg-type]
    return itemgetter(*places) if places else itemgetter(slice(0, 0))  # type: ignore[arg-type]
