"""Rows of which events say different teams or models: there the latest event is right, so that order matters."""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


class Disputes:
    """Which rows of a panel are disputed."""

    def __init__(self) -> None:
        """None is."""
        self._flags: Flags = np.zeros(64, dtype=np.bool_)
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def add(self, row: int) -> None:
        """This row is."""
        if row >= len(self._flags):
            self._flags = np.concatenate([self._flags, np.zeros(max(row + 1, len(self._flags)), dtype=np.bool_)])
        self._flags[row] = self._any = True

    def among(self, rows: NDArray[np.int64]) -> Flags:
        """Which of these rows (n,) are disputed."""
        known = rows < len(self._flags)
        found: Flags = self._flags[np.where(known, rows, 0)] & known
        return found

    def clear(self) -> None:
        """None is any more."""
        self._flags[:] = self._any = False
