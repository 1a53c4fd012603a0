"""What has been seen: a second delivery of an event changes nothing, as far back as late events are taken.

Identities are marks by the hour of the event's time. Those of the latest hours are ready to be searched; older hours
are packed, and unpacked only when a late event asks. There is a limit to how many are kept: beyond it the oldest hour
is forgotten, and events that old must no longer be taken, since nobody could tell them from duplicates.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.codes import distinct
from streams.marks import Longs, Marks, packed, unpacked

HOUR_MS = 3_600_000
READY_HOURS = 2  # hours whose marks are not packed
MOST_PIECES = 60  # of an hour, written one by one, before they are written as one
NUMBER_BITS = 22  # of a moment inside its hour, in milliseconds
SAMPLES, NAMED = "samples", "named"
LARGEST = 2**63 - 1


class _Hour:
    """The marks of one kind in one hour: ready or packed, and how they are written down."""

    def __init__(self) -> None:
        self.ready: Marks | None = Marks()
        self.packed = b""
        self.number = 0
        self.pieces = 0  # as written down


class Seen:
    """Identities of the events of the last hours; bounded in number, at most `limit` marks."""

    def __init__(self, limit: int = 20_000_000) -> None:
        """Nothing seen yet."""
        self.limit = limit
        self._hours: dict[tuple[int, str], _Hour] = {}
        self._removed: set[str] = set()

    def samples(self, numbers: Longs, at_ms: Longs) -> NDArray[np.bool_]:
        """Whether each sample, of an accelerator's lasting number (n,) at a time (n,), is met for the first time."""
        marks = (numbers << NUMBER_BITS) + at_ms % HOUR_MS + 1
        return self._add(SAMPLES, marks, at_ms // HOUR_MS)

    def named(self, names: Iterable[str], at_ms: Longs) -> NDArray[np.bool_]:
        """Whether each name (n,) is met for the first time: in its own hour or one beside it."""
        marks = np.fromiter((_mark(name) for name in names), dtype=np.int64, count=len(at_ms))
        hours = at_ms // HOUR_MS
        first = np.ones(len(marks), dtype=np.bool_)
        for hour in distinct(hours):
            for beside in (hour - 1, hour + 1):
                if (beside, NAMED) in self._hours:
                    mine = hours == hour
                    first[mine] &= ~self._ready(beside, NAMED).holds(marks[mine])
        if first.all() and len(distinct(hours)) == 1:
            return self._add(NAMED, marks, hours)
        for place in np.flatnonzero(first).tolist():  # one by one: a name may come twice, in hours beside each other
            near = [(int(hours[place]) + step, NAMED) for step in (-1, 1)]
            one = marks[place : place + 1]
            if any(key in self._hours and self._ready(*key).holds(one)[0] for key in near):
                first[place] = False
            else:
                first[place] = self._add(NAMED, one, hours[place : place + 1])[0]
        return first

    def _add(self, kind: str, marks: Longs, hours: Longs) -> NDArray[np.bool_]:
        if len(hours) and (hours[0] == hours).all():
            return self._into(int(hours[0]), kind, marks)
        first = np.zeros(len(marks), dtype=np.bool_)
        for hour in distinct(hours):
            mine = hours == hour
            first[mine] = self._into(hour, kind, marks[mine])
        return first

    def _into(self, hour: int, kind: str, marks: Longs) -> NDArray[np.bool_]:
        ready = self._ready(hour, kind)
        first = ready.add(marks)
        self._hours[hour, kind].number = len(ready)
        return first

    def _ready(self, hour: int, kind: str) -> Marks:
        held = self._hours.get((hour, kind))
        if held is None:
            held = self._hours[hour, kind] = _Hour()
        if held.ready is None:
            held.ready = Marks()
            held.ready.add(unpacked(held.packed))
            held.ready.take_fresh()
            held.packed = b""
        return held.ready

    def __len__(self) -> int:
        return sum(held.number for held in self._hours.values())

    def forget(self, before_hour: int) -> int:
        """Let go of the hours (epoch hours) before this one, and of more where there are too many marks.

        Returns the first hour of which identities are still known, `before_hour` at least: older events are not taken.
        """
        total = len(self)
        for hour, kind in sorted(self._hours):
            if hour >= before_hour and total <= self.limit:
                break
            before_hour = max(before_hour, hour + 1)
            total -= self._hours[hour, kind].number
            self._drop(hour, kind)
        for hour, kind in [key for key in self._hours if key[0] < before_hour]:
            self._drop(hour, kind)
        return before_hour

    def _drop(self, hour: int, kind: str) -> None:
        held = self._hours.pop((hour, kind))
        self._removed.update(_name(hour, kind, piece) for piece in range(held.pieces))

    def rest(self, now_hour: int) -> None:
        """Pack the hours that are long over by `now_hour`."""
        for (hour, _), held in self._hours.items():
            if held.ready is not None and hour <= now_hour - READY_HOURS and not held.ready.fresh:
                held.packed, held.ready = packed(held.ready.values()), None

    def changes(self) -> dict[str, bytes | None]:
        """What is to be written down since the last call, by name; None: no more."""
        parts: dict[str, bytes | None] = dict.fromkeys(self._removed)
        self._removed = set()
        for (hour, kind), held in sorted(self._hours.items()):
            ready = held.ready
            if ready is None or not ready.fresh:
                continue
            fresh = np.sort(ready.take_fresh())
            if held.pieces < MOST_PIECES:
                parts[_name(hour, kind, held.pieces)] = packed(fresh)
                held.pieces += 1
            else:
                parts.update(dict.fromkeys(_name(hour, kind, piece) for piece in range(1, held.pieces)))
                parts[_name(hour, kind, 0)] = packed(ready.values())
                held.pieces = 1
        return parts

    def whole(self) -> dict[str, bytes]:
        """All of it, for `load`; the same identities give the same bytes."""
        return {
            _name(hour, kind, 0): held.packed if held.ready is None else packed(held.ready.values())
            for (hour, kind), held in sorted(self._hours.items())
        }

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Take what `whole`, or all `changes` together, wrote."""
        self._hours, self._removed = {}, set()
        for name, body in parts.items():
            kind, hour, piece = name.split("/")
            if kind not in (SAMPLES, NAMED):
                raise ValueError(f"identities of an unknown kind: {kind}")
            marks = self._ready(int(hour), kind)
            marks.add(unpacked(body))
            held = self._hours[int(hour), kind]
            held.number, held.pieces = len(marks), max(held.pieces, int(piece) + 1)
            marks.take_fresh()
        self.rest(max((hour for hour, _ in self._hours), default=0))


def _name(hour: int, kind: str, piece: int) -> str:
    return f"{kind}/{hour}/{piece}"


def _mark(name: str) -> int:
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % LARGEST + 1
