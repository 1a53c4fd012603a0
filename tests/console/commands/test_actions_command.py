"""`emberwatch actions`: the list, and the switch that stops them all."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from alerts.scale_down import ActionStep, Mode
from alerts.would_stop import Outcome, WouldStop
from console.cli import app
from tests.console.commands.kept import kept, opened, waits
from tests.store.samples import NOON, action

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


def test_regret_says_what_mode_auto_would_have_stopped_and_how_often_it_would_have_been_wrong(
    config: Path, tmp_path: Path
):
    nothing = actions(config, "regret")
    now = datetime.now(UTC).replace(microsecond=0)
    stop = WouldStop(
        stop_id="act_a:1", action_id="act_a", incident_id="inc_a", workload="prod/llm/chat", team="search",
        at=now - timedelta(hours=4), usd_per_hour=8.1, gpus=2, outcome=Outcome.QUIET, quiet_until=now,
    )  # fmt: skip
    held = replace(stop, stop_id="act_b:1", workload="prod/old/job", held_back="gpu_limit")
    store = opened(tmp_path)
    store.save_would_stops([stop, held])
    store.close()

    shown = actions(config, "regret", columns=140)
    answer = json.loads(actions(config, "regret", "--json", "--limit", "1").stdout)

    assert nothing.stdout == "Mode auto would have stopped nothing in the last 28 days (or the mode was not observe).\n"
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    assert lines[:4] == [
        "In mode auto: 1 stop, $32.40 saved; after 0 of them work came within 30 minutes.",
        "Regret: 0 %, with 95 % certainty no more than 79 %.",
        "Held back by a limit alone: 1 stop, $32.40; after 0 of them work came within 30 minutes.",
        "",
    ]
    assert lines[4].split() == ["SAVES", "SAVED", "30", "MIN", "LATER", "WORKLOAD", "WOULD", "STOP"]
    assert "prod/old/job (only gpu limit against it)" in lines[5]
    assert (answer["days"], answer["regret"]["stops"], answer["regret"]["held_back"]) == (28, 1, 1)
    assert [(one["stop_id"], one["would_have_saved_usd"]) for one in answer["stops"]] == [("act_b:1", 32.4)]


ARMED = """scale_down:
  mode: propose
  selector: [kind=idle]
  target: {type: webhook, url: "https://scaler.example/hook", secret_file: %s}
"""


def test_a_proposal_is_approved_or_kept_by_name(config: Path):
    approved = actions(config, "approve", "act_a", "--by", "ana")
    twice = actions(config, "approve", "act_a", "--by", "bo")
    kept_after = actions(config, "keep", "act_a", "--by", "cy", "--json")

    assert (approved.exit_code, approved.stdout) == (0, "act_a is now approved.\n")
    assert (twice.exit_code, twice.stderr) == (
        5, "act_a is approved in mode propose: only what is proposed to people can be approved\n",
    )  # fmt: skip
    shown = json.loads(kept_after.stdout)["action"]
    assert (shown["step"], shown["approved_by"], shown["reason"]) == ("kept", "cy", "kept_by_person")


def test_what_was_stopped_is_brought_back_by_an_order_to_the_target(config: Path, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    config.write_text(config.read_text() + ARMED % secret)
    too_early = actions(config, "undo", "act_a")
    store = opened(tmp_path)
    store.save_action(action(ActionStep.EXECUTED, mode=Mode.PROPOSE, at=NOON, transition=9, executed_at=NOON))
    store.close()

    undone = actions(config, "undo", "act_a", "--by", "ana")
    twice = actions(config, "undo", "act_a", "--by", "ana")

    assert (too_early.exit_code, undone.exit_code, twice.exit_code) == (5, 0, 5)
    assert undone.stdout == "act_a is now undone.\n"
    store = opened(tmp_path)
    (order,) = [one.notice for one in store.notices(50, subject_id="act_a") if one.notice.channel.startswith("target:")]
    (taken,) = [one for one in store.action_steps("act_a") if one.step is ActionStep.UNDONE]
    store.close()
    assert (order.notice_id, order.channel, order.step) == ("act_a:undo", "target:webhook", ActionStep.UNDONE)
    assert (taken.reason, taken.approved_by) == ("undone_by_person", "ana")


def test_an_action_that_never_was_is_told(config: Path):
    result = actions(config, "undo", "act_zzz")

    assert (result.exit_code, result.stderr) == (
        1, "there is no action 'act_zzz'; `emberwatch actions list` shows them\n",
    )  # fmt: skip
