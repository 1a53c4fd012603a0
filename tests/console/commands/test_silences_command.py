"""`emberwatch silences`, and hushing an incident from the terminal."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from tests.console.commands.kept import kept

RUN = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return kept(tmp_path)


def call(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "140"})


def test_a_silence_is_added_listed_and_ended(config: Path):
    assert call(config, "silences").stdout == "Nothing is silenced.\n"
    added = call(config, "silences", "add", 'team="search"', "kind=idle", "--for", "2h", "--by", "ana", "--json")
    name = json.loads(added.stdout)["silence_id"]

    listed = call(config, "silences").stdout
    assert [word in listed for word in ("active", 'team="search", kind="idle"', "ana", name)] == [True] * 4
    assert call(config, "silences", "expire", name, "--by", "bo").stdout == f"{name} is over\n"
    assert call(config, "silences").stdout == "Nothing is silenced.\n"
    assert "over" in call(config, "silences", "list", "--all").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tame=x", "--for", "2h"], "label is one of"),
        (["team=x", "--for", "soon"], "no duration"),
        (["team=x", "--for", "2h", "--from", "tomorrow"], "no moment with an offset"),
        (["team=x", "--for", "2h", "--every", "7d"], "needs an end"),
    ],
)
def test_what_can_not_be_meant_ends_with_2(config: Path, arguments: list[str], said: str):
    result = call(config, "silences", "add", *arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_silence_that_never_was_can_not_end(config: Path):
    result = call(config, "silences", "expire", "sil_none")

    assert (result.exit_code, "there is no silence 'sil_none'" in result.stderr) == (1, True)


def test_an_incident_is_snoozed_or_said_to_be_expected_once(config: Path):
    first = call(config, "incidents", "snooze", "inc_a", "--for", "4h", "--by", "ana")
    second = call(config, "incidents", "expected", "inc_a", "--by", "ana")
    third = call(config, "incidents", "expected", "inc_a", "--by", "bo")

    assert first.stdout.startswith("inc_a is snoozed until ")
    assert second.stdout == "inc_a was to be expected: nothing but its end is told\n"
    assert third.stdout == "inc_a is over, or that was said before; nothing was changed\n"
    shown = call(config, "incidents", "show", "inc_a").stdout
    assert "end of the snooze by ana" in shown
    assert "said to be expected by ana" in shown
