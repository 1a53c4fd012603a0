"""How sure a single step of a forecast is: quantiles of the row's own past errors at the same distance."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.seasonal import Flags, Matrix, Rows, Season

SHARES = (0.025, 0.1, 0.9, 0.975)
WIDENING = np.array(
    [1.8, 1.35, 1.35, 1.8]
)  # errors of one row are alike: so much more is needed to hold what is promised
GAUSS = np.array([-1.96, -1.2816, 1.2816, 1.96])
LEAST_ERRORS = 12  # for a band of its own, and no less than a day of them
LEADS_DAYS = (1, 3, 7)  # errors are gathered by their distance from the origin: up to so many days, and beyond
TIME_PRIOR_ERRORS = 5.0  # a time of day has its own scale once it has seen more errors than this
NEIGHBOURS_PER_DAY = 12  # times of day within 1/12 of a day share what they have seen

Bands = list[Matrix]


def step_bands(errors: dict[int, Matrix], filled: Matrix, known: Flags, horizon: int, season: Season) -> Bands:
    """Offsets from the point for each of SHARES: four of (n_rows, horizon), ascending, the first two never above zero.

    errors: actual less forecast for each past origin (its steps before the end): (n_rows, n_steps), NaN where there
    is none. Where a distance has too few errors, the nearest shorter one stands in; without any, the
    spread of the history.
    """
    n_rows, n_steps = filled.shape
    offsets = np.zeros((len(SHARES), n_rows, horizon))
    edges = [0, *(lead * season.day for lead in LEADS_DAYS), max(horizon, LEADS_DAYS[-1] * season.day) + 1]
    for row in range(n_rows):
        own = {ago: error[row] for ago, error in errors.items()}
        shape = time_scale(own, n_steps, season)
        known_row = filled[row, known[row]]
        band = (GAUSS * (known_row.std() if len(known_row) else 0.0))[:, None] * np.ones(season.day)
        for begin, end in pairwise(edges):
            if begin >= horizon:
                break
            pool = [
                error[begin:end] / shape[times_of_day(n_steps - ago, error, season)[begin:end]]
                for ago, error in own.items()
            ]
            found = np.concatenate([np.empty(0), *pool])
            found = found[np.isfinite(found)]
            if len(found) >= max(season.day, LEAST_ERRORS):
                band = (np.quantile(found, SHARES) * WIDENING)[:, None] * shape
            steps = np.arange(begin, min(end, horizon))
            offsets[:, row, steps] = band[:, (n_steps + steps) % season.day]
    offsets[:2] = np.minimum(offsets[:2], 0.0)
    offsets[2:] = np.maximum(offsets[2:], 0.0)
    return list(np.sort(offsets, axis=0))


def times_of_day(origin: int, error: Rows, season: Season) -> NDArray[np.int64]:
    """The step of the day of each error after an origin."""
    return (origin + np.arange(len(error))) % season.day


def time_scale(errors: dict[int, Rows], n_steps: int, season: Season) -> Rows:
    """How large errors are at each time of day, relative to all: (day,), around 1."""
    total, count = np.zeros(season.day), np.zeros(season.day)
    for ago, error in errors.items():
        given = np.isfinite(error)
        times = times_of_day(n_steps - ago, error, season)[given]
        np.add.at(total, times, np.abs(error[given]))
        np.add.at(count, times, 1.0)
    if total.sum() <= 0.0:
        return np.ones(season.day)
    mean = total.sum() / count.sum()
    reach = max(1, season.day // NEIGHBOURS_PER_DAY)
    near = (np.arange(season.day)[:, None] + np.arange(-reach, reach + 1)) % season.day
    prior = TIME_PRIOR_ERRORS * near.shape[1]
    scale: Rows = (total[near].sum(axis=1) / mean + prior) / (count[near].sum(axis=1) + prior)
    return scale
