"""Every message of the talk with people, as it always was; the pictures of it are these files."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.channels.pagerduty import _many
from alerts.channels.slack import SlackChannel
from alerts.channels.webhook import body_of
from alerts.notices import Reason
from alerts.reasons import Hush
from alerts.scale_down import ActionStep, Mode
from alerts.secrets import Secret
from alerts.shown import with_action, with_incident
from alerts.slack_buttons import approval_view, nonce
from alerts.summaries import Summary, begun, extended, summary_blocks, summary_notice, summary_text
from console.fakes.slack_rules import fault, view_fault
from tests.alerts.samples import ACTION, EVERY_KIND, IDLE, NOW, notice_of, notice_of_action, resolved

GOLDEN = Path(__file__).parent / "golden"
KEY = Secret("xoxb-golden")
LINK = "https://emberwatch.example"
PROPOSED = replace(ACTION, mode=Mode.PROPOSE, step=ActionStep.PROPOSED)
STORM = extended(
    begun("costs", Hush.COLLAPSED, (), NOW - timedelta(minutes=1)),
    [("opened", one) for one in EVERY_KIND] + [("resolved", resolved(IDLE))],
    NOW,
)
GROUP = extended(
    begun("costs", Hush.GROUPED, ("search", "prod-eu", "idle", "memory_held"), NOW),
    [("opened", replace(IDLE, incident_id=f"inc_{n}", usd_per_hour=float(n))) for n in range(12)],
    NOW,
)


def slack(notice: Any) -> Any:
    return SlackChannel("costs", token=KEY, channel="C0", buttons=KEY, link_base=LINK)._rendered(notice).blocks


def lines(summary: Summary) -> list[str]:
    return summary_text(summary, link=f"{LINK}/incidents?state=open").splitlines()


MESSAGES: dict[str, Callable[[], Any]] = {
    "slack_open_with_buttons": lambda: slack(with_action(notice_of(IDLE), IDLE, None)),
    "slack_acknowledged": lambda: slack(
        with_action(notice_of(IDLE), replace(IDLE, acknowledged_at=NOW, acknowledged_by="slack:U0ANA"), None)
    ),
    "slack_snoozed": lambda: slack(
        with_action(
            notice_of(IDLE), replace(IDLE, snoozed_until=NOW + timedelta(hours=4), snoozed_by="slack:U0ANA"), None
        )
    ),
    "slack_expected": lambda: slack(
        with_action(notice_of(IDLE), replace(IDLE, expected_at=NOW, expected_by="slack:U0ANA"), None)
    ),
    "slack_resolved": lambda: slack(with_action(notice_of(IDLE), resolved(IDLE), None)),
    "slack_proposed": lambda: slack(with_incident(notice_of_action(PROPOSED), PROPOSED, IDLE)),
    "slack_approval_dialog": lambda: approval_view(PROPOSED, nonce(KEY, IDLE.incident_id, PROPOSED), NOW),
    "slack_storm": lambda: summary_blocks(STORM, link=f"{LINK}/incidents?state=open"),
    "slack_group": lambda: summary_blocks(GROUP, link=None),
    "text_storm": lambda: lines(STORM),
    "pagerduty_storm": lambda: _many(summary_notice(STORM, "oncall"), STORM),
    "webhook_idle": lambda: json.loads(body_of(notice_of(IDLE, Reason.STILL_OPEN), LINK)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_is_as_it_always_was(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))

    assert json.loads(json.dumps(MESSAGES[name]())) == golden


@pytest.mark.parametrize("name", [name for name in MESSAGES if name.startswith("slack_") and "dialog" not in name])
def test_slack_takes_each_of_them(name: str) -> None:
    assert fault({"text": "$16.00/h", "blocks": MESSAGES[name]()}) is None
    assert len(json.dumps(MESSAGES[name](), ensure_ascii=False)) < 10_000


def test_slack_takes_the_dialog() -> None:
    assert view_fault(MESSAGES["slack_approval_dialog"]()) is None


def test_no_button_names_what_it_is_about() -> None:
    blocks = MESSAGES["slack_proposed"]()
    (actions,) = [block for block in blocks if block["type"] == "actions"]

    assert IDLE.incident_id not in json.dumps(actions)
    assert PROPOSED.action_id not in json.dumps(actions)
