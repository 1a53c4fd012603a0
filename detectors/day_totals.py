"""What whole days to come will cost: six plain forecasters, and the weighed median of them by how they did lately.

Everything here is by days that end now, not by hours: a total is what budgets and months are made of, and the sum of
what is likely for each hour is not what is likely for the sum.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from detectors.hours import weighed_median
from detectors.likeness import ALL_ALIKE, DAYS_A_WEEK, LATELY, LIKE, Days, days_of, quantiles, weights_for
from detectors.seasonal import Flags, Matrix, Rows, Season

DAILY = Season(1, DAYS_A_WEEK)
HALF_LIFE_DAYS = 14.0  # of the mean
WEEKDAY_PRIOR_DAYS = 2.0  # a weekday's effect counts as much as the mean once it was seen on this many days
CARRY_PRIOR = 0.5  # how much of today's deviation is expected tomorrow, before the series itself has told
CARRY_PRIOR_DAYS = 3.0
CARRY_MAX = 0.98
LEVEL_GAIN = 0.4  # of the level that follows quickly
SHARPNESS = 4.0  # a forecaster with twice the error has a sixteenth of the weight
PRIOR_ERRORS = np.array([0.7, 0.8, 1.0, 1.0, 1.0, 1.2])  # of the forecasters, relative to their mean
PRIOR_ORIGINS = 3.0  # as many origins as this belief counts for
EVEN_SHARE = 0.05  # of the mean error, by which a perfect forecaster is held to be imperfect
JUDGED_DAYS = 7  # of each earlier forecast


class DayPath(Struct, frozen=True):
    """The forecast made so many days before now. totals: (n_rows, n_days)."""

    ago_days: int
    totals: Matrix


def day_paths(
    totals: Matrix, known: Flags, first_day: int, n_ahead: int, ago_days: Sequence[int], longest: int
) -> list[DayPath]:
    """The forecast at each origin, `ago_days` descending and ending with 0, which is now and `n_ahead` long.

    totals, known: (n_rows, n_days); `first_day` counts from 1970-01-01. Earlier ones are as long as what is known
    since, and at most `longest`. No origin sees what came after it, in the totals or in how the forecasters did.
    """
    days = days_of(totals, known, first_day, DAILY, totals.shape[1])
    past: list[
        tuple[int, Matrix]
    ] = []  # origin, and what each forecaster was wrong by: (n_forecasters, n_rows, n_days)
    paths = []
    for ago in [ago for ago in ago_days if totals.shape[1] - ago >= 1]:
        said = forecasters(totals, known, days, first_day, ago, min(ago, longest) if ago else n_ahead)
        paths.append(DayPath(ago, weighed_median(said, trust(past, ago, len(said), len(totals)))))
        if ago:
            judged = said[:, :, :JUDGED_DAYS]
            place = totals.shape[1] - ago
            window = slice(place, place + judged.shape[2])
            past.append((ago, (judged - totals[None, :, window]) * known[None, :, window]))
    return paths


def trust(past: list[tuple[int, Matrix]], ago: int, n_forecasters: int, n_rows: int) -> Matrix:
    """The weight of each forecaster at an origin, from days before it: its error by days, and of their sum."""
    error = np.zeros((n_forecasters, n_rows))
    for earlier, miss in past:
        seen = miss[:, :, : earlier - ago]
        error += (np.abs(seen).sum(axis=2) + np.abs(seen.sum(axis=2))) / seen.shape[2]
    mean = error.mean(axis=0) / len(past) if past else np.ones(n_rows)
    error += PRIOR_ORIGINS * PRIOR_ERRORS[:, None] * mean
    floor = EVEN_SHARE * error.mean(axis=0) + 1e-300
    weight: Matrix = ((error + floor) / (error.min(axis=0) + floor)) ** -SHARPNESS
    return weight


def forecasters(totals: Matrix, known: Flags, days: Days, first_day: int, ago: int, n_ahead: int) -> Matrix:
    """What each of the six says at an origin: (6, n_rows, n_ahead)."""
    origin = totals.shape[1] - ago
    past, seen = totals[:, :origin], known[:, :origin]
    weekday = (first_day + np.arange(origin)) % DAYS_A_WEEK
    ahead = np.arange(n_ahead)
    weekday_ahead = (first_day + origin + ahead) % DAYS_A_WEEK
    like = LIKE if origin >= DAYS_A_WEEK else ALL_ALIKE
    likely = [quantiles(days, weights_for(days, day, ago, like), [0.5])[0][:, 0] for day in range(min(n_ahead, 7))]
    lately = quantiles(days, weights_for(days, 0, ago, LATELY), [0.5])[0]
    last_week = (
        past[:, origin - DAYS_A_WEEK + ahead % DAYS_A_WEEK] if origin >= DAYS_A_WEEK else past[:, [-1] * n_ahead]
    )
    mean, effect, explained = weekday_means(past, seen, weekday)
    rest = np.where(seen, past - mean[:, None] - explained, 0.0)
    return np.stack(
        [
            mean[:, None] + effect[:, weekday_ahead] + rest[:, -1:] * carry(rest)[:, None] ** (ahead + 1.0),
            level(past - explained, seen)[:, None] + effect[:, weekday_ahead],
            np.stack(likely, axis=1)[:, ahead % DAYS_A_WEEK],
            np.repeat(lately, n_ahead, axis=1),
            last_week,
            np.repeat(past[:, -1:], n_ahead, axis=1),
        ]
    )


def weekday_means(past: Matrix, seen: Flags, weekday: Rows) -> tuple[Rows, Matrix, Matrix]:
    """The decayed mean, what a weekday adds to it, shrunk: (n_rows, 7), and the same for each day of the past."""
    age = np.arange(past.shape[1] - 1, -1, -1)
    weight = seen * 0.5 ** (age / HALF_LIFE_DAYS)
    mean = (weight * past).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    mean = np.where(seen.any(axis=1), mean, past.mean(axis=1))
    rest = (past - mean[:, None]) * weight
    effect = np.zeros((len(past), DAYS_A_WEEK))
    for name in np.unique(weekday):
        # contiguous, so that a row is added up in the same order however many rows there are
        miss, weights = (np.ascontiguousarray(part[:, weekday == name]).sum(axis=1) for part in (rest, weight))
        effect[:, name] = miss / (weights + WEEKDAY_PRIOR_DAYS)
    return mean, effect, effect[:, weekday]


def carry(rest: Matrix) -> Rows:
    """How much of a day's deviation is left on the next: an AR(1), shrunk."""
    power = (rest * rest).mean(axis=1)
    together = (rest[:, 1:] * rest[:, :-1]).sum(axis=1) + CARRY_PRIOR_DAYS * CARRY_PRIOR * power
    alone = (rest[:, :-1] ** 2).sum(axis=1) + CARRY_PRIOR_DAYS * power
    share: Rows = np.clip(together / np.maximum(alone, 1e-300), 0.0, CARRY_MAX)
    return share


def level(past: Matrix, seen: Flags) -> Rows:
    """The level that follows quickly."""
    now = past[:, 0].copy()
    for day in range(1, past.shape[1]):
        now += LEVEL_GAIN * (past[:, day] - now) * seen[:, day]
    return now
