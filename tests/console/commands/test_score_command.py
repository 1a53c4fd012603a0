"""`emberwatch score`: files in, files out, and clear errors."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app

RUN = CliRunner()


def series(path: Path, hours: str = "00 01 02") -> Path:
    path.write_text("timestamp,value\n" + "".join(f"2026-01-05T{hour}:00:00Z,7\n" for hour in hours.split()))
    return path


def test_each_series_gets_a_file_of_its_name(tmp_path: Path):
    out = tmp_path / "out"
    files = [str(series(tmp_path / name)) for name in ("a.csv", "b.csv")]

    result = RUN.invoke(app, ["score", *files, "--out", str(out)])
    listed = RUN.invoke(app, ["score", files[0], "--out", str(out), "--json"])

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"2 scored series written to {out}/\n", "")
    assert json.loads(listed.stdout) == {"written": [str(out / "a.csv")]}
    lines = [f"2026-01-05T0{hour}:00:00Z,0.000000\n" for hour in range(3)]
    assert (out / "b.csv").read_text() == "".join(["timestamp,score\n", *lines])


def test_time_that_goes_back_is_noted_beside_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "a.csv", "00 02 01 03")

    result = RUN.invoke(app, ["score", "a.csv", "--out", "out"])

    note = "note: a.csv: time goes back once, first at line 4; rows were scored in the order they came in\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1 scored series written to out/\n", note)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.csv", "--out", "out"], 1, "none.csv: cannot be read: No such file or directory\n"),
        (["a.csv", "--out", "a.csv"], 1, "a.csv: the folder can't be made: File exists; choose another --out\n"),
        (["a.csv", "--out", "."], 1, "a.csv: --out is the folder of the input, which would be overwritten"),
        (["a.csv"], 2, "Missing option '--out'"),
        (["--out", "out"], 2, "Missing argument 'SERIES.csv'"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
):
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "a.csv")

    result = RUN.invoke(app, ["score", *arguments])

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
