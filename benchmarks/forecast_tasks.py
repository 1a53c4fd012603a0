"""The forecaster asked again and again at earlier moments of recorded series, and what came of it.

Each moment is asked with what was known then and nothing else. A day later than the last is left out, and so are series
that were silent for most of the week, of which a forecast of hours is no test.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.figures import Run
from benchmarks.recorded import Source
from detectors.forecast import forecast_steps, forecast_totals

Matrix = NDArray[np.float64]

ORIGINS_DAYS = (3, 5, 7, 9, 10, 12, 14, 18, 21, 24, 28, 35, 42, 49, 60)
LONGEST_H = 168
LEADS_H = {"1h": (0, 1), "24h": (1, 24), "7d": (72, LONGEST_H)}
MID_MONTH_DAYS = (11, 17)  # of it still to come
LEAST_NAIVE_RATIO = 0.01  # of the mean: where yesterday again errs by less, there is nothing to win


class Task(Struct, frozen=True):
    """One series asked once. Errors are mean absolute ones; the shares are of hours inside the interval."""

    history_days: int
    error: float
    day_again: float  # error of seasonal naive: the last day, again and again
    week_again: float  # the same of the last week; NaN with less than a week
    mean: float
    inside80: NDArray[np.bool_]
    inside95: NDArray[np.bool_]


class Total(Struct, frozen=True):
    """One total asked for once, in the unit of the series."""

    history_days: int
    hours: int  # still to come
    period: str  # "24h", "7d" or "month"
    actual: float
    said: float
    day_again: float
    inside80: bool


def hour_tasks(source: Source) -> Iterator[Task]:
    """The hours ahead of each origin, up to a week of them."""
    n_hours = source.values.shape[1]
    for end in (24 * days for days in ORIGINS_DAYS if 24 * days + 24 <= n_hours):
        horizon = min(LONGEST_H, (n_hours - end) // 24 * 24)
        past, ahead = source.values[:, :end], source.values[:, end : end + horizon]
        live = np.isfinite(past[:, -24:]).all(axis=1) & np.isfinite(ahead).all(axis=1)
        live &= (past[:, -LONGEST_H:] > 0.0).mean(axis=1) > 0.5
        past, ahead = past[live], ahead[live]
        if not len(past):
            continue
        said = forecast_steps(past, source.first_hour, horizon)
        hours = np.arange(horizon)
        naive = np.abs(past[:, -24:][:, hours % 24] - ahead).mean(axis=1)
        week = np.full(len(past), np.nan)
        if end >= LONGEST_H:
            week = np.abs(past[:, -LONGEST_H:][:, hours % LONGEST_H] - ahead).mean(axis=1)
        error = np.abs(said.p50 - ahead).mean(axis=1)
        inside80, inside95 = (
            (low - 1e-9 <= ahead) & (ahead <= high + 1e-9)
            for low, high in ((said.p10, said.p90), (said.p025, said.p975))
        )
        for row, mean in enumerate(np.abs(ahead).mean(axis=1)):
            yield Task(end // 24, error[row], naive[row], week[row], mean, inside80[row], inside95[row])


def total_tasks(source: Source, whole: bool = False) -> Iterator[Total]:
    """The next day, the next week and the calendar month, asked each day; `whole`: of the sum of all series."""
    values = np.nansum(source.values, axis=0, keepdims=True) if whole else source.values
    n_hours = values.shape[1]
    for end in range(48, n_hours - 23, 24):
        now = source.first_hour + end
        month = month_around(now)
        periods = {"24h": (now, now + 24), "7d": (now, now + 168), "month": month}
        asked = {name: (begin, stop) for name, (begin, stop) in periods.items() if stop - source.first_hour <= n_hours}
        said = forecast_totals(values[:, :end], source.first_hour, list(asked.values()))
        for place, (name, (begin, stop)) in enumerate(asked.items()):
            since = max(0, begin - source.first_hour)
            actual = np.nansum(values[:, since : stop - source.first_hour], axis=1)
            spent = np.nansum(values[:, since:end], axis=1)
            naive = spent + np.nansum(values[:, end - 24 : end], axis=1) / 24.0 * (stop - now)
            inside = (said.p10[:, place] - 1e-9 <= actual) & (actual <= said.p90[:, place] + 1e-9)
            for row in np.flatnonzero(np.isfinite(values[:, :end]).any(axis=1)):
                got = said.p50[row, place]
                yield Total(end // 24, stop - now, name, actual[row], got, naive[row], bool(inside[row]))


def month_around(hour: int) -> tuple[int, int]:
    """The UTC calendar month around an epoch hour."""
    at = datetime.fromtimestamp(hour * 3600, UTC).replace(day=1, hour=0)
    after = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
    return int(at.timestamp()) // 3600, int(after.timestamp()) // 3600


def hour_figures(tasks: list[Task]) -> Run:
    """Ratios are geometric means over tasks, coverage is their mean; what yesterday again foretells is left out."""
    open_ones = [task for task in tasks if task.day_again > LEAST_NAIVE_RATIO * task.mean]
    found: Run = {
        "tasks": float(len(open_ones)),
        "rel_mae": geometric([task.error / task.day_again for task in open_ones]),
    }
    weekly = [task for task in open_ones if task.week_again > LEAST_NAIVE_RATIO * task.mean]
    if weekly:
        found["rel_mae_week"] = geometric([task.error / task.week_again for task in weekly])
    found["cover80"] = float(np.mean([task.inside80.mean() for task in open_ones]))
    found["cover95"] = float(np.mean([task.inside95.mean() for task in open_ones]))
    for name, (begin, end) in LEADS_H.items():
        inside = [task.inside80[begin:end].mean() for task in open_ones if len(task.inside80) > begin]
        if inside:
            found[f"cover80_{name}"] = float(np.mean(inside))
    return found


def total_figures(totals: list[Total]) -> Run:
    """Weighted absolute percentage errors beside yesterday again, coverage, and the month-end at mid-month."""
    found: Run = {}
    for name in ("24h", "7d"):
        asked = [total for total in totals if total.period == name]
        if asked:
            found[f"wape_{name}"], found[f"naive_{name}"] = wapes(asked)
            found[f"inside80_{name}"] = float(np.mean([total.inside80 for total in asked]))
    low, high = (24 * days for days in MID_MONTH_DAYS)
    mid = [total for total in totals if total.period == "month" and low <= total.hours <= high]
    if mid:
        found["month_wape"], found["month_naive"] = wapes(mid)
        found["month_median"] = float(np.median([abs(t.said - t.actual) / t.actual for t in mid if t.actual > 0.0]))
    return found


def wapes(totals: list[Total]) -> tuple[float, float]:
    """Of the forecast and of yesterday again."""
    actual = max(sum(total.actual for total in totals), 1e-300)
    ours, naive = (
        sum(abs(getattr(total, which) - total.actual) for total in totals) for which in ("said", "day_again")
    )
    return float(ours / actual), float(naive / actual)


def geometric(ratios: list[float]) -> float:
    """The geometric mean; a ratio counts as a thousandth at least. NaN for none."""
    return float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-3))))) if ratios else float("nan")
