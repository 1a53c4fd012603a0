"""Buttons in Slack: who may, what they do, and what no press can do."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from alerts.channels.slack_signature import is_signed, signature
from alerts.incidents import Step, Transition
from alerts.notices import Reason
from alerts.scale_down import ActionStep
from alerts.secrets import Secret
from console.fakes.slack import FakeSlack
from store.facts import Facts
from store.store import Store
from tests.alerts.samples import IDLE, resolved
from tests.console.slack.pressing import ANA, BO, EVE, INCIDENT, NOW, PROPOSED, TOKEN, Room, asks


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    with FakeSlack(token=TOKEN) as slack:
        yield Room(store, slack)
    store.close()


def test_the_signature_is_that_of_the_vendors_own_example():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    secret, stamp = Secret("8f742231b10e8888abcd99yyyzzz85a5"), "1531420618"
    given = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"

    assert signature(secret, stamp, body) == given
    assert is_signed(secret, stamp, body, given, 1531420618 + 300)
    assert not is_signed(secret, stamp, body, given, 1531420618 + 301)
    assert not is_signed(secret, stamp, body, given, 1531420618 - 301)
    assert not is_signed(secret, stamp, body + b"x", given, 1531420618)


def test_an_open_incident_has_the_buttons_of_its_state(room: Room):
    message = room.open()
    assert asks(message) == ["acknowledge", "snooze", "expected"]

    room.propose()
    assert asks(message) == ["acknowledge", "snooze", "expected", "keep_running", "approve_shutdown"]
    (parent,) = room.slack.parents()
    (reply,) = room.slack.replies(parent.ts)
    assert reply.broadcast
    assert any("Scale-down, proposed" in str(block) for block in parent.blocks)


def test_a_press_acknowledges_and_the_same_message_shows_who(room: Room):
    message = room.open()
    answer = room.post(room.payload(message, "acknowledge", BO))
    room.deliver()

    assert (answer.status_code, answer.content) == (200, b"")
    found = room.store.incident(INCIDENT.incident_id)
    assert (found.acknowledged_by, asks(message)) == (f"slack:{BO}", ["snooze", "expected"])
    assert [len(room.slack.parents()), room.slack.replies(message.ts)[0].text[:12]] == [1, "Acknowledged"]
    assert ("slack:U0BO", "acknowledge", "done") in room.log()
    assert room.store.audit_fault() is None


@pytest.mark.parametrize(("choice", "hours"), [(0, 1), (1, 4), (2, 24), (3, 156 - 21 + 0)])
def test_a_snooze_lasts_as_long_as_was_chosen(room: Room, choice: int, hours: int):
    message = room.open()
    room.post(room.payload(message, "snooze", choice=choice))

    found = room.store.incident(INCIDENT.incident_id)
    monday = NOW.replace(day=30, hour=9)
    assert found.snoozed_until == (monday if choice == 3 else room.now + timedelta(hours=hours))
    room.deliver()
    assert "💤" in message.blocks[0]["text"]["text"]


def test_what_was_expected_is_marked_and_only_its_end_is_told(room: Room):
    message = room.open()
    room.post(room.payload(message, "expected"))
    room.deliver()

    assert room.store.incident(INCIDENT.incident_id).expected_by == f"slack:{ANA}"
    assert (asks(message), "☑" in message.blocks[0]["text"]["text"]) == (["acknowledge"], True)


def test_keep_running_keeps_it_for_anyone_who_operates(room: Room):
    message = room.open()
    action = room.propose()
    room.post(room.payload(message, "keep_running", BO))
    room.deliver()

    kept = room.store.action(action.action_id)
    assert (kept.step, kept.approved_by) == (ActionStep.KEPT, f"slack:{BO}")
    assert asks(message) == ["acknowledge", "snooze", "expected"]
    assert "kept running" in room.slack.replies(message.ts)[-1].text


def test_a_shutdown_is_approved_by_who_may_once_the_name_is_typed(room: Room):
    message = room.open()
    action = room.propose()

    room.post(room.payload(message, "approve_shutdown"))
    (view,) = room.slack.views
    shown = str(view["blocks"])
    assert [
        word in shown for word in ("prod-eu/llm-serving/llama70b", "search", "$16.00/h", "4 to 0 replicas", "4 GPUs")
    ] == [True] * 5
    wrong = room.post(room.submission("llama7b"))
    assert wrong.json() == {"response_action": "errors", "errors": {"typed": "That is not llama70b."}}
    assert room.store.action(action.action_id).step is ActionStep.PROPOSED
    right = room.post(room.submission(" llama70b "))

    assert (right.status_code, right.content) == (200, b"")
    approved = room.store.action(action.action_id)
    assert (approved.step, approved.approved_by) == (ActionStep.APPROVED, f"slack:{ANA}")
    assert room.slack.whispers == [(ANA, "Approved: prod-eu/llm-serving/llama70b.")]
    assert room.log() == [
        (f"slack:{ANA}", "approve_shutdown", "asked to type the name"),
        (f"slack:{ANA}", "approve_shutdown", "refused: name"),
        (f"slack:{ANA}", "approve", "done"),
    ]


def test_who_may_not_approve_is_told_so_and_no_dialog_opens(room: Room):
    message = room.open()
    action = room.propose()

    room.post(room.payload(message, "approve_shutdown", BO))
    assert (room.slack.views, len(room.slack.whispers)) == ([], 1)
    room.post(room.payload(message, "approve_shutdown", ANA))
    taken = room.post(room.submission("llama70b", BO))

    assert "not among those" in taken.json()["errors"]["typed"]
    assert room.store.action(action.action_id).step is ActionStep.PROPOSED
    assert [outcome for _, _, outcome in room.log()] == ["refused: role", "asked to type the name", "refused: role"]


def test_what_has_changed_since_it_was_shown_is_not_approved(room: Room):
    message = room.open()
    action = room.propose()
    old = room.payload(message, "approve_shutdown")
    room.post(room.payload(message, "approve_shutdown"))
    room.store.save_action(replace(action, transition=2, usd_per_hour=64.0, gpus=16))

    room.post(old)
    sent = room.post(room.submission("llama70b"))

    assert "has changed" in sent.json()["errors"]["typed"]
    assert len(room.slack.views) == 1
    assert "has changed" in room.slack.whispers[-1][1]
    assert room.store.action(action.action_id).step is ActionStep.PROPOSED


def test_a_proposal_that_has_expired_is_not_approved(room: Room):
    message = room.open()
    action = room.propose()
    room.post(room.payload(message, "approve_shutdown"))
    room.now = PROPOSED.expires_at + timedelta(seconds=1)

    assert "has changed" in room.post(room.submission("llama70b")).json()["errors"]["typed"]
    assert room.store.action(action.action_id).step is ActionStep.PROPOSED


def test_two_at_once_have_one_effect(room: Room):
    message = room.open()
    action = room.propose()
    room.post(room.payload(message, "approve_shutdown"))
    room.post(room.submission("llama70b"))
    again = room.post(room.submission("llama70b"))

    assert "has changed" in again.json()["errors"]["typed"]
    assert room.store.action(action.action_id).transition == PROPOSED.transition + 1


def test_the_same_request_again_does_nothing(room: Room):
    message = room.open()
    press = room.payload(message, "acknowledge")
    answers = [room.post(press).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert room.log() == [(f"slack:{ANA}", "acknowledge", "done")] * 2  # by the button, and by what it did
    assert room.slack.whispers == []


@pytest.mark.parametrize("wrong", ["signature", "old", "body", "nothing"])
def test_what_is_not_signed_now_by_our_app_changes_nothing(room: Room, wrong: str):
    message = room.open()
    press = room.payload(message, "acknowledge")
    if wrong == "signature":
        answer = room.post(press, secret="another")
    elif wrong == "old":
        answer = room.post(press, at=room.now - timedelta(minutes=6))
    elif wrong == "body":
        answer = room.post(press, change=lambda body: body.replace(b"U0ANA", b"U0EVE"))
    else:
        answer = room.client.post("/slack/press", data={"payload": "{}"})

    assert answer.status_code == 401
    assert (room.store.incident(INCIDENT.incident_id).acknowledged_at, room.log()) == (None, [])


def test_another_workspace_channel_or_message_and_a_user_without_a_role_change_nothing(room: Room):
    message = room.open()
    for more in (
        {"team": {"id": "T0EVIL"}},
        {"container": {"message_ts": "1.2", "channel_id": message.channel}},
        {"container": {"message_ts": message.ts, "channel_id": "C0OTHER"}, "channel": {"id": "C0OTHER"}},
        {"user": EVE},
        {"user": ""},
    ):
        assert room.post(room.payload(message, "acknowledge", **more)).status_code == 200

    assert room.store.incident(INCIDENT.incident_id).acknowledged_at is None
    assert [(who, outcome) for who, _, outcome in room.log()] == [
        (f"slack:{ANA}", "refused: unknown"),
        (f"slack:{ANA}", "refused: unknown"),
        (f"slack:{EVE}", "refused: role"),
        ("slack:", "refused: role"),
    ]


def test_a_button_of_another_incident_is_good_for_nothing(room: Room):
    first = room.open()
    second = room.open(replace(INCIDENT, incident_id="inc_other", fingerprint="idle|other"))
    press = room.payload(first, "acknowledge")
    press["container"]["message_ts"] = second.ts
    room.post(press)

    assert room.store.incident("inc_other").acknowledged_at is None
    assert room.log() == [(f"slack:{ANA}", "acknowledge", "refused: stale")]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"type": 7}', b'{"type":"block_actions"}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_press_is_answered_and_forgotten(room: Room, payload: bytes):
    assert room.presses.handle(payload).body == b""
    assert room.log() == []


def test_what_is_over_has_no_buttons(room: Room):
    message = room.open()
    ended = resolved(IDLE)
    notices = room.router.decide(Transition(incident=ended, step=Step.RESOLVED, reason=Reason.RESOLVED))
    facts = Facts(incidents=[ended], notices=notices)
    room.store.commit(0, room.epoch, facts, snapshot=None, offsets={}, now=room.now)
    late = room.payload(message, "acknowledge")
    room.deliver()
    room.post(late)

    assert asks(message) == []
    assert room.slack.whispers == [(ANA, "It is over, or someone was faster: nothing was changed.")]
