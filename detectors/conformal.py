"""How sure a forecast is: intervals from the errors that the same forecaster made in the past.

The error of a total over h days, divided by the row's own day-on-day change and by sqrt(h), is a score that can be
compared between rows. A row's scale is the mean of its own scores, shrunk to the mean of all; the spread around it is
taken from all rows together, so that a row with three scores of its own still gets an honest 80 percent. A fixed
prior takes the place of the other rows where there are few. This pooled scale is all that a row's answer takes from
its neighbours.
"""

import numpy as np
from msgspec import Struct

from detectors.seasonal import Flags, Matrix, Rows, Season

LENGTHS_DAYS = (1, 3, 7, 15, 31)  # totals over these spans are scored
OWN_PRIOR_SCORES = 3.0  # the pooled mean counts as much as this many scores of the row's own
PRIOR_SCORES = 20  # and the prior as much as this many scores of the pool
PRIOR_MEAN = 1.0  # mean score of a day's total, on recorded traffic
PRIOR_GROWTH = (1.0, 1.8, 2.0, 1.8, 1.5)  # of the mean score from each length to the next
PRIOR_SPREAD: Rows = -np.log1p(-(np.arange(PRIOR_SCORES) + 0.5) / PRIOR_SCORES)  # exponential with mean 1
STEADY_CHANGE_RATIO = 0.01  # even a flat row is believed to change by this share of a day's total
YOUNG_CHANGE_RATIO = 0.3  # and one of less than three days by this


class Scores(Struct, frozen=True):
    """Errors of past totals over the row's own change. values: (n_rows, n_lengths, n_origins), NaN where none."""

    values: Matrix
    change: Rows  # (n_rows,), mean absolute change of the total from day to day


def day_change(filled: Matrix, known: Flags, days: Rows, season: Season) -> Rows:
    """Mean absolute change from one day's total to the next, over the days that the row has lived: (n_rows,)."""
    n_days = filled.shape[1] // season.day
    begin = filled.shape[1] - n_days * season.day
    totals = filled[:, begin:].reshape(len(filled), n_days, season.day).sum(axis=2)
    lived = np.arange(n_days - 1, -1, -1)[None, :] + 1 <= np.floor(days)[:, None]
    both = lived[:, 1:] & lived[:, :-1]
    change = (np.abs(np.diff(totals, axis=1)) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    level = np.abs(np.where(known, filled, 0.0)).sum(axis=1) / np.maximum(known.sum(axis=1), 1) * season.day
    floor = np.where(days < 3.0, YOUNG_CHANGE_RATIO, STEADY_CHANGE_RATIO)
    unit: Rows = np.maximum(change, floor * level)
    return unit


def score_totals(errors: Matrix, change: Rows, season: Season) -> Rows:
    """Scores of one past origin. errors: (n_rows, n_steps) signed error of each step; returns (n_rows, n_lengths)."""
    running = np.cumsum(errors, axis=1)
    scores = np.full((len(errors), len(LENGTHS_DAYS)), np.nan)
    for place, length in enumerate(LENGTHS_DAYS):
        if length * season.day <= errors.shape[1]:
            unit = np.maximum(change, 1e-300) * np.sqrt(length)
            scores[:, place] = np.abs(running[:, length * season.day - 1]) / unit
    return scores


def half_widths(scores: Scores, share: float) -> Matrix:
    """Half width of the interval that holds `share` of totals, over change * sqrt(days): (n_rows, n_lengths).

    What a length has no scores for is taken from the next shorter one, times the growth that is usual between them.
    """
    widths = np.empty(scores.values.shape[:2])
    scale, pooled = np.full(len(widths), PRIOR_MEAN), PRIOR_MEAN
    for place, growth in enumerate(PRIOR_GROWTH):
        own = scores.values[:, place, :]
        given = np.isfinite(own)
        sums, counts = np.where(given, own, 0.0).sum(axis=1), given.sum(axis=1)
        before, pooled = pooled, (sums.sum() + PRIOR_SCORES * pooled * growth) / (counts.sum() + PRIOR_SCORES)
        shorter = np.full(len(widths), pooled) if place == 0 else scale * (pooled / before)
        scale = (sums + OWN_PRIOR_SCORES * shorter) / (counts + OWN_PRIOR_SCORES)
        spread = np.concatenate([(own / np.maximum(scale, 1e-300)[:, None])[given], PRIOR_SPREAD])
        widths[:, place] = scale * np.quantile(spread, share)
    return widths


def total_half_width(widths: Matrix, change: Rows, days: float) -> Rows:
    """Half width of a total over `days`, between the lengths by the logarithm: (n_rows,), in the unit of the series."""
    if days <= 0.0:
        return np.zeros(len(widths))
    at = np.interp(np.log(days), np.log(LENGTHS_DAYS), np.arange(len(LENGTHS_DAYS)))
    low = int(at)
    high = min(low + 1, len(LENGTHS_DAYS) - 1)
    mixed = widths[:, low] * (1.0 - (at - low)) + widths[:, high] * (at - low)
    width: Rows = mixed * change * np.sqrt(days)
    return width
