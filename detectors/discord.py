"""Shapes never seen: how far the last rows are from the most similar stretch of the series' own past.

A stretch is the means of its consecutive blocks. It is remembered only once it lies a whole stretch back, so that the
present is never compared with itself. Nearest neighbours on stretches: discords, as in matrix profiles.
"""

from dataclasses import dataclass

import numpy as np

from detectors.motion import Floats, State

FEWEST_STORED = 5  # more are needed before a distance means something
EAGER_STORED = 8  # until then, every row is remembered
STORED_PER_STRETCH = 3
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Discord:
    """Looks at stretches of `blocks` blocks of `block_rows` rows; remembers the latest `memory` of them."""

    blocks: int
    block_rows: int
    memory: int = 256

    @property
    def rows(self) -> int:
        """The length of a stretch."""
        return self.blocks * self.block_rows

    def begin(self, n_rows: int) -> State:
        """Stretches that are not there yet are infinitely far from everything. past: (n_rows, blocks, memory)."""
        return {
            f"past_{self.rows}": np.full((n_rows, self.blocks, self.memory), np.inf),
            f"stored_{self.rows}": np.zeros(n_rows),
        }

    def distance(self, state: State, age_rows: Floats) -> Floats:
        """Mean distance, in spreads, from the nearest remembered stretch: (n_rows,); 0 while there are too few.

        `state["history"]`: (n_rows, at least two stretches), the newest value last.
        """
        past, stored = state[f"past_{self.rows}"], state[f"stored_{self.rows}"]
        found = np.zeros(len(age_rows))
        if stored.max(initial=0.0) > FEWEST_STORED:
            now = self._means(state["history"][:, -self.rows :])
            nearest = np.abs(past - now[:, :, None]).sum(axis=1).min(axis=1) / self.blocks
            enough = stored > FEWEST_STORED
            found[enough] = nearest[enough] / (state["spread"][enough] + TINY)
        self._remember(state, age_rows)
        return found

    def _remember(self, state: State, age_rows: Floats) -> None:
        stored = state[f"stored_{self.rows}"]
        due = (age_rows % (self.rows // STORED_PER_STRETCH) == 0.0) | (stored < EAGER_STORED)
        rows = np.flatnonzero(due & (age_rows > 2 * self.rows))
        if len(rows):
            earlier = state["history"][rows, -2 * self.rows : -self.rows]
            slots = (stored[rows] % self.memory).astype(np.int64)
            state[f"past_{self.rows}"][rows, :, slots] = self._means(earlier)
            stored[rows] += 1.0

    def _means(self, stretches: Floats) -> Floats:
        means: Floats = stretches.reshape(len(stretches), self.blocks, self.block_rows).mean(axis=2)
        return means
