"""A Slack with people in it: the real store, the real delivery, and presses as Slack signs them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.testclient import TestClient

from alerts.action_messages import action_title
from alerts.action_notices import action_notices
from alerts.channels.slack import SlackChannel
from alerts.channels.slack_signature import signature
from alerts.incidents import Incident, Severity, Step, Transition
from alerts.matching import Matcher
from alerts.messages import title
from alerts.notices import Reason
from alerts.routing import Route, Router
from alerts.scale_down import Action, ActionStep, Mode, ScaleDownPolicy
from alerts.secrets import Secret
from console.control import StoreControls
from console.fakes.slack import CHANNEL, FakeSlack, Posted
from console.slack_answers import SlackAnswers
from console.slack_door import SlackDoor
from console.slack_presses import Place, SlackPresses
from store.facts import Facts
from store.store import Store
from streams.delivery import Delivery
from streams.present import Present
from streams.speaking import Gate
from tests.alerts.samples import ACTION, IDLE

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
TOKEN, SIGNING = "xoxb-canary-51e0", "canary-signing-77aa"
ANA, BO, EVE = "U0ANA", "U0BO", "U0EVE"
INCIDENT = replace(IDLE, severity=Severity.WARN)
PROPOSED = replace(
    ACTION, mode=Mode.PROPOSE, step=ActionStep.PROPOSED, transition=1, at=NOW, expires_at=NOW + timedelta(hours=1)
)
POLICY = ScaleDownPolicy(mode=Mode.PROPOSE, enabled=True, target="hook", selector=(Matcher.parse("kind=idle"),))


class Room:
    """One channel with two operators, one of whom may approve."""

    def __init__(self, store: Store, slack: FakeSlack) -> None:
        self.store, self.slack, self.now = store, slack, NOW
        self.router = Router([Route(to=("costs",))], (), title)
        self.controls = StoreControls(store, self.router, POLICY, lambda: self.now)
        token = Secret(TOKEN)
        channel = SlackChannel("costs", token=token, channel=CHANNEL, base_url=slack.base_url, buttons=token)
        self.delivery = Delivery(
            store, {"costs": channel}, lambda: self.now, "me", speaking=Gate(store), present=Present(store, {"costs"})
        )
        answers = SlackAnswers(token, CHANNEL, slack.base_url)
        self.place = Place(
            name="costs",
            channel=CHANNEL,
            key=token,
            operators=frozenset({ANA, BO}),
            approvers=frozenset({ANA}),
            workspace="T0OURS",
            whisper=answers.whisper,
            open_view=answers.open_view,
        )
        self.presses = SlackPresses(store, self.controls, {CHANNEL: self.place}, lambda: self.now)
        door = SlackDoor(self.presses, [(Secret(SIGNING), {CHANNEL: self.place})], lambda: self.now.timestamp())
        self.client = TestClient(Starlette(routes=[door.route()]))
        self.epoch = store.claim_partition(0, "me", NOW).epoch
        self.moves = 0

    def open(self, incident: Incident = INCIDENT) -> Posted:
        """An incident is found, and its message stands in the channel."""
        notices = self.router.decide(Transition(incident=incident, step=Step.OPENED, reason=Reason.FIRST_TIME))
        facts = Facts(incidents=[incident], notices=notices)
        self.store.commit(0, self.epoch, facts, snapshot=None, offsets={}, now=self.now)
        self.deliver()
        return self.slack.parents()[-1]

    def propose(self, action: Action = PROPOSED) -> Action:
        """A scale-down is proposed, and the message says so."""
        self.store.save_action(action, action_notices(self.router, action, INCIDENT, action_title))
        self.deliver()
        return action

    def deliver(self) -> None:
        for _ in range(5):
            self.now += timedelta(seconds=2)
            self.delivery.deliver_due()

    def payload(self, message: Posted, ask: str, user: str = ANA, **more: Any) -> dict[str, Any]:
        """What Slack says of a press on what the message shows now."""
        shown = next(
            e for b in message.blocks if b["type"] == "actions" for e in b["elements"] if e["action_id"] == ask
        )
        self.moves += 1
        pressed = {"action_id": ask, "action_ts": f"{self.moves}.0", "type": shown["type"]}
        if "options" in shown:
            pressed["selected_option"] = shown["options"][more.pop("choice", 0)]
        else:
            pressed["value"] = shown["value"]
        return {
            "type": "block_actions",
            "user": {"id": user},
            "team": {"id": "T0OURS"},
            "channel": {"id": CHANNEL},
            "container": {"type": "message", "message_ts": message.ts, "channel_id": CHANNEL},
            "trigger_id": self.slack.trigger(),
            "actions": [pressed],
            "response_url": "https://hooks.slack.com/actions/never-used",
            **more,
        }

    def submission(self, typed: str, user: str = ANA, view: dict[str, Any] | None = None) -> dict[str, Any]:
        """What Slack says of a dialog that was sent."""
        shown = view or self.slack.views[-1]
        kept = {name: shown[name] for name in ("callback_id", "private_metadata")}
        state = {"values": {"typed": {"typed": {"type": "plain_text_input", "value": typed}}}}
        return {
            "type": "view_submission",
            "user": {"id": user},
            "team": {"id": "T0OURS"},
            "view": {"id": "V1", **kept, "state": state},
        }

    def post(
        self,
        payload: dict[str, Any],
        *,
        secret: str = SIGNING,
        at: datetime | None = None,
        change: Callable[[bytes], bytes] = bytes,
    ) -> Any:
        """Deliver a payload as Slack does; `change` is made to the body after it was signed."""
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int((at or self.now).timestamp()))
        headers = {
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": signature(Secret(secret), stamp, body),
            "content-type": "application/x-www-form-urlencoded",
        }
        return self.client.post("/slack/press", content=change(body), headers=headers)

    def log(self) -> list[tuple[str, str, str]]:
        """Who pressed what, and what came of it."""
        return [(row.who, row.what, row.outcome) for row in self.store.audit_log() if row.who.startswith("slack:")]


def asks(message: Posted) -> list[str]:
    """The buttons of a message."""
    return [one["action_id"] for block in message.blocks if block["type"] == "actions" for one in block["elements"]]
