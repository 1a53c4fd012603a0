"""What will be spent: totals of periods, and the steps of plain series, each with how sure it is.

`forecast_totals` answers for periods (a day, a week, a month), `forecast_steps` for each step of a plain series. Both
are pure and deterministic. A row's answer depends on its neighbours by one thing only, the pooled scale of the
intervals of totals.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.bands import step_bands
from detectors.conformal import Scores, bounds, score_totals, total_bound
from detectors.day_totals import DayPath, day_paths
from detectors.hours import step_paths
from detectors.seasonal import HOURLY, Flags, Matrix, Rows, Season, fill, known_mean, time_shares

WINDOW_DAYS = 56  # older history is not looked at
CHUNK_ROWS = 250  # what fits a processor's cache
TOTAL_ORIGINS_DAYS = (42, 35, 31, 28, 24, 21, 18, 16, *range(14, 0, -1))  # ago: where totals are tried out
STEP_ORIGINS_DAYS = (21, 14, 10, 7, 5, 3, 2, 1)  # and single steps
LONGEST_TOTAL_DAYS = 31
INTERVAL = (0.1, 0.9)


class Totals(Struct, frozen=True):
    """Spend of whole periods, what is already spent included. Arrays: (n_rows, n_periods)."""

    p10: Matrix
    p50: Matrix
    p90: Matrix
    method: tuple[str, ...]  # for each row
    days: Rows  # of history, for each row
    path: Matrix  # (n_rows, n_steps) the expected spend of each step ahead


class Steps(Struct, frozen=True):
    """The next steps of a series and how sure they are. Arrays: (n_rows, horizon)."""

    p025: Matrix
    p10: Matrix
    p50: Matrix
    p90: Matrix
    p975: Matrix
    method: tuple[str, ...]


class Challenger(Struct, frozen=True):
    """Another forecaster's word for one row: the steps ahead, and what it said at earlier origins, oldest first."""

    name: str
    path: Rows  # (horizon,)
    origins_ago: tuple[int, ...]  # steps between each origin and the end of the history
    backtests: tuple[Rows, ...]  # (block,) each


class Past(Struct, frozen=True):
    """What is known of the rows, by days that end now. totals, known: (n_rows, n_days)."""

    totals: Matrix
    known: Flags
    lived_days: Rows
    first_day: int  # since 1970-01-01
    rate: Rows  # a day's total as the mean of all that is known
    ended: Flags  # rows that were known to be 0 all week
    shares: Matrix  # (n_rows, day) of a day's total, by time of day from now


def prepare(history: Matrix, mask: NDArray[np.bool_] | None, season: Season) -> tuple[Matrix, Flags, Rows, int]:
    """The last WINDOW_DAYS as (filled, known, days lived, columns cut or, if negative, put before)."""
    known = np.isfinite(history)
    if mask is not None:
        known &= ~mask
    history = np.where(known, history, 0.0)
    wanted = max(2 * season.day, min(history.shape[1], WINDOW_DAYS * season.day))
    cut = history.shape[1] - wanted
    if cut >= 0:
        history, known = history[:, cut:], known[:, cut:]
    else:
        history, known = (np.pad(part, ((0, 0), (-cut, 0))) for part in (history, known))
    lived = np.where(known.any(axis=1), wanted - known.argmax(axis=1), 0)
    return fill(history, known, season), known, lived / season.day, cut


def past_of(filled: Matrix, known: Flags, lived_days: Rows, first_step: int, season: Season) -> Past:
    """The past by days. A day of which less than half is known is unknown, and filled as its hours were."""
    n_rows, n_steps = filled.shape
    n_days = n_steps // season.day
    begin = n_steps - n_days * season.day
    by_day = (n_rows, n_days, season.day)
    totals = filled[:, begin:].reshape(by_day).sum(axis=2)
    seen = known[:, begin:].reshape(by_day).sum(axis=2) * 2 >= season.day
    ended = np.zeros(n_rows, dtype=np.bool_)
    if n_steps >= season.week:
        week = slice(n_steps - season.week, n_steps)
        ended = (known[:, week] & (filled[:, week] == 0.0)).all(axis=1)
    first_day = (first_step + begin + season.day // 2) // season.day
    rate = known_mean(filled, known) * season.day
    return Past(
        totals, seen, lived_days, first_day, rate, ended, time_shares(filled[:, begin:], known[:, begin:], season)
    )


def totals_of(past: Past, n_ahead: int, origins: Sequence[int]) -> list[DayPath]:
    """The days ahead at each origin and, last, now: none below zero, young rows at their rate, ended ones at none."""
    found = day_paths(past.totals, past.known, past.first_day, n_ahead, [*origins, 0], LONGEST_TOTAL_DAYS)
    return [DayPath(path.ago_days, np.maximum(settled(past, path), 0.0)) for path in found]


def settled(past: Past, path: DayPath) -> Matrix:
    """A path with its exceptions."""
    young = past.lived_days - path.ago_days < 1.0
    totals = np.where(young[:, None], past.rate[:, None], path.totals)
    return np.where((past.ended & (path.ago_days == 0))[:, None], 0.0, totals)


def methods(days: Rows) -> tuple[str, ...]:
    """How each row is forecast, by the days that it has lived."""
    return tuple("run_rate" if lived < 1.0 else "weighed_median" for lived in days.tolist())


def forecast_totals(
    history: Matrix,
    first_hour: int,
    periods: Sequence[tuple[int, int]],
    mask: NDArray[np.bool_] | None = None,
    challengers: Mapping[int, Challenger] | None = None,
    price: Matrix | None = None,
) -> Totals:
    """Spend of each period (start and end as epoch hours, end excluded) for each row.

    history: (n_rows, n_hours) USD of each hour, NaN where unknown or before the row's start; `first_hour` is the
    epoch hour of its first column, and its end is now. `mask` marks hours that are replaced by what the season
    expects before anything is learnt; what was spent in them still counts as spent. Challengers stand in for the rows
    they name. `price`: (n_rows, n_hours and all that is asked for) the price of each hour over that of the last one,
    where a step of the price is known: the past is learnt from at today's price, and what is to come is told at its
    own. Only what is still to come carries uncertainty: p10 is never below what is spent already.
    """
    n_rows, n_hours = history.shape
    now = first_hour + n_hours
    horizon = max([1, *(end - now for _, end in periods)])
    parts, paths, days = [], [np.empty((0, horizon))], [np.empty(0)]
    for start in range(0, n_rows, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        taught = history[rows] if price is None else history[rows] / price[rows, :n_hours]
        filled, known, lived, cut = prepare(taught, None if mask is None else mask[rows], HOURLY)
        past = past_of(filled, known, lived, first_hour + cut, HOURLY)
        *earlier, ahead = totals_of(past, -(-horizon // HOURLY.day), TOTAL_ORIGINS_DAYS)
        path, scores = spread_out(past, ahead.totals, horizon), score_totals(earlier, past.totals, past.known, lived)
        for row, challenger in (challengers or {}).items():
            if start <= row < start + len(path):
                path[row - start] = np.maximum(challenger.path[:horizon], 0.0)
                scores.values[row - start] = challenger_scores(challenger, past, row - start, scores)
        parts.append(scores)
        paths.append(path)
        days.append(lived)
    path, lived = np.concatenate(paths), np.concatenate(days)
    method = list(methods(lived))
    for row, challenger in (challengers or {}).items():
        method[row] = challenger.name
    p10, p50, p90 = (np.zeros((n_rows, len(periods))) for _ in range(3))
    if parts:
        change = np.concatenate([part.change for part in parts])
        values = np.concatenate([part.values for part in parts])
        low, high = bounds(Scores(values, parts[0].ago_days, change), INTERVAL)
    spent = np.nan_to_num(history, nan=0.0)
    told = path if price is None else path * price[:, n_hours : n_hours + horizon]
    for place, (begin, end) in enumerate(periods if parts else ()):
        so_far = spent[:, max(0, begin - first_hour) : max(0, end - first_hour)].sum(axis=1)
        plain, rest = (part[:, max(0, begin - now) : max(0, end - now)].sum(axis=1) for part in (path, told))
        unit = change * np.where(plain > 0.0, rest / np.where(plain > 0.0, plain, 1.0), 1.0)
        left_days = max(0, end - max(now, begin)) / HOURLY.day
        p50[:, place] = so_far + rest
        p10[:, place] = so_far + np.maximum(rest + np.minimum(total_bound(low, unit, left_days), 0.0), 0.0)
        p90[:, place] = so_far + rest + np.maximum(total_bound(high, unit, left_days), 0.0)
    return Totals(p10, p50, p90, tuple(method), lived, told)


def spread_out(past: Past, totals: Matrix, horizon: int) -> Matrix:
    """Totals of days as hours: (n_rows, horizon)."""
    step = np.arange(horizon)
    return totals[:, step // past.shares.shape[1]] * past.shares[:, step % past.shares.shape[1]]


def challenger_scores(challenger: Challenger, past: Past, row: int, scores: Scores) -> Matrix:
    """The challenger's own past errors as scores: (n_lengths, n_origins)."""
    one = slice(row, row + 1)
    found = np.full(scores.values.shape[1:], np.nan)
    for ago, said in zip(challenger.origins_ago, challenger.backtests, strict=True):
        path = DayPath(ago // HOURLY.day, np.maximum(said, 0.0).reshape(1, -1, HOURLY.day).sum(axis=2))
        own = score_totals([path], past.totals[one], past.known[one], past.lived_days[one])
        found[:, scores.ago_days == path.ago_days] = own.values[0]
    return found


def backtest(history: Matrix, first_hour: int, ago: Sequence[int], block: int) -> list[Matrix]:
    """What the champion would have said at each origin, so many hours (whole days) before the end: (n_rows, block)."""
    said = []
    for back in ago:
        filled, known, lived, cut = prepare(history[:, : history.shape[1] - back], None, HOURLY)
        past = past_of(filled, known, lived, first_hour + cut, HOURLY)
        now = totals_of(past, -(-block // HOURLY.day), TOTAL_ORIGINS_DAYS)[-1]
        said.append(spread_out(past, now.totals, block))
    return said


def forecast_steps(history: Matrix, first_step: int, horizon: int, season: Season = HOURLY) -> Steps:
    """The next `horizon` steps of plain series, with 80 and 95 percent bands.

    history: (n_rows, n_steps), NaN where unknown; `first_step` is the absolute index of the first column in steps since
    1970-01-01. Rows that were never negative are not forecast to be. No row depends on another.
    """
    found = [np.empty((5, 0, horizon))]
    days = [np.empty(0)]
    for start in range(0, len(history), CHUNK_ROWS):
        filled, known, lived, cut = prepare(history[start : start + CHUNK_ROWS], None, season)
        floor = np.where((np.where(known, filled, 0.0) >= 0.0).all(axis=1), 0.0, -np.inf)[:, None]
        *earlier, now = step_paths(filled, known, first_step + cut, horizon, season, [*STEP_ORIGINS_DAYS, 0])
        point = np.maximum(now.steps, floor)
        low, lower, upper, high = step_bands(earlier, filled, known, floor, horizon, season)
        found.append(np.stack([np.maximum(point + by, floor) for by in (low, lower, np.zeros(1), upper, high)]))
        days.append(lived)
    p025, p10, p50, p90, p975 = np.concatenate(found, axis=1)
    return Steps(p025, p10, p50, p90, p975, methods(np.concatenate(days)))
