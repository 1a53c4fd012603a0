"""`emberwatch score`: the streaming anomaly score on a plain series in a CSV file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from console.series_csv import SeriesError, read_rows, write_each
from detectors.streaming_score import StreamingScore

COLUMNS = ("timestamp", "score")
HOUR_S = 3600
HOURS_A_DAY = 24


def score_csv(
    paths: Sequence[Path],
    out_dir: Path,
    done: Callable[[Path], None] = lambda written: None,
    note: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Score each series in one pass; returns the files written.

    In: columns timestamp,value. Out: timestamp,score, a row for each row in its order, one file for each input with
    the same name. Rows are scored as they come, those with the same time too. An unknown value scores 0.
    `done` is told of each file that was written, `note` of one in which time goes back. Raises SeriesError.
    """
    return write_each(paths, out_dir, COLUMNS, lambda path: score_file(path, note), done)


def score_file(path: Path, note: Callable[[str], None]) -> list[tuple[str, str]]:
    """The lines of one output: the time as it was written, and the score."""
    series = StreamingScore(1)
    lines: list[tuple[str, str]] = []
    first_s = latest_s = None
    went_back: list[int] = []
    for row in read_rows(path):
        if first_s is None or latest_s is None:
            first_s = latest_s = row.at_s
        if row.at_s < latest_s:
            went_back.append(row.line)
        latest_s = row.at_s
        hour = int(row.at_s // HOUR_S) % HOURS_A_DAY
        value = np.nan if row.value is None else row.value
        lines.append((row.text, f"{series.step(np.array([value]), np.array([hour]))[0]:.6f}"))
    if first_s is None or latest_s is None:
        raise SeriesError(f"{path}: holds no values; at least one row must follow the line timestamp,value")
    if latest_s < first_s:
        raise SeriesError(f"{path}: ends before it begins; sort it by timestamp, the oldest row first")
    if went_back:
        times = "once" if len(went_back) == 1 else f"{len(went_back)} times"
        note(
            f"{path}: time goes back {times}, first at line {went_back[0]}; rows were scored in the order they came in"
        )
    return lines
