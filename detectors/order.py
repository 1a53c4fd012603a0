"""The order of keys that grow in number: sorted once, and what is new sorted in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Order:
    """Where each key of a growing list stands among all of them."""

    def __init__(self) -> None:
        """Nothing is in order yet."""
        self._places: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # of the keys, the first one first
        self._ranks: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def clear(self) -> None:
        """Keys have changed that were in order."""
        self._places = np.zeros(0, dtype=np.int64)

    def ranks(self, keys: Sequence[Any]) -> NDArray[np.int64]:
        """The rank of each key (n,): keys that are alike rank as they stand. `keys` are the last ones, or more."""
        if len(self._places) != len(keys):
            places = [*self._places.tolist(), *range(len(self._places), len(keys))]
            places.sort(key=keys.__getitem__)  # a long run in order, and a few at its end
            self._places = np.array(places, dtype=np.int64)
            self._ranks = np.empty(len(keys), dtype=np.int64)
            self._ranks[self._places] = np.arange(len(keys))
        return self._ranks
