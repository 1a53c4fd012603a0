"""The four forecasters: a decayed profile, Holt-Winters, yesterday again, and last week again.

Every function advances all rows at once, and no row knows of another. Rows are series, columns are steps; `origin` is
the column from which on nothing may be seen. Recipe: the median of simple seasonal forecasters loses to few single
methods and to none of them badly, which is what an unattended forecast of ten thousand workloads needs.
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

PROFILE_HALF_LIFE_DAYS = 14.0
WEEKDAY_PRIOR_DAYS = 2.0  # a weekday's effect counts as much as the profile once it was seen on this many days
CARRY_PRIOR = 0.5  # how much of today's deviation is expected tomorrow, before the series itself has told
CARRY_PRIOR_DAYS = 3.0
CARRY_MAX = 0.98
DAMPING = 0.98  # of Holt-Winters' trend, for each step
GRID = tuple((alpha, beta, gamma) for alpha in (0.05, 0.2, 0.5) for beta in (0.0, 0.01) for gamma in (0.1, 0.3))


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


def repeat(filled: Matrix, origin: int, horizon: int, lag: int) -> Matrix:
    """The last `lag` steps before the origin, again and again: (n_rows, horizon)."""
    return filled[:, origin - lag + np.arange(horizon) % lag]


def recent(filled: Matrix, origin: int, horizon: int, season: Season) -> Matrix:
    """The mean of the last quarter of a day, for ever: (n_rows, horizon). For rows too young to be smoothed."""
    last = filled[:, origin - max(1, season.day // 4) : origin]
    return np.repeat(last.mean(axis=1)[:, None], horizon, axis=1)


def profile(filled: Matrix, known: Flags, origin: int, horizon: int, first_step: int, season: Season) -> Matrix:
    """Time of day plus shrunk weekday, old days decayed, and today's deviation carried on: (n_rows, horizon).

    `first_step` is the absolute index of the first column: it says which columns share a weekday.
    The deviation of the last day is an AR(1) over daily means and fades as rho^(steps / day).
    """
    n_days = origin // season.day
    begin = origin - n_days * season.day
    shape = (len(filled), n_days, season.day)
    days = filled[:, begin:origin].reshape(shape)
    seen = known[:, begin:origin].reshape(shape)
    age = np.arange(n_days - 1, -1, -1, dtype=np.float64)
    weight = seen * (0.5 ** (age / PROFILE_HALF_LIFE_DAYS))[None, :, None]
    weight_sum = weight.sum(axis=1)
    mean = days.mean(axis=1)
    by_time = np.where(weight_sum > 0.0, (weight * days).sum(axis=1) / np.maximum(weight_sum, 1e-12), mean)
    rest = days - by_time[:, None, :]

    weekday = (np.arange(first_step + begin, first_step + origin + horizon) % season.week) // season.day
    past, ahead = weekday[: origin - begin], weekday[origin - begin :]
    weighted = (rest * weight).reshape(len(filled), -1)
    flat_weight = weight.reshape(len(filled), -1)
    path: Matrix = by_time[:, np.arange(horizon) % season.day]
    explained = np.zeros((len(filled), n_days * season.day))
    for name in np.unique(past):
        columns = past == name
        # contiguous, so that a row is added up in the same order however many rows there are
        miss, weights = (np.ascontiguousarray(part[:, columns]).sum(axis=1) for part in (weighted, flat_weight))
        effect = miss / (weights + WEEKDAY_PRIOR_DAYS * season.day)
        explained[:, columns] = effect[:, None]
        path[:, ahead == name] += effect[:, None]

    rest -= explained.reshape(shape)
    daily = (rest * seen).sum(axis=2) / np.maximum(seen.sum(axis=2), 1)
    power = (daily * daily).mean(axis=1)
    together = (daily[:, 1:] * daily[:, :-1]).sum(axis=1) + CARRY_PRIOR_DAYS * CARRY_PRIOR * power
    alone = (daily[:, :-1] ** 2).sum(axis=1) + CARRY_PRIOR_DAYS * power
    carry = np.clip(together / np.maximum(alone, 1e-300), 0.0, CARRY_MAX)
    fade = np.power(carry[:, None], (np.arange(horizon) + 1.0)[None, :] / season.day)
    path += daily[:, -1:] * fade
    return path


def holt_winters(filled: Matrix, known: Flags, ends: list[tuple[int, int]], season: Season) -> list[Matrix]:
    """Additive damped Holt-Winters with a daily season, for each (origin, horizon) of `ends` in ascending order.

    One pass over the steps advances all rows under all twelve parameter sets; at each origin a row takes the set with
    the least mean error one day ahead so far. Hyndman, Athanasopoulos, "Forecasting", section 8.3, in
    error-correction form.
    """
    day, n_rows = season.day, len(filled)
    alpha, beta, gamma = (np.array(column)[:, None] for column in zip(*GRID, strict=True))
    if day == 1:
        gamma = np.zeros_like(gamma)
    gain_trend, gain_season = alpha * beta, gamma * (1.0 - alpha)
    damp_day = float((DAMPING ** np.arange(1, day + 1)).sum())

    first = filled[:, :day]
    level = np.repeat(first.mean(axis=1)[None, :], len(GRID), axis=0)
    trend = np.zeros((len(GRID), n_rows))
    effect = np.repeat((first - level[0][:, None]).T[:, None, :], len(GRID), axis=1)  # (day, n_sets, n_rows)
    told = effect + level[None]  # what each set said a day ago about this time of day
    error = np.zeros((len(GRID), n_rows))
    columns, seen = np.ascontiguousarray(filled.T), np.ascontiguousarray(known.T.astype(np.float64))

    paths, rows, step = [], np.arange(n_rows), day
    for origin, horizon in ends:
        for now in range(step, origin):
            time = now % day
            value, weight, season_now = columns[now], seen[now], effect[time]
            error += np.abs(told[time] - value) * weight
            trend *= DAMPING
            level += trend
            miss = (value - level - season_now) * weight
            level += alpha * miss
            trend += gain_trend * miss
            season_now += gain_season * miss
            told[time] = level + damp_day * trend + season_now
        step = max(step, origin)
        best = np.argmin(error, axis=0)
        ahead = np.arange(horizon)
        damped = np.cumsum(DAMPING ** (ahead + 1.0))
        path = effect[:, best, rows].T[:, (origin + ahead) % day]
        path += level[best, rows][:, None] + trend[best, rows][:, None] * damped
        paths.append(path)
    return paths


def median_of(paths: list[Matrix], usable: list[Flags]) -> Matrix:
    """The median of at most four paths that are usable for a row; `usable[k]`: (n_rows,). None usable gives 0."""
    total = np.zeros_like(paths[0])
    low = np.full_like(total, np.inf)
    high = np.full_like(total, -np.inf)
    count = np.zeros(len(total), dtype=np.int64)
    for path, rows in zip(paths, usable, strict=True):
        total += np.where(rows[:, None], path, 0.0)
        np.minimum(low, path, out=low, where=rows[:, None])
        np.maximum(high, path, out=high, where=rows[:, None])
        count += rows
    low, high = (np.where(count[:, None] > 0, bound, 0.0) for bound in (low, high))
    trimmed = (count >= 3)[:, None]
    inner = total - np.where(trimmed, low + high, 0.0)
    median: Matrix = inner / np.maximum(np.where(count >= 3, count - 2, count), 1)[:, None]
    return np.clip(median, low, high)
