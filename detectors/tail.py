"""How rare a reading is beside the same series' own earlier readings: conformal tails with slow forgetting.

A reading is put into one of 160 bins of growing width. Kept are suffix counts (how many readings were in this bin or
beyond it), so that a tail is read at once. Instead of shrinking all counts by the forgetting, a new reading counts for
a little more than the one before.
"""

import numpy as np
from numpy.typing import NDArray

from detectors.motion import Floats, State

BINS = 160
LEAST = 1e-4  # readings up to this are in the first bin
FORGETTING = 1e-4  # of a row
QUIET_ROWS = 60  # nothing is rare so early
RECORD_POINTS = 8.0  # for each factor of ten beyond all readings so far
HEAVIEST = 1e6  # then the counts are brought back to 1


def begin(n_rows: int, n_channels: int) -> State:
    """The columns of this module. suffix: (n_rows, n_channels, BINS)."""
    return {
        "suffix": np.zeros((n_rows, n_channels, BINS)),
        "weight": np.ones(n_rows),
        "largest": np.zeros((n_rows, n_channels)),
    }


def rarity(state: State, readings: Floats, growth: Floats, age_rows: Floats) -> Floats:
    """-log10 of the share of earlier readings at least as large, and a bonus for a record: (n_rows, n_channels).

    readings: (n_rows, n_channels), none negative. growth: (n_channels,), width of a bin over that of the one before.
    The counts then learn the readings.
    """
    suffix, largest = state["suffix"], state["largest"]
    n_rows, n_channels = readings.shape
    bins = bin_of(readings, growth)
    beyond = suffix[np.arange(n_rows)[:, None], np.arange(n_channels), bins]
    weight = state["weight"][:, None]
    points = -np.log10((weight + beyond) / (2.0 * weight + suffix[:, :, 0]))
    is_record = (readings > largest) & (largest > 0.0)
    by = np.log10(np.where(is_record, readings, 1.0)) - np.log10(np.where(is_record, largest, 1.0))
    points += RECORD_POINTS * by
    _learn(state, readings, bins)
    return np.where(age_rows[:, None] > QUIET_ROWS, points, 0.0)


def bin_of(readings: Floats, growth: Floats) -> NDArray[np.int64]:
    """The bins of readings: 0 up to LEAST, then in equal steps of the logarithm."""
    steps = np.floor(np.log(np.maximum(readings, LEAST) / LEAST) / np.log(growth))
    return np.where(readings <= LEAST, 0.0, np.minimum(1.0 + steps, BINS - 1.0)).astype(np.int64)


def _learn(state: State, readings: Floats, bins: NDArray[np.int64]) -> None:
    weight = state["weight"]
    weight /= 1.0 - FORGETTING
    up_to_it = np.arange(BINS) <= bins[:, :, None]
    np.add(state["suffix"], weight[:, None, None], out=state["suffix"], where=up_to_it)
    state["largest"] = np.maximum((1.0 - FORGETTING) * state["largest"], readings)
    heavy = np.flatnonzero(weight > HEAVIEST)
    if len(heavy):
        state["suffix"][heavy] /= weight[heavy, None, None]
        weight[heavy] = 1.0
