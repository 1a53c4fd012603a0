"""How sure a total is: intervals from the errors that the same forecaster made in the past, on totals themselves.

An error of a total over some days, divided by what the row usually changes by from day to day and by the root of the
days, is a score that can be compared between rows. What is a row's own in it is the mean size of its earlier scores,
shrunk to that of all rows; what remains is taken from all rows together, with its sign, so that a row with three
scores of its own still gets an honest 80 percent, and one that can only be surprised upwards gets its room there.
Nothing is divided by what was not known yet. A fixed prior takes the place of the other rows where there are few.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from detectors.day_totals import DayPath
from detectors.seasonal import Flags, Matrix, Rows

LENGTHS_DAYS = (1, 3, 7, 15, 31)  # totals over these spans are scored
OWN_PRIOR_SCORES = 3.0  # the pooled mean counts as much as this many scores of the row's own
PRIOR_SCORES = 20  # and the prior as much as this many scores of the pool
PRIOR_MEAN = 1.0  # mean size of the score of a day's total
PRIOR_GROWTH = (1.0, 1.5, 1.5, 1.3, 1.3)  # of the mean from each length to the next
DOUBT = 0.25  # by so much an interval is wider where no score is at hand, and by less with each that does not overlap
PRIOR_SPREAD: Rows = -np.log1p(-(np.arange(PRIOR_SCORES) + 0.5) / PRIOR_SCORES) * np.tile(
    [1.0, -1.0], PRIOR_SCORES // 2
)
MOST_SCORE = 8.0  # a row that had not moved before may score anything: no more is learnt from it than from this
UNIT_THEN_RATIO = 0.1  # of the unit now, below which no unit of the past is believed
HALF_LIFE_DAYS = 7.0  # of a score in the pool: what befalls rows now may befall others
STEADY_CHANGE_RATIO = 0.01  # even a flat row is believed to change by this share of a day's total
YOUNG_CHANGE_RATIO = 0.3  # and one of less than three days by this
YOUNG_DAYS = 3.0


class Scores(Struct, frozen=True):
    """Past errors of totals, actual less forecast, in the row's own unit. values: (n_rows, n_lengths, n_origins)."""

    values: Matrix  # NaN where there is none
    ago_days: Rows  # (n_origins,), descending
    change: Rows  # (n_rows,), the unit now, of a day


def day_change(totals: Matrix, known: Flags, lived_days: Rows) -> Rows:
    """Mean absolute change from one day's total to the next, over the days that the row has lived: (n_rows,)."""
    n_days = totals.shape[1]
    lived = np.arange(n_days - 1, -1, -1)[None, :] + 1 <= np.floor(lived_days)[:, None]
    both = lived[:, 1:] & lived[:, :-1]
    change = (np.abs(np.diff(totals, axis=1)) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    level = np.abs(np.where(known, totals, 0.0)).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    floor = np.where(lived_days < YOUNG_DAYS, YOUNG_CHANGE_RATIO, STEADY_CHANGE_RATIO)
    unit: Rows = np.maximum(change, floor * level)
    return unit


def score_totals(paths: Sequence[DayPath], totals: Matrix, known: Flags, lived_days: Rows) -> Scores:
    """Scores of the earlier forecasts. totals, known: (n_rows, n_days); rows without a day at an origin have none."""
    values = np.full((len(totals), len(LENGTHS_DAYS), len(paths)), np.nan)
    n_days = totals.shape[1]
    change = day_change(totals, known, lived_days)
    for place, path in enumerate(paths):
        origin = n_days - path.ago_days
        lived = lived_days - path.ago_days
        unit = np.maximum(day_change(totals[:, :origin], known[:, :origin], lived), UNIT_THEN_RATIO * change)
        window = slice(origin, origin + path.totals.shape[1])
        running = np.cumsum((totals[:, window] - path.totals) * known[:, window], axis=1)
        for which, length in enumerate(LENGTHS_DAYS):
            if length <= running.shape[1]:
                score = running[:, length - 1] / (np.maximum(unit, 1e-300) * np.sqrt(length))
                values[:, which, place] = np.where(lived >= 1.0, np.clip(score, -MOST_SCORE, MOST_SCORE), np.nan)
    ago = np.array([path.ago_days for path in paths], dtype=np.float64)
    return Scores(values, ago, change)


def bounds(scores: Scores, shares: Sequence[float]) -> list[Matrix]:
    """Quantiles of a total's error over change * sqrt(days), one for each share: (n_rows, n_lengths).

    What a length has no scores for is taken from the next shorter one, times the growth that is usual between them.
    """
    found = [np.empty(scores.values.shape[:2]) for _ in shares]
    n_rows = len(scores.values)
    scale, pooled = np.full(n_rows, PRIOR_MEAN), PRIOR_MEAN
    for place, growth in enumerate(PRIOR_GROWTH):
        own = scores.values[:, place, :]
        given = np.isfinite(own)
        size = np.where(given, np.abs(own), 0.0)
        before, pooled = pooled, (size.sum() + PRIOR_SCORES * pooled * growth) / (given.sum() + PRIOR_SCORES)
        shorter = scale * (pooled / before)
        then = scale_then(size, given, scores.ago_days, LENGTHS_DAYS[place], shorter)
        scale = (size.sum(axis=1) + OWN_PRIOR_SCORES * shorter) / (given.sum(axis=1) + OWN_PRIOR_SCORES)
        weight = np.broadcast_to(0.5 ** (scores.ago_days / HALF_LIFE_DAYS), own.shape)[given]
        spread = np.concatenate([(own / np.maximum(then, 1e-300))[given], PRIOR_SPREAD])
        weights = np.concatenate([weight, np.ones(PRIOR_SCORES)])
        doubt = 1.0 + DOUBT / (1.0 + given.sum(axis=1) / LENGTHS_DAYS[place])
        for bound, value in zip(found, weighed_quantiles(spread, weights, shares), strict=True):
            bound[:, place] = scale * doubt * value
    return found


def scale_then(size: Matrix, given: Flags, ago_days: Rows, length: int, shorter: Rows) -> Matrix:
    """The row's scale as it was at each origin: from the scores that were complete by then. (n_rows, n_origins)."""
    complete = (ago_days[:, None] - length >= ago_days[None, :]).astype(np.float64)
    sums, counts = size @ complete, given @ complete
    scale: Matrix = (sums + OWN_PRIOR_SCORES * shorter[:, None]) / (counts + OWN_PRIOR_SCORES)
    return scale


def weighed_quantiles(values: Rows, weights: Rows, shares: Sequence[float]) -> list[float]:
    """The least value with at least each share of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    places = np.searchsorted(running, np.asarray(shares) * running[-1])
    return [float(values[order[min(place, len(values) - 1)]]) for place in places.tolist()]


def total_bound(bound: Matrix, change: Rows, days: float) -> Rows:
    """A quantile of the error of a total over `days`, between the lengths by the logarithm: (n_rows,), in USD."""
    if days <= 0.0:
        return np.zeros(len(bound))
    at = np.interp(np.log(days), np.log(LENGTHS_DAYS), np.arange(len(LENGTHS_DAYS)))
    low = int(at)
    high = min(low + 1, len(LENGTHS_DAYS) - 1)
    mixed = bound[:, low] * (1.0 - (at - low)) + bound[:, high] * (at - low)
    width: Rows = mixed * change * np.sqrt(days)
    return width
