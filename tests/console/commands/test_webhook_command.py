"""`emberwatch webhook`: what a person who writes a receiver sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.targets.vectors import SECRET, Vector, vectors
from console.cli import app

RUN = CliRunner()
VECTORS = {one.name: one for one in vectors()}


def verified(folder: Path, one: Vector, *more: str, line: str = "\r\n") -> Result:
    (folder / "secret").write_text(SECRET + "\n")
    head = "".join(f"{name}: {value}{line}" for name, value in one.headers.items())
    (folder / "request").write_bytes(f"POST /hook HTTP/1.1{line}{head}{line}{one.body}".encode())
    given = ["--secret-file", str(folder / "secret"), "--at", one.received_at.isoformat(), *more]
    return RUN.invoke(app, ["webhook", "verify", str(folder / "request"), *given])


@pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)
def test_each_vector_is_told_from_a_captured_request(one: Vector, tmp_path: Path):
    result = verified(tmp_path, one)

    assert result.stdout.startswith(f"{one.status}: ")
    assert result.exit_code == (0 if one.status == 202 else 1)


def test_what_a_request_asks_for_is_said(tmp_path: Path):
    result = verified(tmp_path, VECTORS["right"], line="\n")
    shown = json.loads(verified(tmp_path, VECTORS["right"], "--json").stdout)

    assert result.stdout == "202: scale_down.execute of research/vision/notebook-ana, 1 to 0 replicas\n"
    assert (shown["status"], shown["request"]["action_id"]) == ("taken", "act_k6hth33dtzczmwps")


def test_a_secret_that_can_not_sign_is_wrong_usage(tmp_path: Path):
    (tmp_path / "secret").write_text("short")
    result = RUN.invoke(app, ["webhook", "verify", "-", "--secret-file", str(tmp_path / "secret")], input="")

    assert (result.exit_code, result.stderr) == (2, "a webhook secret is `whsec_` and base64\n")


def test_the_vectors_are_printed_as_json():
    shown = json.loads(RUN.invoke(app, ["webhook", "vectors"]).stdout)

    assert shown["secret"] == SECRET
    assert [one["status"] for one in shown["vectors"]] == [one.status for one in vectors()]
