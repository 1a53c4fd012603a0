"""`emberwatch actions`: the list, and the switch that stops them all."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from tests.console.commands.kept import kept, opened, waits

RUN = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return kept(tmp_path)


def actions(config: Path, *arguments: str, columns: int = 120) -> Result:
    return RUN.invoke(app, ["actions", *arguments, "--config", str(config)], env={"COLUMNS": str(columns)})


def test_the_list_shows_what_each_would_save(config: Path):
    result = actions(config)

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "  SAVES  STEP      MODE     WORKLOAD                             AT",
        "$8.10/h  proposed  propose  prod/llm/chat (act_a; idle for 2 h)  2026-03-02 12:05 UTC",
    ]
    shown = json.loads(actions(config, "list", "--json").stdout)
    assert shown["pause"] == {"paused": False, "by": None, "at": None}
    assert [one["action_id"] for one in shown["actions"]] == ["act_a"]


def test_the_list_says_why_an_action_waits(config: Path, tmp_path: Path):
    waits(tmp_path, "not_approved")

    shown = actions(config, columns=200).stdout

    assert "(act_a; idle for 2 h; waits because nobody has approved it yet)" in shown
    assert json.loads(actions(config, "list", "--json").stdout)["actions"][0]["waiting"] == "not_approved"


def test_all_is_paused_and_goes_on_again(config: Path, tmp_path: Path):
    paused = actions(config, "pause", "--by", "ana")
    store = opened(tmp_path)
    held = store.paused()
    store.close()
    again = actions(config, "pause", "--by", "bo", "--json")
    listed = actions(config)
    resumed = actions(config, "resume", "--by", "bo", "--json")
    once_more = actions(config, "resume")

    assert held
    assert (paused.exit_code, again.exit_code, resumed.exit_code, once_more.exit_code) == (0, 0, 0, 0)
    assert paused.stdout.startswith("Scale-downs are paused, by ana at ")
    answer = json.loads(again.stdout)
    assert (answer["changed"], answer["pause"]["paused"], answer["pause"]["by"]) == (False, True, "ana")
    assert listed.stdout.startswith("Scale-downs are paused, by ana at ")
    answer = json.loads(resumed.stdout)
    assert (answer["changed"], answer["pause"]["paused"], answer["pause"]["by"]) == (True, False, "bo")
    assert once_more.stdout.endswith("(before; nothing was changed)\n")
