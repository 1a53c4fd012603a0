"""Series by day and week: how many steps they have, what stands in where a step is unknown, and a day's shape.

Every function advances all rows at once, and no row knows of another. Rows are series, columns are steps.
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

HALF_LIFE_DAYS = 14.0  # of a day in the shape of a day


class Season(Struct, frozen=True):
    """How many steps a day and a week have."""

    day: int
    week: int


HOURLY = Season(24, 168)


def fill(series: Matrix, known: Flags, season: Season) -> Matrix:
    """Every unknown step gets the value of the same step a day before, else a day after, else the row's mean, else 0.

    series: (n_rows, n_steps), known: the same shape. Before a young row's start its first days are so repeated
    backwards.
    """
    filled = np.where(known, series, np.nan)
    n_steps = filled.shape[1]
    for start in range(season.day, n_steps, season.day):
        block = filled[:, start : start + season.day]
        earlier = filled[:, start - season.day : start - season.day + block.shape[1]]
        np.copyto(block, earlier, where=np.isnan(block))
    for start in range((n_steps - 1) // season.day * season.day - season.day, -1, -season.day):
        block = filled[:, start : min(start + season.day, n_steps - season.day)]
        later = filled[:, start + season.day : start + season.day + block.shape[1]]
        np.copyto(block, later, where=np.isnan(block))
    return np.where(np.isnan(filled), known_mean(series, known)[:, None], filled)


def known_mean(series: Matrix, known: Flags) -> Rows:
    """Mean of the known steps of each row; 0 where nothing is known."""
    total = np.where(known, series, 0.0).sum(axis=1)
    mean: Rows = total / np.maximum(known.sum(axis=1), 1)
    return mean


def time_shares(filled: Matrix, known: Flags, season: Season) -> Matrix:
    """What each time of day, counted from the end, has of a day's total: (n_rows, day), rows add up to 1.

    filled, known: (n_rows, whole days of steps). Old days count less; a row that is nothing is spread evenly.
    """
    by_day = (len(filled), -1, season.day)
    age = np.arange(filled.shape[1] // season.day - 1, -1, -1)
    weight = 0.5 ** (age / HALF_LIFE_DAYS)
    seen = np.where(known, filled, 0.0).reshape(by_day)
    size = np.maximum((seen * weight[None, :, None]).sum(axis=1), 0.0)
    count = (known.reshape(by_day) * weight[None, :, None]).sum(axis=1)
    every = np.maximum(filled.reshape(by_day).mean(axis=1), 0.0)
    mean = np.where(count > 0.0, size / np.maximum(count, 1e-300), every)
    total = mean.sum(axis=1, keepdims=True)
    shares: Matrix = np.where(total > 0.0, mean / np.where(total > 0.0, total, 1.0), 1.0 / season.day)
    return shares
