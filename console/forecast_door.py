"""`emberwatch forecast`: the service's own forecaster on a plain series in a CSV file."""

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.forecast import Steps, forecast_steps
from detectors.seasonal import Season

DAY_S, WEEK_S = 86400.0, 604800.0
COLUMNS = ("timestamp", "p025", "p10", "p50", "p90", "p975")


class SeriesError(ValueError):
    """A file cannot be read as a series; says which, where and how to mend it."""


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
    twice = sorted({path.name for path in paths if sum(path.name == other.name for other in paths) > 1})
    if twice:
        raise SeriesError(f"two inputs have the name {twice[0]}, and the outputs would be one file; rename one of them")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeriesError(f"{out_dir}: the folder can't be made: {error.strerror}; choose another --out") from error
    written = []
    for path in paths:
        target = out_dir / path.name
        if target.resolve() == path.resolve():
            raise SeriesError(f"{path}: --out is the folder of the input, which would be overwritten; choose another")
        lines = forecast_file(path, at, horizon)
        try:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(lines)
        except OSError as error:
            raise SeriesError(f"{target}: cannot be written: {error.strerror}") from error
        written.append(target)
        done(target)
    return written


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
    times: list[float] = []
    values: list[float] = []
    style = ""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"timestamp", "value"} - set(reader.fieldnames or ())
            if missing:
                raise SeriesError(
                    f"{path}: line 1 must name the columns timestamp,value; "
                    f"got {','.join(reader.fieldnames or ()) or 'nothing'}"
                )
            for row in reader:
                moment, separator = moment_of(row["timestamp"], path, reader.line_num)
                if until_s is not None and moment >= until_s:
                    continue
                if not times:
                    style = separator
                value = value_of(row["value"], path, reader.line_num)
                if value is not None:
                    times.append(moment)
                    values.append(value)
    except UnicodeDecodeError as error:
        raise SeriesError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise SeriesError(f"{path}: is not CSV: {error}") from error
    except OSError as error:
        raise SeriesError(f"{path}: cannot be read: {error.strerror}") from error
    if len(times) < 2:
        raise SeriesError(f"{path}: at least 2 values before the start of the forecast are needed, got {len(times)}")
    order = np.argsort(np.array(times), kind="stable")
    return np.array(times)[order], np.array(values)[order], style


def moment_of(text: str | None, path: Path, line: int) -> tuple[float, str]:
    """Epoch seconds, and the separator of a time that was written without an offset (with one: empty)."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise SeriesError(
            f"{path}: line {line}: timestamp must be like 2026-01-05T00:00:00Z or 2026-01-05 00:00:00, got {text!r}"
        ) from None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC).timestamp(), "T" if "T" in (text or "") else " "
    return moment.timestamp(), ""


def value_of(text: str | None, path: Path, line: int) -> float | None:
    """The number, None where it is empty or NaN: unknown."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise SeriesError(f"{path}: line {line}: value must be a number or empty, got {text!r}") from None
    if value != value:
        return None
    if not isfinite(value):
        raise SeriesError(f"{path}: line {line}: value must be finite, got {text!r}")
    return value


def step_of(times: NDArray[np.float64], path: Path) -> float:
    """The sampling interval in seconds: the median difference of the distinct times."""
    gaps = np.diff(np.unique(times))
    if not len(gaps):
        raise SeriesError(f"{path}: all values have the same timestamp; an interval cannot be told")
    return float(np.median(gaps))
