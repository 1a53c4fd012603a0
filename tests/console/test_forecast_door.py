"""The forecast of a plain series: files in, files out, and what is said about bad ones."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from console.forecast_door import forecast_csv
from console.series_csv import SeriesError

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def write(path: Path, values: list[float], step: timedelta, style: str = "%Y-%m-%dT%H:%M:%SZ") -> Path:
    lines = [f"{(START + step * place).strftime(style)},{value}" for place, value in enumerate(values)]
    path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    return path


def read(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(newline="") as file:
        header, *lines = list(csv.reader(file))
    assert header == ["timestamp", "p025", "p10", "p50", "p90", "p975"]
    return [line[0] for line in lines], np.array([[float(cell) for cell in line[1:]] for line in lines])


@pytest.mark.parametrize("minutes", [5, 15, 60, 1440])
def test_a_series_goes_on_at_its_own_interval(tmp_path: Path, minutes: int):
    step = timedelta(minutes=minutes)
    n = 20 * 1440 // minutes
    values = [10.0 + (place * minutes % 1440) / 144.0 for place in range(n)]
    source = write(tmp_path / "cpu.csv", values, step)

    (target,) = forecast_csv([source], tmp_path / "out", START + timedelta(days=20), timedelta(hours=48))

    assert target == tmp_path / "out" / "cpu.csv"
    times, quantiles = read(target)
    assert times[:2] == [(START + timedelta(days=20) + step * k).isoformat().replace("+00:00", "Z") for k in range(2)]
    assert len(times) == 2880 // minutes
    np.testing.assert_allclose(quantiles[:, 2], values[: len(times)], rtol=1e-6)
    assert (np.diff(quantiles, axis=1) >= 0.0).all()


def test_nothing_at_or_after_the_moment_is_looked_at(tmp_path: Path):
    hour = timedelta(hours=1)
    whole = write(tmp_path / "a.csv", [1.0] * 240 + [999.0] * 100, hour)
    cut = write(tmp_path / "b.csv", [1.0] * 240, hour)

    first, second = forecast_csv([whole, cut], tmp_path / "out", START + timedelta(days=10), WEEK)

    assert first.read_text() == second.read_text()
    assert len(read(first)[0]) == 168


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S", "2026-01-15 00:00:00"),
        ("%Y-%m-%dT%H:%M:%S", "2026-01-15T00:00:00"),
        ("%Y-%m-%dT%H:%M:%S+00:00", "2026-01-15T00:00:00Z"),
    ],
)
def test_times_are_written_as_they_were_read(tmp_path: Path, style: str, expected: str):
    source = write(tmp_path / "a.csv", [1.0, 2.0] * 120, timedelta(hours=1), style)
    (target,) = forecast_csv([source], tmp_path / "out", None, timedelta(hours=3))
    assert read(target)[0][0] == expected


def test_negative_series_may_stay_negative_and_gaps_are_unknown(tmp_path: Path):
    source = write(tmp_path / "a.csv", [-5.0] * 240, timedelta(hours=1))
    lines = source.read_text().splitlines()
    lines[50] = lines[50].split(",")[0] + ","
    lines[60] = lines[60].split(",")[0] + ",nan"
    del lines[100:110]
    source.write_text("\n".join(lines) + "\n")

    (target,) = forecast_csv([source], tmp_path / "out", None, timedelta(hours=5))

    np.testing.assert_allclose(read(target)[1], np.full((5, 5), -5.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,value\n1,2\n", "line 1 must name the columns timestamp,value; got time,value"),
        ("", "line 1 must name the columns timestamp,value; got nothing"),
        ("timestamp,value\nyesterday,2\n", "line 2: timestamp must be like .*, got 'yesterday'"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,x\n", "line 3: value must be a number or empty, got 'x'"),
        ("timestamp,value\n2026-01-01,inf\n", "line 2: value must be finite, got 'inf'"),
        ("timestamp,value\n2026-01-01,1\n", "at least 2 values before the start of the forecast are needed, got 1"),
        ("timestamp,value\n2026-01-01,1\n2026-01-01,2\n", "all values have the same timestamp"),
        ("timestamp,value\n1926-01-01T00:00:00Z,1\n1926-01-01T00:01:00Z,2\n", "is too old"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_fault(tmp_path: Path, text: str, message: str):
    source = tmp_path / "bad.csv"
    source.write_text(text)
    with pytest.raises(SeriesError, match=f"bad.csv: .*{message}|bad.csv: {message}"):
        forecast_csv([source], tmp_path / "out", START, WEEK)


def test_what_cannot_be_read_is_said(tmp_path: Path):
    with pytest.raises(SeriesError, match="cannot be read: No such file"):
        forecast_csv([tmp_path / "none.csv"], tmp_path / "out", None, WEEK)
    (tmp_path / "x.csv").write_bytes(b"timestamp,value\n\xff\xfe,1\n")
    with pytest.raises(SeriesError, match="is not UTF-8 text"):
        forecast_csv([tmp_path / "x.csv"], tmp_path / "out", None, WEEK)


def test_no_input_is_overwritten_and_no_output_twice(tmp_path: Path):
    source = write(tmp_path / "a.csv", [1.0] * 50, timedelta(hours=1))
    with pytest.raises(SeriesError, match="would be overwritten"):
        forecast_csv([source], tmp_path, None, WEEK)
    with pytest.raises(SeriesError, match=r"two inputs have the name a\.csv"):
        forecast_csv([source, tmp_path / "b" / "a.csv"], tmp_path / "out", None, WEEK)
    with pytest.raises(SeriesError, match="--horizon must be longer than nothing"):
        forecast_csv([source], tmp_path / "out", None, timedelta(0))
