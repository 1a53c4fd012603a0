"""How a series moves: its level and spread, how restless it is, and whether it was ever so high or so low.

`values`: (n_rows,), one new value for each row. State is named columns with a row for each series.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = dict[str, Floats]

SLOW_RATE = 0.003  # of a row; what is called normal forgets in some 330 rows
QUICK_RATE = 0.03
QUICK_WEIGHT_OF_SLOW = 0.2  # keeps a quiet moment from looking like an upheaval
RESTLESS_FROM_ROWS = 10
TINY = 1e-12
RECORD_RATIO = 0.02  # a record by this share of the range counts in full
MOST_WIDTHS = 1e6  # far beyond what earns the most points
MOST_FOR_A_RECORD, MOST_FOR_ITS_SIZE = 3.0, 3.0  # points; the second for each further factor of ten


def begin(n_rows: int) -> State:
    """The columns of this module, before the first value."""
    names = ("level", "spread", "before", "highest", "lowest", "quick_change", "slow_change")
    return {name: np.zeros(n_rows) for name in names}


def rate(age_rows: Floats, slowest: float) -> Floats:
    """The share of a new value in a running mean: a plain mean at first, then `slowest`."""
    return np.maximum(slowest, 1.0 / age_rows)


def follow(state: State, level: str, spread: str, values: Floats, rates: Floats) -> None:
    """Move a running mean and its mean absolute deviation, columns `level` and `spread`, towards `values`."""
    off = values - state[level]
    state[spread] += rates * (np.abs(off) - state[spread])
    state[level] += rates * off


def restlessness(state: State, values: Floats, age_rows: Floats) -> Floats:
    """How far the usual step from value to value has grown or shrunk: |ln| of quick against slow mean, 0 at first."""
    change = np.abs(values - state["before"])
    state["before"] = values.copy()
    quick, slow = state["quick_change"], state["slow_change"]
    quick += rate(age_rows, QUICK_RATE) * (change - quick)
    grown = (quick + QUICK_WEIGHT_OF_SLOW * slow + TINY) / ((1.0 + QUICK_WEIGHT_OF_SLOW) * slow + TINY)
    slow += rate(age_rows, SLOW_RATE) * (change - slow)
    return np.where(age_rows > RESTLESS_FROM_ROWS, np.abs(np.log(grown)), 0.0)


def record(state: State, values: Floats) -> Floats:
    """Points (0 to 6) for leaving the range of all values so far; 0 while there is no range."""
    highest, lowest = state["highest"], state["lowest"]
    width = highest - lowest
    beyond = np.maximum(0.0, np.maximum(values - highest, lowest - values))
    beyond = np.minimum(beyond, MOST_WIDTHS * width)
    beyond_ratio = beyond / np.where(width > 0.0, width, 1.0) / RECORD_RATIO
    state["highest"], state["lowest"] = np.maximum(highest, values), np.minimum(lowest, values)
    size = np.log10(np.maximum(beyond_ratio, 1.0))
    return MOST_FOR_A_RECORD * np.minimum(1.0, beyond_ratio) + np.minimum(MOST_FOR_ITS_SIZE, size)
