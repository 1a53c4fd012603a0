"""A set of 63-bit marks for many at a time: open addressing in one numpy array, eight bytes a slot."""

import zlib

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
FULL_RATIO = 0.6  # of the slots; beyond it the table doubles
SMALLEST = 1024  # slots
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: neighbours land far apart


class Marks:
    """Positive marks. `add` says which are new; what was added since the last `take_fresh` can be written down."""

    def __init__(self) -> None:
        """No mark yet."""
        self._slots: Longs = np.zeros(SMALLEST, dtype=np.int64)
        self._number = 0
        self._fresh: list[Longs] = []

    def __len__(self) -> int:
        return self._number

    def add(self, marks: Longs) -> NDArray[np.bool_]:
        """Add marks (n,), each > 0; return (n,) of whether each was met for the first time, here included."""
        first = np.zeros(len(marks), dtype=np.bool_)
        if not len(marks):
            return first
        unique, where = np.unique(marks, return_index=True)
        self._room(len(unique))
        new = self._insert(unique)
        first[where[new]] = True
        if new.any():
            self._fresh.append(unique[new])
        return first

    def holds(self, marks: Longs) -> NDArray[np.bool_]:
        """Whether each mark (n,) is there; adds nothing."""
        found = np.zeros(len(marks), dtype=np.bool_)
        waiting = np.arange(len(marks))
        slots = self._home(marks)
        while len(waiting):
            held = self._slots[slots]
            same = held == marks[waiting]
            found[waiting[same]] = True
            on = ~same & (held != 0)
            waiting, slots = waiting[on], (slots[on] + 1) & (len(self._slots) - 1)
        return found

    def _home(self, marks: Longs) -> Longs:
        shift = np.uint64(64 - (len(self._slots).bit_length() - 1))
        return ((marks.astype(np.uint64) * _SPREAD) >> shift).astype(np.int64)

    def _insert(self, unique: Longs) -> NDArray[np.bool_]:
        """Put distinct marks where there is room for all; return which were not there."""
        table, mask = self._slots, len(self._slots) - 1
        new = np.zeros(len(unique), dtype=np.bool_)
        waiting = np.arange(len(unique))
        slots = self._home(unique)
        while len(waiting):
            marks = unique[waiting]
            held = table[slots]
            free = held == 0
            table[slots[free]] = marks[free]  # two that want one slot: the later write stays, the other goes on
            taken = free & (table[slots] == marks)
            new[waiting[taken]] = True
            on = ~taken & (held != marks)
            waiting, slots = waiting[on], (slots[on] + 1) & mask
        self._number += int(new.sum())
        return new

    def _room(self, more: int) -> None:
        needed = self._number + more
        if needed <= FULL_RATIO * len(self._slots):
            return
        held = self._slots[self._slots != 0]
        size = len(self._slots)
        while needed > FULL_RATIO * size:
            size *= 2
        self._slots = np.zeros(size, dtype=np.int64)
        self._number = 0
        self._insert(held)

    def take_fresh(self) -> Longs:
        """What was added since the last call."""
        fresh, self._fresh = self._fresh, []
        return np.concatenate(fresh) if fresh else np.zeros(0, dtype=np.int64)

    @property
    def fresh(self) -> bool:
        """Whether anything was added since the last `take_fresh`."""
        return bool(self._fresh)

    def values(self) -> Longs:
        """All marks, in order."""
        return np.sort(self._slots[self._slots != 0])


def packed(ordered: Longs) -> bytes:
    """Marks in order as bytes: differences, squeezed. Regular ones, such as those of a scrape, take hardly any room."""
    steps = np.diff(ordered, prepend=np.int64(0)).astype("<i8")
    return zlib.compress(steps.view(np.uint8).reshape(-1, 8).T.tobytes(), 1)


def unpacked(data: bytes) -> Longs:
    """What `packed` made; a copy that may be written to."""
    raw = np.frombuffer(zlib.decompress(data), dtype=np.uint8)
    steps = np.ascontiguousarray(raw.reshape(8, -1).T).view("<i8").reshape(-1)
    return np.cumsum(steps).astype(np.int64)
