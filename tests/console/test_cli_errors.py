"""How commands end when something is wrong: a code, the reason on standard error, and no traceback.

Code 5 is `digest --send` only (tests/console/commands/test_digest_command.py); 130 is a command that Ctrl-C cut short.
"""

import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from tests.console.processes import Running, emberwatch
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

RUN = CliRunner()
READERS = [["incidents"], ["incidents", "show", "inc_a"], ["digest"], ["actions"], ["actions", "pause"]]
EVENT = (
    '{"type":"change","event_id":"d","at":"2026-01-05T00:00:00Z","workload":"c/n/w","kind":"deploy","summary":"x"}\n'
)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(EVENT)
    return path


@pytest.mark.parametrize("command", [*READERS, ["run"], ["serve"], ["worker"], ["replay", __file__]])
def test_a_missing_config_is_told(command: list[str]):
    result = RUN.invoke(app, [*command, "--config", "none.yaml"])

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "the config can't be used: 1 problem\nnone.yaml\n    got: no such file\n    meant: the path of a config file\n"
    )


@pytest.mark.parametrize("command", [*READERS, ["run"], ["serve"], ["worker"], ["replay", __file__]])
def test_a_bad_config_is_told_with_all_its_faults(tmp_path: Path, command: list[str]):
    path = tmp_path / "c.yaml"
    path.write_text("log: {levl: info}\nconsole: {port: 0}\n")

    result = RUN.invoke(app, [*command, "--config", str(path)])

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("the config can't be used: 2 problems\n")
    assert f"{path}:1:7: log.levl" in result.stderr
    assert f"{path}:2:" in result.stderr


@pytest.mark.parametrize("command", READERS)
def test_a_config_is_needed(command: list[str]):
    result = RUN.invoke(app, command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Missing option '--config'" in result.stderr


@pytest.mark.parametrize("command", READERS)
def test_a_store_that_was_never_made_is_not_made_now(tmp_path: Path, command: list[str]):
    path = tmp_path / "c.yaml"
    path.write_text(f"store: {{data_dir: {tmp_path}/data}}\n")

    result = RUN.invoke(app, [*command, "--config", str(path)])

    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith(
        f"there is no store at {tmp_path}/data/emberwatch.db yet: `emberwatch run` makes it"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", [["incidents"], ["digest"], ["run"], ["serve"], ["worker"]])
def test_a_postgresql_that_does_not_answer_is_told_without_its_password(tmp_path: Path, command: list[str]):
    (port,) = free_ports(1)
    path = tmp_path / "c.yaml"
    path.write_text(f'store: {{url: "postgresql://svc:${{env:DB_PASSWORD}}@127.0.0.1:{port}/costs"}}\n')

    result = RUN.invoke(app, [*command, "--config", str(path)], env={"DB_PASSWORD": "hunter2-canary"})

    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith(f"the store (postgresql at 127.0.0.1:{port}/costs) can't be used: ")
    assert "Is PostgreSQL running there" in result.stderr
    assert "hunter2-canary" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_text(f"store: {{data_dir: {tmp_path}/data}}\n")
    (port,) = free_ports(1)
    first = Running(tmp_path / "first", "run", "--config", str(path), "--port", str(port))
    try:
        first.wait_for("Console: ", 30)
        other = tmp_path / "other.yaml"
        other.write_text(f"store: {{data_dir: {tmp_path}/other}}\n")
        second = emberwatch("run", "--config", str(other), "--port", str(port))
    finally:
        first.stop()
        first.kill()

    assert (second.returncode, second.stdout) == (4, "")
    assert f"127.0.0.1:{port}" in second.stderr.splitlines()[-1]
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_missing_event_file_is_wrong_usage(tmp_path: Path):
    result = RUN.invoke(app, ["replay", "none.jsonl", "--out", str(tmp_path / "out")])

    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such file: none.jsonl" in result.stderr


@pytest.mark.parametrize("until", ["noon", "2026-01-05T00:00:00"])
def test_a_bad_until_is_wrong_usage(events: Path, tmp_path: Path, until: str):
    result = RUN.invoke(app, ["replay", str(events), "--out", str(tmp_path / "out"), "--until", until])

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--until" in result.stderr
    assert f"got {until!r}" in result.stderr


def test_an_out_that_cannot_be_written_is_told_before_the_work(events: Path):
    out = events / "out"  # below a file

    result = RUN.invoke(app, ["replay", str(events), "--out", str(out)])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"cannot write to {out}: Not a directory; choose another --out\n"


def test_a_replay_tells_its_sum_on_standard_output_only(events: Path, tmp_path: Path):
    quiet = emberwatch("replay", str(events), "--out", str(tmp_path / "out"), "--json", NO_COLOR="1")
    told = emberwatch("replay", str(events), "--out", str(tmp_path / "again"), FORCE_COLOR="1", NO_COLOR="1")

    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert json.loads(quiet.stdout)["events"] == 1
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[0].startswith("$0")
    assert "\x1b[3" not in told.stdout


def test_ctrl_c_in_a_replay_ends_with_130_and_no_traceback(events: Path, tmp_path: Path):
    events.write_text(EVENT + EVENT.replace('"d"', '"e"').replace("2026-01-05", "2026-01-06"))
    running = Running(tmp_path / "run", "replay", str(events), "--out", str(tmp_path / "out"), "--speed", "1")
    try:
        begun = wait_until(lambda: (tmp_path / "out" / "incidents.jsonl").exists(), 240)
        code = running.stop(signal.SIGINT)
    finally:
        running.kill()

    assert begun
    assert (code, running.out) == (130, "")
    assert "Traceback" not in running.err


@pytest.mark.parametrize(
    "command", ["", "incidents", "incidents list", "actions", "digest", "score", "forecast", "replay"]
)
def test_help_teaches_by_examples_and_codes(command: str):
    result = RUN.invoke(app, [*command.split(), "--help"])

    assert (result.exit_code, result.stderr) == (0, "")
    assert "Example" in result.stdout
    assert "Exit codes:" in result.stdout


def test_commands_are_listed_in_the_order_of_use():
    listed = RUN.invoke(app, ["--help"]).stdout.split("Commands:\n")[1].split("\n\n")[0]

    names = [line.split()[0] for line in listed.splitlines() if line[2:3].strip()]
    wanted = [
        "run",
        "demo",
        "replay",
        "worker",
        "serve",
        "topics",
        "produce",
        "incidents",
        "digest",
        "actions",
        "score",
        "forecast",
        "config",
        "version",
    ]
    assert [name for name in names if name in wanted] == [name for name in wanted if name in names]
    assert {"run", "incidents", "digest", "actions", "score", "forecast"} <= set(names)
    assert "..." not in listed
