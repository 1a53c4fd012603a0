"""The command line: what it prints where, and how it ends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console.cli import app
from console.exits import Commands, ExitCode

ROOT = Path(__file__).parents[2]
RUN = CliRunner()
GOOD = """\
prices:
  gpu: [{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}]
budgets: [{name: search, match: {team: search}, usd_per_month: 12000}]
channels:
  - {type: recorder, name: book}
  - {type: slack, name: ops, channel: C1, token_file: ./slack}
routes:
  - {match: ["severity=page", "team=~search.*"], to: [ops], continue: true}
  - {to: [book]}
default_route: [book]
digest: {to: [ops]}
scale_down:
  mode: auto
  selector: ["cluster=dev"]
  target: {type: webhook, url: https://scaler.example.com/canary, secret_file: ./slack}
  protected: ["dev/*/db"]
store: {url: postgresql://h/d}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "slack").write_text("xoxb-canary")
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_config_is_summed_up(good: Path):
    result = RUN.invoke(app, ["config", "check", str(good)])

    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert (
        result.stdout
        == f"""\
{good}: OK
  prices      1 accelerator row, 0 token rows
  budgets     search ($12,000.00 a month)
  owners      0 rules
  channels    book (recorder), ops (slack)
  routes      severity=page and team=~search.* -> ops, and on
              everything -> book
              everything else -> book
  digest      monday 09:00 UTC -> ops
  scale-down  auto: warns after 30m idle, stops after 2h, at most 4 an hour, on cluster=dev, never dev/*/db
  store       postgresql
  console     http://127.0.0.1:8787
"""
    )


def test_a_good_config_is_summed_up_for_programs(good: Path):
    result = RUN.invoke(app, ["config", "check", str(good), "--json"])

    assert json.loads(result.stdout) == {
        "ok": True,
        "prices": {"gpu": 1, "tokens": 0},
        "budgets": [{"name": "search", "usd_per_month": 12000.0}],
        "attribution_rules": 0,
        "channels": [{"name": "book", "type": "recorder"}, {"name": "ops", "type": "slack"}],
        "routes": [
            {"match": ["severity=page", "team=~search.*"], "to": ["ops"], "continue": True},
            {"match": [], "to": ["book"], "continue": False},
        ],
        "default_route": ["book"],
        "digest": "monday 09:00 UTC -> ops",
        "scale_down": {
            "mode": "auto",
            "may": "auto: warns after 30m idle, stops after 2h, at most 4 an hour, on cluster=dev, never dev/*/db",
        },
        "store": "postgresql",
        "console": "http://127.0.0.1:8787",
    }


def test_a_bad_config_ends_with_its_report_and_3(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_text("log: {levl: info}\n")

    result = RUN.invoke(app, ["config", "check", str(path)])

    assert (result.exit_code, result.stdout) == (ExitCode.CONFIG, "")
    assert (
        result.stderr
        == f"""\
the config can't be used: 1 problem
{path}:1:7: log.levl
    got: an unknown option
    meant: one of level, format
    nearest: level
"""
    )


def test_a_bad_config_is_told_to_programs(tmp_path: Path):
    path = tmp_path / "none.yaml"

    result = RUN.invoke(app, ["config", "check", str(path), "--json"])

    assert (result.exit_code, result.stderr) == (ExitCode.CONFIG, "")
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": str(path),
                "line": None,
                "column": None,
                "option": "",
                "got": "no such file",
                "meant": "the path of a config file",
                "nearest": None,
            }
        ],
    }


def test_the_schema_knows_the_options():
    result = RUN.invoke(app, ["config", "schema"])

    schema = json.loads(result.stdout)
    assert result.exit_code == ExitCode.OK
    assert schema["$defs"]["IdleDetection"]["properties"]["after"] == {
        "anyOf": [{"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"}, {"type": "integer", "minimum": 0}],
        "default": "30m",
        "description": (
            "How long all evidence must say idle before it is told. Shorter alarms on pauses between jobs."
        ),
        "title": "After",
    }
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["GpuPriceRow"]["required"] == ["model", "usd_per_hour", "from"]


def test_version_is_told():
    assert RUN.invoke(app, ["version"]).stdout.startswith("emberwatch ")
    assert set(json.loads(RUN.invoke(app, ["version", "--json"]).stdout)) == {"version", "python"}


@pytest.mark.parametrize("arguments", [["nope"], ["config", "check"], ["version", "--nope"]])
def test_wrong_usage_ends_with_2(arguments: list[str]):
    result = RUN.invoke(app, arguments)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["config", "--help"], ["config", "check", "--help"]])
def test_help_teaches(arguments: list[str]):
    result = RUN.invoke(app, arguments)

    assert result.exit_code == ExitCode.OK
    assert "Examples:\n" in result.stdout
    for code, meaning in EXIT_MEANINGS.items():
        assert re.search(rf"^ +{code:d} +{meaning}$", result.stdout, re.MULTILINE)


EXIT_MEANINGS = {
    ExitCode.OK: "ok",
    ExitCode.FAILURE: "findings, or a failure",
    ExitCode.USAGE: "wrong usage",
    ExitCode.CONFIG: "the config is invalid",
    ExitCode.UNREACHABLE: "something that is needed can't be reached",
    ExitCode.REFUSED: "refused by policy",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
}


def test_help_loads_nothing_slow():
    code = (
        "import sys; sys.argv = ['emberwatch', '--help']\n"
        "from console.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )

    result = subprocess.run(  # a process of its own: this one has loaded all sorts of things
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )

    slow = {"numpy", "pandas", "sklearn", "prophet", "scipy", "sqlalchemy", "faust", "kafka", "pydantic", "starlette"}
    assert result.stdout.startswith("Usage: emberwatch [OPTIONS] COMMAND")
    assert {name for name in slow if f"'{name}'" in result.stderr} == set()
    assert "\x1b" not in result.stdout


def test_ctrl_c_ends_with_130():
    stopped = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False)

    @stopped.command()
    def wait() -> None:
        raise KeyboardInterrupt

    @stopped.command()
    def other() -> None: ...

    result = RUN.invoke(stopped, ["wait"])

    assert (result.exit_code, result.stdout) == (ExitCode.INTERRUPTED, "")
