"""`emberwatch incidents`: the list, one incident, and who has it."""

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


def incidents(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, ["incidents", *arguments, "--config", str(config)], env={"COLUMNS": "120"})


def test_the_list_shows_what_is_open_and_begins_with_the_money(config: Path):
    result = incidents(config)

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "      NOW   SO FAR  INCIDENT                                      ID",
        "$120.00/h  $360.00  anomaly 1 h: prod/chat/api, team chat (page)  inc_b",
        "  $8.10/h   $16.20  idle 1 h: prod/llm/chat, team search (warn)   inc_a",
    ]


def test_state_kind_and_limit_choose(config: Path):
    def ids(*arguments: str) -> list[str]:
        return [one["incident_id"] for one in json.loads(incidents(config, "list", "--json", *arguments).stdout)]

    assert ids() == ["inc_b", "inc_a"]
    assert ids("--state", "resolved") == ["inc_c"]
    assert ids("--state", "all") == ["inc_b", "inc_a", "inc_c"]
    assert ids("--state", "all", "--kind", "idle") == ["inc_a", "inc_c"]
    assert len(ids("--limit", "1")) == 1
    assert "only the newest 1 are shown" in incidents(config, "--limit", "1").stderr


def test_where_nothing_is_open_that_is_said(config: Path):
    result = incidents(config, "--kind", "budget")

    assert (result.exit_code, result.stdout) == (0, "No open incident.\n")
    assert json.loads(incidents(config, "--kind", "budget", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fail-on", "page"], 1),
        (["--fail-on", "warn"], 1),
        (["--fail-on", "page", "--kind", "idle"], 0),
        (["--fail-on", "warn", "--kind", "idle"], 1),
        (["--fail-on", "warn", "--kind", "budget"], 0),
        (["--fail-on", "page", "--state", "resolved", "--limit", "1"], 1),
    ],
)
def test_a_script_can_ask_whether_something_is_open(config: Path, arguments: list[str], code: int):
    assert incidents(config, "list", *arguments).exit_code == code


def test_an_incident_is_shown_with_its_figures_and_its_way(config: Path):
    result = incidents(config, "show", "inc_a")

    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0] == "$8.10/h wasted: 2 GPUs idle 1 h - prod/llm/chat (team search)"
    assert "power 71 W" in lines
    timeline = lines[lines.index("Timeline (UTC):") + 1 :]
    assert timeline == [
        "2026-03-02 11:00:00  it began",
        "2026-03-02 12:00:00  it was detected",
        "2026-03-02 12:00:00  book told: opened (pending)",
        "2026-03-02 12:05:00  scale-down proposed (idle for 2 h)",
    ]


def test_an_incident_says_why_its_scale_down_waits(config: Path, tmp_path: Path):
    waits(tmp_path, "telemetry_stale")

    lines = incidents(config, "show", "inc_a").stdout.splitlines()

    assert "Scale-down act_a (proposed) waits because its newest telemetry is too old." in lines


def test_an_incident_is_shown_to_programs(config: Path):
    shown = json.loads(incidents(config, "show", "inc_a", "--json").stdout)

    assert shown["incident"]["evidence"] == {"idle_s": 3600.0, "power_w": 71.3}
    assert [(one["channel"], one["step"], one["state"]) for one in shown["notices"]] == [("book", "opened", "pending")]
    assert (shown["action"]["action_id"], [one["step"] for one in shown["steps"]]) == ("act_a", ["proposed"])


def test_an_incident_is_acknowledged_once(config: Path, tmp_path: Path):
    first, second = incidents(config, "ack", "inc_a", "--by", "ana"), incidents(config, "ack", "inc_a", "--by", "bo")
    store = opened(tmp_path)
    found, told = store.incident("inc_a"), store.notices(10, subject_id="inc_a")
    store.close()

    assert (first.exit_code, first.stdout) == (0, "inc_a is acknowledged by ana\n")
    assert second.exit_code == 0
    assert second.stdout.startswith("inc_a was acknowledged before, by ana at ")
    assert found is not None
    assert found.acknowledged_by == "ana"
    assert [entry.notice.step for entry in told] == ["acknowledged", "opened"]
    assert "ana has it" in incidents(config).stdout


def test_what_is_over_needs_nobody(config: Path):
    result = incidents(config, "ack", "inc_c", "--by", "ana", "--json")

    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["changed"], answer["incident"]["acknowledged_by"]) == (False, None)


@pytest.mark.parametrize("arguments", [["show", "inc_none"], ["ack", "inc_none", "--by", "ana"]])
def test_an_unknown_incident_ends_with_1(config: Path, arguments: list[str]):
    result = incidents(config, *arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "there is no incident 'inc_none'; `emberwatch incidents list --state all` names them\n"


def test_an_unknown_kind_is_wrong_usage(config: Path):
    result = incidents(config, "--kind", "idol")

    assert result.exit_code == 2
    assert "'idol' is not one of idle, waste" in result.stderr
