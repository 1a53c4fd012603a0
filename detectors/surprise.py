"""Unusual for the hour: how improbable a value is beside all values of the same hour of day."""

import numpy as np
from numpy.typing import NDArray

from detectors.motion import Floats, State, follow, rate

HOURS_A_DAY = 24
LEVELS = 10  # from far below the usual to far above it
RATE = 0.002  # of a row, of the level and spread that the ten are measured by
STEEPNESS = 0.7
LEAST_SEEN = 3.0  # an hour must have seen more values than this
PRIOR = 0.5  # of a value in each of the ten
TINY = 1e-9


def begin(n_rows: int) -> State:
    """The columns of this module. seen: (n_rows, hours, levels), counts."""
    return {
        "own_level": np.zeros(n_rows),
        "own_spread": np.zeros(n_rows),
        "seen": np.zeros((n_rows, HOURS_A_DAY, LEVELS)),
    }


def surprise(state: State, values: Floats, hour_of_day: NDArray[np.int64], age_rows: Floats) -> Floats:
    """-ln of the probability of the value's level in its hour, smoothed over the levels beside it: (n_rows,).

    The hour's counts then learn the value.
    """
    deviation = (values - state["own_level"]) / (state["own_spread"] + TINY)
    share = np.arctan(STEEPNESS * deviation) / np.pi + 0.5
    level = np.clip(np.floor(LEVELS * share), 0, LEVELS - 1).astype(np.int64)
    rows = np.arange(len(values))
    counts = state["seen"][rows, hour_of_day]
    own = counts[rows, level]
    below = counts[rows, np.maximum(level - 1, 0)]
    above = counts[rows, np.minimum(level + 1, LEVELS - 1)]
    total = counts.sum(axis=1)
    probability = (own + (below + above) / 2.0 + PRIOR) / (2.0 * total + PRIOR * LEVELS)
    state["seen"][rows, hour_of_day, level] += 1.0
    follow(state, "own_level", "own_spread", values, rate(age_rows, RATE))
    return np.where(total > LEAST_SEEN, -np.log(probability), 0.0)
