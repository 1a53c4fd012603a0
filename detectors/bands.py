"""How sure a single step of a forecast is: quantiles of the row's own past errors at the same distance.

Errors of one origin are alike, so what counts is from how many origins they are: with few of them the band of a
distance leans on the next shorter one, and is widened.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from detectors.hours import Path
from detectors.seasonal import Flags, Matrix, Rows, Season

SHARES = (0.025, 0.1, 0.9, 0.975)
GAUSS: Rows = np.array([-1.96, -1.2816, 1.2816, 1.96])
LEADS_DAYS = (1, 3, 7)  # errors are gathered by their distance from the origin: up to so many days, and beyond
GROWTH = (1.2, 1.15, 1.2, 1.2)  # of a band from each distance to the next, before there are errors
PRIOR_ORIGINS = 2.0  # as many origins as this the shorter distance counts for
WIDENING: Rows = np.array([3.0, 0.8, 0.8, 3.0])  # over one more than the origins; the ends of a band are seen least
TIME_PRIOR_ERRORS = 5.0  # a time of day has its own scale once it has seen more errors than this
NEIGHBOURS_PER_DAY = 12  # times of day within 1/12 of a day share what they have seen

Bands = list[Matrix]


def step_bands(
    paths: Sequence[Path], filled: Matrix, known: Flags, floor: Matrix, horizon: int, season: Season
) -> Bands:
    """Offsets from the point for each of SHARES: four of (n_rows, horizon), ascending, the first two never above zero.

    paths: what was said at earlier origins; filled, known: (n_rows, n_steps); floor: (n_rows, 1), below which nothing
    is said. Where there is no earlier origin, the changes from day to day stand in, else the spread of the history.
    """
    n_rows = len(filled)
    errors = [errors_of(path, filled, known, floor, season) for path in paths]
    scale = time_scale(errors, n_rows, season)
    scaled = [(error.reshape(n_rows, -1, season.day) / scale[:, None, :]).reshape(n_rows, -1) for error in errors]
    band, offsets = first_band(filled, known, season), np.zeros((len(SHARES), n_rows, horizon))
    edges = [0, *(lead * season.day for lead in LEADS_DAYS), max(horizon, LEADS_DAYS[-1] * season.day) + 1]
    for (begin, end), growth in zip(pairwise(edges), GROWTH, strict=True):
        if begin >= horizon:
            break
        pool = [error[:, begin:end] for error in scaled if error.shape[1] > begin]
        origins = sum((np.isfinite(part).any(axis=1).astype(np.float64) for part in pool), np.zeros(n_rows))
        own = sorted_quantiles(np.concatenate([np.empty((n_rows, 0)), *pool], axis=1))
        band = (origins * own + PRIOR_ORIGINS * growth * band) / (origins + PRIOR_ORIGINS)
        wide = band * (1.0 + WIDENING[:, None] / (origins + 1.0))
        steps = np.arange(begin, min(end, horizon))
        offsets[:, :, steps] = wide[:, :, None] * scale[None, :, steps % season.day]
    offsets[:2] = np.minimum(offsets[:2], 0.0)
    offsets[2:] = np.maximum(offsets[2:], 0.0)
    return list(np.sort(offsets, axis=0))


def errors_of(path: Path, filled: Matrix, known: Flags, floor: Matrix, season: Season) -> Matrix:
    """Actual less forecast, NaN where unknown or where the row had not lived a day: (n_rows, n_steps of the path)."""
    origin = filled.shape[1] - path.ago_days * season.day
    window = slice(origin, origin + path.steps.shape[1])
    answered = known[:, : max(0, origin - season.day + 1)].any(axis=1)
    miss = filled[:, window] - np.maximum(path.steps, floor)
    error: Matrix = np.where(known[:, window] & answered.reshape(-1, 1), miss, np.nan)
    return error


def first_band(filled: Matrix, known: Flags, season: Season) -> Matrix:
    """What stands in before there are errors: (4, n_rows)."""
    both = known[:, season.day :] & known[:, : -season.day]
    change = np.where(both, filled[:, season.day :] - filled[:, : -season.day], np.nan)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, filled, 0.0).sum(axis=1) / count
    spread = np.sqrt((np.where(known, filled - mean[:, None], 0.0) ** 2).sum(axis=1) / count)
    band: Matrix = np.where(both.sum(axis=1) >= season.day, sorted_quantiles(change), GAUSS[:, None] * spread)
    return band


def time_scale(errors: Sequence[Matrix], n_rows: int, season: Season) -> Matrix:
    """How large errors are at each time of day, counted from now, relative to all: (n_rows, day), around 1."""
    total, count = np.zeros((n_rows, season.day)), np.zeros((n_rows, season.day))
    for error in errors:
        by_day = error.reshape(n_rows, -1, season.day)
        given = np.isfinite(by_day)
        total += np.where(given, np.abs(by_day), 0.0).sum(axis=1)
        count += given.sum(axis=1)
    reach = max(1, season.day // NEIGHBOURS_PER_DAY)
    near = (np.arange(season.day)[:, None] + np.arange(-reach, reach + 1)) % season.day
    mean = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1.0)
    prior = TIME_PRIOR_ERRORS * near.shape[1]
    around = total[:, near].sum(axis=2) / np.where(mean > 0.0, mean, 1.0)[:, None]
    scale: Matrix = np.where(mean[:, None] > 0.0, (around + prior) / (count[:, near].sum(axis=2) + prior), 1.0)
    return scale


def sorted_quantiles(values: Matrix) -> Matrix:
    """The quantiles SHARES of each row's finite values, 0 where it has none: (4, n_rows)."""
    if values.shape[1] == 0:
        return np.zeros((len(SHARES), len(values)))
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(axis=1) - 1, 0)
    found = []
    for share in SHARES:
        place = share * last
        low = np.floor(place).astype(np.int64)
        lower, upper = (
            np.take_along_axis(ordered, at[:, None], axis=1)[:, 0] for at in (low, np.minimum(low + 1, last))
        )
        found.append(lower + (upper - lower) * (place - low))
    quantiles: Matrix = np.nan_to_num(np.stack(found), nan=0.0)
    return quantiles
