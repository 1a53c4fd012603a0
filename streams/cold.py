"""Which rows are cold: so that the store is asked only for keys that may be there, eight bytes for each.

A key is a 64-bit mark, by the day in which its row left; days that the store no longer keeps are forgotten. Two keys of
one mark cost a question in vain, no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.marks import Longs, packed, unpacked

DAY_S = 86_400
LARGEST = 2**63 - 1


class ColdIndex:
    """Marks of the rows that left the panels; at most `limit`, beyond which no row should leave."""

    def __init__(self, limit: int = 1_000_000) -> None:
        """Nobody is cold."""
        self.limit = limit
        self._days: dict[int, Longs] = {}  # marks in order, by epoch day
        self._unwritten: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    @property
    def room(self) -> int:
        """How many more rows may leave."""
        return max(self.limit - len(self), 0)

    def add(self, kind: str, keys: Sequence[str], at_s: int) -> None:
        """Rows of these keys left at an event time, epoch seconds."""
        if keys:
            day = at_s // DAY_S
            self._days[day] = np.union1d(self._days.get(day, np.zeros(0, dtype=np.int64)), marks_of(kind, keys))
            self._unwritten.add(day)

    def remove(self, kind: str, keys: Sequence[str]) -> None:
        """Rows of these keys came back, or are not in the store after all."""
        marks = marks_of(kind, keys)
        for day, held in list(self._days.items()):
            stays = ~np.isin(held, marks, assume_unique=False)
            if not stays.all():
                self._set(day, held[stays])

    def suspects(self, kind: str, keys: Iterable[str]) -> list[str]:
        """Those of these keys that may be cold, in their order, each once."""
        names = list(dict.fromkeys(keys))
        if not names or not self._days:
            return []
        marks = marks_of(kind, names)
        found = np.zeros(len(names), dtype=bool)
        for held in self._days.values():
            places = np.minimum(np.searchsorted(held, marks), len(held) - 1)
            found |= held[places] == marks
        return [names[place] for place in np.flatnonzero(found).tolist()]

    def forget(self, before_s: int) -> None:
        """Let go of the days that ended before an event time: the store has forgotten them, too."""
        for day in [day for day in self._days if (day + 1) * DAY_S <= before_s]:
            self._set(day, self._days[day][:0])

    def _set(self, day: int, marks: Longs) -> None:
        if len(marks):
            self._days[day] = marks
        else:
            del self._days[day]
        self._unwritten.add(day)

    def changes(self) -> dict[str, bytes | None]:
        """What is to be written down since the last call, by name; None: no more."""
        parts = {str(day): packed(self._days[day]) if day in self._days else None for day in sorted(self._unwritten)}
        self._unwritten = set()
        return parts

    def whole(self) -> dict[str, bytes]:
        """All of it, for `load`; the same rows give the same bytes."""
        return {str(day): packed(held) for day, held in sorted(self._days.items())}

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Take what `whole`, or all `changes` together, wrote."""
        self._days, self._unwritten = {int(day): unpacked(body) for day, body in parts.items()}, set()


def marks_of(kind: str, keys: Sequence[str]) -> NDArray[np.int64]:
    """A mark for each key (n,), the same in every process."""
    digests = (blake2b(f"{kind}|{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.fromiter((int.from_bytes(one, "big") % LARGEST + 1 for one in digests), dtype=np.int64, count=len(keys))
