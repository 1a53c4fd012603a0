"""The score of a plain series: files in, files out, and what is said about bad ones."""

import csv
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from console.score_door import score_csv
from console.series_csv import SeriesError

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
START = datetime(2026, 1, 5, tzinfo=UTC)


def values(rows: int) -> list[float]:
    return [float(value) for value in 10.0 + np.random.default_rng(0).uniform(-0.3, 0.3, rows)]


def write(path: Path, series: list[float], style: str = "%Y-%m-%dT%H:%M:%SZ", step_s: float = 300.0) -> Path:
    times = [(START + timedelta(seconds=step_s * number)).strftime(style) for number in range(len(series))]
    lines = [f"{time},{value}" for time, value in zip(times, series, strict=True)]
    path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    return path


def read(path: Path) -> list[tuple[str, float]]:
    with path.open(newline="") as file:
        header, *lines = list(csv.reader(file))
    assert header == ["timestamp", "score"]
    return [(time, float(score)) for time, score in lines]


@pytest.mark.parametrize("style", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S+02:00"])
def test_each_row_has_a_score_at_its_time_as_it_was_written(tmp_path: Path, style: str):
    series = values(710)
    series[700] = 90.0
    source = write(tmp_path / "cpu.csv", series, style)

    (target,) = score_csv([source], tmp_path / "out")

    assert target == tmp_path / "out" / "cpu.csv"
    assert [time for time, _ in read(target)] == [line.split(",")[0] for line in source.read_text().splitlines()[1:]]
    assert [number for number, (_, score) in enumerate(read(target)) if score >= 0.5] == [700]


def test_what_comes_later_changes_nothing(tmp_path: Path):
    series = values(500)
    whole = write(tmp_path / "whole.csv", [*series, *(1e9 * one for one in series)])
    prefix = write(tmp_path / "prefix.csv", series)

    first, second = score_csv([whole, prefix], tmp_path / "out")

    assert read(first)[:500] == read(second)


def test_unknown_values_score_nothing_and_leave_the_rest_as_it_was(tmp_path: Path):
    series = values(400)
    source = write(tmp_path / "a.csv", series)
    lines = source.read_text().splitlines()
    gaps = {100: "", 200: "nan"}
    for row, text in gaps.items():
        lines.insert(row + 1, f"{lines[row].split(',')[0]},{text}")
    holes = tmp_path / "b.csv"
    holes.write_text("\n".join(lines) + "\n")

    first, second = score_csv([source, holes], tmp_path / "out")

    told = read(second)
    assert [told.pop(row)[1] for row in sorted(gaps, reverse=True)] == [0.0, 0.0]
    assert told == read(first)


def test_double_times_are_scored_and_time_that_goes_back_is_told(tmp_path: Path):
    source = tmp_path / "a.csv"
    times = ("01:00", "02:00", "02:00", "01:30", "02:30", "02:10", "03:00")
    source.write_text("timestamp,value\n" + "".join(f"2026-01-05 {time}:00,1.5\n" for time in times))
    notes: list[str] = []

    (target,) = score_csv([source], tmp_path / "out", note=notes.append)

    assert [time for time, _ in read(target)] == [f"2026-01-05 {time}:00" for time in times]
    assert notes == [f"{source}: time goes back 2 times, first at line 5; rows were scored in the order they came in"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,value\n1,2\n", "line 1 must name the columns timestamp,value; got time,value"),
        ("", "line 1 must name the columns timestamp,value; got nothing"),
        ("timestamp,value\n", "holds no values; at least one row must follow the line timestamp,value"),
        ("timestamp,value\nyesterday,2\n", "line 2: timestamp must be like .*, got 'yesterday'"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,x\n", "line 3: value must be a number or empty, got 'x'"),
        ("timestamp,value\n2026-01-01,inf\n", "line 2: value must be finite, got 'inf'"),
        (
            "timestamp,value\n2026-01-02,1\n2026-01-01,1\n",
            "ends before it begins; sort it by timestamp, the oldest row",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_fault_and_not_written(tmp_path: Path, text: str, message: str):
    source = tmp_path / "bad.csv"
    source.write_text(text)

    with pytest.raises(SeriesError, match=f"bad.csv: {message}"):
        score_csv([source], tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []


def test_no_input_is_overwritten_and_no_output_twice(tmp_path: Path):
    source = write(tmp_path / "a.csv", [1.0] * 50)
    with pytest.raises(SeriesError, match="would be overwritten"):
        score_csv([source], tmp_path)
    with pytest.raises(SeriesError, match=r"two inputs have the name a\.csv"):
        score_csv([source, tmp_path / "b" / "a.csv"], tmp_path / "out")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (SHARED / "data" / "nab-dev" / "data").is_dir(), reason="the labelled series are not here")
def test_it_keeps_its_place_on_the_labelled_series(tmp_path: Path):
    score_csv(sorted((SHARED / "data" / "nab-dev" / "data").glob("*/*.csv")), tmp_path)

    scorer = [sys.executable, "-B", SHARED / "bench" / "nab_score.py", tmp_path, "--threshold", "0.5", "--json"]
    judged = json.loads(subprocess.run(scorer, capture_output=True, text=True, timeout=600, check=True).stdout)
    reached = {name: profile["normalised"] for name, profile in judged.items()}
    page = (ROOT / "docs" / "judgement.md").read_text()

    assert reached["standard"] >= 72.0
    assert reached["reward_low_FP_rate"] >= 67.0
    told = [float(score) for score in re.findall(r"^\| (?:standard|reward low F[NP] rate) \| ([\d.]+) \|", page, re.M)]
    assert told == [round(score, 1) for score in reached.values()]
