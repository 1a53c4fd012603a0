"""`emberwatch forecast`: the service's own forecaster on a plain series in a CSV file."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from console.series_csv import SeriesError, read_rows, write_each
from detectors.forecast import Steps, forecast_steps
from detectors.seasonal import Season

DAY_S, WEEK_S = 86400.0, 604800.0
COLUMNS = ("timestamp", "p025", "p10", "p50", "p90", "p975")


def forecast_csv(
    paths: Sequence[Path],
    out_dir: Path,
    at: datetime | None,
    horizon: timedelta,
    done: Callable[[Path], None] = lambda written: None,
) -> list[Path]:
    """Forecast each series from `at` on (None: from its end) at its own interval; returns the files written.

    In: columns timestamp,value. Out: timestamp,p025,p10,p50,p90,p975, one file for each input with the same name.
    Nothing at or after `at` is looked at. Times without an offset are UTC and stay without.
    `done` is told of each file that was written. Raises SeriesError.
    """
    if horizon <= timedelta(0):
        raise SeriesError(f"--horizon must be longer than nothing, got {horizon}; one week is written 168h")
    return write_each(paths, out_dir, COLUMNS, lambda path: forecast_file(path, at, horizon), done)


def forecast_file(path: Path, at: datetime | None, horizon: timedelta) -> list[list[str]]:
    """The lines of one output."""
    until = None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    times, values, style = read_series(path, until)
    step_s = step_of(times, path)
    first_step = round(times[0] / step_s)
    slots = np.rint((times - times[0]) / step_s).astype(np.int64)
    start_s = until if until is not None else times[-1] + step_s
    offset = ceil((start_s - times[0]) / step_s - 1e-6)  # the first slot at or after the start
    n_steps = max(int(offset), int(slots[-1]) + 1)
    if n_steps > 10 * len(times) + 1000:
        raise SeriesError(
            f"{path}: the last value before the start of the forecast is too old: {n_steps} steps of {step_s:g} s are "
            f"spanned by {len(times)} values; give a later series or an earlier --at"
        )
    sums, counts = np.zeros(n_steps), np.zeros(n_steps)
    np.add.at(sums, slots, values)
    np.add.at(counts, slots, 1.0)
    history = np.where(counts > 0.0, sums / np.maximum(counts, 1.0), np.nan)[None, :]
    wanted = ceil(horizon.total_seconds() / step_s - 1e-6)
    season = Season(max(1, round(DAY_S / step_s)), max(1, round(WEEK_S / step_s)))
    steps = forecast_steps(history, first_step, wanted, season)
    return list(written_lines(steps, times[0] + n_steps * step_s, step_s, style))


def written_lines(steps: Steps, start_s: float, step_s: float, style: str) -> Iterable[list[str]]:
    """A row for each step; times as in the input: with their offset, or without one and with this separator."""
    quantiles = (steps.p025, steps.p10, steps.p50, steps.p90, steps.p975)
    for step in range(steps.p50.shape[1]):
        moment = datetime.fromtimestamp(round(start_s + step * step_s, 6), UTC)
        text = moment.replace(tzinfo=None).isoformat(sep=style) if style else moment.isoformat().replace("+00:00", "Z")
        yield [text, *(repr(float(quantile[0, step])) for quantile in quantiles)]


def read_series(path: Path, until_s: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Epoch seconds and values in order of time, before `until_s`; and the separator of times without an offset."""
    known = [(row.at_s, row.value, row.style) for row in read_rows(path, until_s) if row.value is not None]
    times, values = [at_s for at_s, _, _ in known], [value for _, value, _ in known]
    if len(times) < 2:
        raise SeriesError(f"{path}: at least 2 values before the start of the forecast are needed, got {len(times)}")
    order = np.argsort(np.array(times), kind="stable")
    return np.array(times)[order], np.array(values)[order], known[0][2]


def step_of(times: NDArray[np.float64], path: Path) -> float:
    """The sampling interval in seconds: the median difference of the distinct times."""
    gaps = np.diff(np.unique(times))
    if not len(gaps):
        raise SeriesError(f"{path}: all values have the same timestamp; an interval cannot be told")
    return float(np.median(gaps))
