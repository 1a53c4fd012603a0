"""What will be spent: the median of four seasonal forecasters, with intervals from their own past errors.

`forecast_totals` answers for periods (a day, a week, a month), `forecast_steps` for each step of a plain series. Both
are pure and deterministic. A row's answer depends on its neighbours by one thing only, the pooled scale of the
intervals.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.bands import SHARES, Bands, step_bands
from detectors.conformal import LENGTHS_DAYS, Scores, day_change, half_widths, score_totals, total_half_width
from detectors.seasonal import (
    HOURLY,
    Flags,
    Matrix,
    Rows,
    Season,
    fill,
    holt_winters,
    known_mean,
    median_of,
    profile,
    recent,
    repeat,
)

WINDOW_DAYS = 56  # older history is not looked at
CHUNK_ROWS = 250  # what fits a processor's cache
ORIGINS_DAYS_AGO = (31, 26, 21, 17, 14, 11, 9, 7, 6, 5, 4, 3, 2, 1)
WEEK_DAYS = 7.0  # of history, from which on last week and Holt-Winters are asked; the others need one day
NEAR_DAYS = 3  # beyond, Holt-Winters' level is news of old: the profile takes its seat
INTERVAL_SHARE = 0.8  # p10 to p90


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


class Origin(Struct, frozen=True):
    """The forecast made at one moment of the past, or now. path: (n_rows, n_steps)."""

    ago: int  # steps before the end of the history; 0 is now
    path: Matrix
    answered: Flags  # (n_rows,), rows that had a day of history by then


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


def origins(
    filled: Matrix, known: Flags, days: Rows, first_step: int, horizon: int, season: Season, ago: Sequence[int]
) -> Iterator[Origin]:
    """The forecast at each moment `ago` (steps before the end, descending; one with too little past is left out)."""
    n_steps = filled.shape[1]
    ago = [back for back in ago if n_steps - back >= season.day]
    lengths = [horizon if back == 0 else back for back in ago]
    smooth = holt_winters(filled, known, [(n_steps - b, n) for b, n in zip(ago, lengths, strict=True)], season)
    rate = known_mean(filled, known)[:, None]
    for back, length, winters in zip(ago, lengths, smooth, strict=True):
        origin, then = n_steps - back, days - back / season.day
        answered = then >= 1.0
        shape = profile(filled, known, origin, length, first_step, season)
        young = then * season.day < max(WEEK_DAYS * season.day, season.week)
        winters[young] = recent(filled[young], origin, length, season)
        winters[:, NEAR_DAYS * season.day :] = shape[:, NEAR_DAYS * season.day :]
        paths = [
            shape,
            winters,
            repeat(filled, origin, length, season.day),
            repeat(filled, origin, length, min(season.week, origin)),
        ]
        usable = [answered, answered, answered, ~young]
        path = np.where(answered[:, None], median_of(paths, usable), rate)
        path[silent(filled, known, origin, season)] = 0.0
        yield Origin(back, path, answered)


def silent(filled: Matrix, known: Flags, origin: int, season: Season) -> Flags:
    """Rows that were known to be 0 all week before the origin: they have ended, and are not mourned for a month."""
    week = slice(origin - season.week, origin)
    if origin < season.week:
        return np.zeros(len(filled), dtype=np.bool_)
    quiet: Flags = (known[:, week] & (filled[:, week] == 0.0)).all(axis=1)
    return quiet


def methods(days: Rows) -> tuple[str, ...]:
    """How each row is forecast, by the days that it has lived."""
    return tuple(
        "run_rate" if lived < 1.0 else "median_of_three" if lived < WEEK_DAYS else "median_of_four"
        for lived in days.tolist()
    )


def forecast_totals(
    history: Matrix,
    first_hour: int,
    periods: Sequence[tuple[int, int]],
    mask: NDArray[np.bool_] | None = None,
    challengers: Mapping[int, Challenger] | None = None,
) -> Totals:
    """Spend of each period (start and end as epoch hours, end excluded) for each row.

    history: (n_rows, n_hours) USD of each hour, NaN where unknown or before the row's start; `first_hour` is the
    epoch hour of its first column, and its end is now. `mask` marks hours that are replaced by what the season
    expects before anything is learnt; what was spent in them still counts as spent. Challengers stand in for the rows
    they name. Only what is still to come carries uncertainty: p10 is never below what is spent already.
    """
    n_rows, n_hours = history.shape
    now = first_hour + n_hours
    horizon = max([1, *(end - now for _, end in periods)])
    filled, known, days, cut = prepare(history, mask, HOURLY)
    path, values = np.zeros((n_rows, horizon)), np.full((n_rows, len(LENGTHS_DAYS), len(ORIGINS_DAYS_AGO)), np.nan)
    change = day_change(filled, known, days, HOURLY)
    for start in range(0, n_rows, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        ago = [back * HOURLY.day for back in ORIGINS_DAYS_AGO]
        for origin in origins(filled[rows], known[rows], days[rows], first_hour + cut, horizon, HOURLY, [*ago, 0]):
            origin_path = np.maximum(origin.path, 0.0)
            if origin.ago == 0:
                path[rows] = origin_path
                continue
            errors = (origin_path - filled[rows, -origin.ago :]) * known[rows, -origin.ago :]
            scores = score_totals(errors, change[rows], HOURLY)
            values[rows, :, ago.index(origin.ago)] = np.where(origin.answered[:, None], scores, np.nan)
    method = list(methods(days))
    for row, challenger in (challengers or {}).items():
        path[row] = np.maximum(challenger.path[:horizon], 0.0)
        method[row] = challenger.name
        values[row] = challenger_scores(challenger, filled[row], known[row], change[row])
    widths = half_widths(Scores(values, change), INTERVAL_SHARE)

    spent = np.nan_to_num(history, nan=0.0)
    p10, p50, p90 = (np.zeros((n_rows, len(periods))) for _ in range(3))
    for place, (begin, end) in enumerate(periods):
        so_far = spent[:, max(0, begin - first_hour) : max(0, end - first_hour)].sum(axis=1)
        rest = path[:, max(0, begin - now) : max(0, end - now)].sum(axis=1)
        half = total_half_width(widths, change, max(0, end - max(now, begin)) / HOURLY.day)
        p50[:, place] = so_far + rest
        p10[:, place] = so_far + np.maximum(rest - half, 0.0)
        p90[:, place] = so_far + rest + half
    return Totals(p10, p50, p90, tuple(method), days, path)


def challenger_scores(challenger: Challenger, filled: Rows, known: Flags, change: float) -> Matrix:
    """The challenger's own past errors as scores: (n_lengths, n_origins)."""
    scores = np.full((len(LENGTHS_DAYS), len(ORIGINS_DAYS_AGO)), np.nan)
    for place, (ago, said) in enumerate(zip(challenger.origins_ago, challenger.backtests, strict=True)):
        begin, end = len(filled) - ago, len(filled) - ago + len(said)
        errors = (np.maximum(said, 0.0) - filled[begin:end]) * known[begin:end]
        scores[:, place] = score_totals(errors[None, :], np.array([change]), HOURLY)[0]
    return scores


def backtest(history: Matrix, first_hour: int, ago: Sequence[int], block: int) -> list[Matrix]:
    """What the champion would have said at each origin, `ago` hours before the end: (n_rows, block) each."""
    filled, known, days, cut = prepare(history, None, HOURLY)
    said = origins(filled, known, days, first_hour + cut, block, HOURLY, ago)
    return [np.maximum(origin.path[:, :block], 0.0) for origin in said]


def forecast_steps(history: Matrix, first_step: int, horizon: int, season: Season = HOURLY) -> Steps:
    """The next `horizon` steps of plain series, with 80 and 95 percent bands.

    history: (n_rows, n_steps), NaN where unknown; `first_step` is the absolute index of the first column in steps since
    1970-01-01. Rows that were never negative are not forecast to be.
    """
    filled, known, days, cut = prepare(history, None, season)
    floor = np.where((np.where(known, filled, 0.0) >= 0.0).all(axis=1), 0.0, -np.inf)[:, None]
    ago = [back * season.day for back in ORIGINS_DAYS_AGO]
    said = list(origins(filled, known, days, first_step + cut, horizon, season, [*ago, 0]))
    point = np.maximum(said[-1].path, floor)
    errors = {
        origin.ago: np.where(
            known[:, -origin.ago :] & origin.answered[:, None],
            filled[:, -origin.ago :] - np.maximum(origin.path, floor),
            np.nan,
        )
        for origin in said[:-1]
    }
    bands: Bands = step_bands(errors, filled, known, horizon, season)
    quantiles = [np.maximum(point + offset, floor) for offset in bands]
    low, lower, upper, high = quantiles
    return Steps(low, lower, point, upper, high, methods(days))


__all__ = ["SHARES", "Challenger", "Steps", "Totals", "backtest", "forecast_steps", "forecast_totals"]
