"""Codes: what many events have in common is looked up once, and kept in columns from then on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Codes:
    """Keys by number, with columns that grow with them; emptied when there are more than `limit`."""

    def __init__(self, limit: int, **columns: Any) -> None:
        """Columns by name and what they begin as, which decides their dtype."""
        self.limit = limit
        self.numbers: dict[tuple[Any, ...], int] = {}
        self.keys: list[tuple[Any, ...]] = []
        self._fill = {name: np.asarray(fill) for name, fill in columns.items()}
        self.columns: dict[str, NDArray[Any]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all keys."""
        self.numbers.clear()
        self.keys.clear()
        self.columns = {name: np.full(64, fill) for name, fill in self._fill.items()}

    @property
    def full(self) -> bool:
        """Whether it is time to forget."""
        return len(self.numbers) >= self.limit

    def add(self, key: tuple[Any, ...], **values: Any) -> int:
        """A new key's number."""
        number = self.numbers[key] = len(self.keys)
        self.keys.append(key)
        if number >= len(next(iter(self.columns.values()))):
            for name, old in self.columns.items():
                self.columns[name] = np.concatenate([old, np.full(len(old), self._fill[name])])
        for name, value in values.items():
            self.columns[name][number] = value
        return number

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]


def distinct(values: NDArray[np.int64]) -> list[int]:
    """The values (n,) that occur, in order."""
    if len(values) and (values == values[0]).all():
        return [int(values[0])]
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    found: list[int] = ordered[first].tolist()
    return found


def last_places(codes: NDArray[np.int64]) -> list[int]:
    """Each code that occurs, once, in the order of its last occurrence."""
    unique, back = np.unique(codes[::-1], return_index=True)
    found: list[int] = unique[np.argsort(-back, kind="stable")].tolist()
    return found
