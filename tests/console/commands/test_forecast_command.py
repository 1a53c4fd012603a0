"""`emberwatch forecast`: files in, files out, and clear errors."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app

RUN = CliRunner()
START = datetime(2026, 1, 5, tzinfo=UTC)


def series(path: Path) -> Path:
    lines = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{10 + hour % 24}" for hour in range(24 * 14)]
    path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    return path


def test_each_series_gets_a_file_of_its_name(tmp_path: Path):
    out = tmp_path / "out"
    files = [str(series(tmp_path / name)) for name in ("a.csv", "b.csv")]
    wanted = ["--at", "2026-01-18T00:00:00Z", "--horizon", "48h"]

    result = RUN.invoke(app, ["forecast", *files, "--out", str(out), *wanted])
    listed = RUN.invoke(app, ["forecast", *files, "--out", str(out), *wanted, "--json"])

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"2 forecasts written to {out}/\n", "")
    assert json.loads(listed.stdout) == {"written": [str(out / "a.csv"), str(out / "b.csv")]}
    lines = (out / "a.csv").read_text().splitlines()
    assert lines[0] == "timestamp,p025,p10,p50,p90,p975"
    assert (len(lines), lines[1].split(",")[0]) == (49, "2026-01-18T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.csv", "--out", "out"], 1, "none.csv: cannot be read: No such file or directory\n"),
        (["a.csv", "--out", "a.csv"], 1, "a.csv: the folder can't be made: File exists; choose another --out\n"),
        (["a.csv", "--out", "."], 1, "a.csv: --out is the folder of the input, which would be overwritten"),
        (["a.csv", "--out", "out", "--horizon", "soon"], 2, "a span such as 90m, 168h or 28d; got 'soon'"),
        (["a.csv", "--out", "out", "--horizon", "0h"], 2, "a span such as 90m, 168h or 28d; got '0h'"),
        (["a.csv", "--out", "out", "--at", "noon"], 2, "a time such as 2026-02-01T00:00:00Z; got 'noon'"),
        (["a.csv"], 2, "Missing option '--out'"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
):
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "a.csv")

    result = RUN.invoke(app, ["forecast", *arguments])

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
