"""The channels that tell nobody: the recorder and the terminal."""

import io
import json
from pathlib import Path

from rich.console import Console

from alerts.channels.recorder import Line, RecorderChannel, to_file
from alerts.channels.terminal import TerminalChannel
from alerts.messages import plain_text
from alerts.notices import Outcome, Reason
from tests.alerts.samples import ACTION, IDLE, notice_of, notice_of_action, notice_of_digest, resolved


def test_the_recorder_writes_down_what_would_be_said() -> None:
    lines: list[Line] = []
    channel = RecorderChannel("recorder", lines.append)
    receipt = channel.send(notice_of(IDLE), None)
    channel.send(notice_of_action(ACTION), None)
    assert (receipt.outcome, receipt.reference) == (Outcome.DELIVERED, notice_of(IDLE).notice_id)
    assert lines[0] == {
        "at": "2026-11-23T21:00:00+00:00",
        "channel": "ops",
        "incident_id": IDLE.incident_id,
        "reason": "first_time",
        "title": "$16.00/h wasted",
        "text": plain_text(IDLE),
    }
    assert (lines[1]["incident_id"], lines[1]["reason"]) == (IDLE.incident_id, "action_warned")


def test_the_recorders_file_grows_by_a_line_for_each_notice(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    for notice in (notice_of(IDLE), notice_of(resolved(IDLE), Reason.RESOLVED), notice_of_digest()):
        RecorderChannel("recorder", to_file(path)).send(notice, None)
    said = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["reason"] for line in said] == ["first_time", "resolved", "weekly"]


def shown(*notices: object) -> str:
    out = io.StringIO()
    channel = TerminalChannel("terminal", Console(file=out, width=110), link_base="https://emberwatch.example")
    for notice in notices:
        assert channel.send(notice, None).outcome == Outcome.DELIVERED  # type: ignore[arg-type]
    return out.getvalue()


def test_the_terminal_shows_the_slack_message() -> None:
    text = shown(notice_of(IDLE))
    assert text.splitlines()[0].startswith("╭─ Slack · ops ─")
    lines = [line.strip("│ \n") for line in text.splitlines()[1:-1]]
    assert lines == [
        "🔴 $16.00/h wasted: 4x NVIDIA H100 idle 47 min - prod-eu/llm-serving/llama70b (team search)",
        "",
        "Burning now               So far",
        "$16.00/h ($384.00/day)    $12.53 ($2,765 by month end)",
        "Observed / expected       Since",
        "0.4 % / 5 %               2026-11-23 20:13 UTC (47 min)",
        "Team                      Confidence",
        "search                    97 %",
        "",
        "4x NVIDIA H100 of prod-eu/llm-serving/llama70b: memory is held and no work is done, for 47 min (idle 47",
        "min, utilisation 0.4 %, power 71 W, tokens 0).",
        "",
        "What changed: 20:05 deploy v41: image llama70b:2026-11-23",
        "",
        "inc_idle0000000000 · idle / memory_held · price: book $4.00/h · data to 2026-11-23 21:00 UTC · open:",
        f"https://emberwatch.example/incidents/{IDLE.incident_id}",
    ]


def test_the_terminal_shows_actions_and_digests_too() -> None:
    text = shown(notice_of_action(ACTION), notice_of_digest("$1,200 last week"))
    assert "⏳ $16.00/h will be stopped" in text
    assert "$1,200 last week" in text
