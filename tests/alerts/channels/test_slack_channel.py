"""Slack: said once, edited in place, and every answer understood."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from alerts.channels.slack import SlackChannel
from alerts.incidents import Severity
from alerts.messages import slack_blocks
from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.scale_down import ActionStep
from alerts.secrets import Secret
from console.fakes.slack import CHANNEL, FakeSlack
from tests.alerts.samples import ACTION, IDLE, notice_of, notice_of_action, notice_of_digest, resolved

CANARY = "xoxb-canary-51e0"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack(token=CANARY) as server:
        yield server


def channel_to(slack: FakeSlack, *, token: str = CANARY, channel: str = CHANNEL, timeout_s: int = 5) -> SlackChannel:
    return SlackChannel("ops", token=Secret(token), channel=channel, base_url=slack.base_url, timeout_s=timeout_s)


def ids(slack: FakeSlack) -> list[str]:
    return [m.metadata["event_payload"]["notice_id"] for m in slack.messages if m.metadata]


def test_the_first_notice_posts_the_message_with_its_id(slack: FakeSlack) -> None:
    notice = notice_of(IDLE)
    receipt = channel_to(slack).send(notice, None)
    (message,) = slack.messages
    assert receipt == Receipt(outcome=Outcome.DELIVERED, reference=f"{CHANNEL}:{message.ts}")
    assert (message.text, message.blocks) == ("$16.00/h wasted", slack_blocks(IDLE, link=None))
    assert message.metadata == {"event_type": "emberwatch_notice", "event_payload": {"notice_id": notice.notice_id}}


def test_an_update_edits_the_message_and_says_nothing_more(slack: FakeSlack) -> None:
    channel = channel_to(slack)
    first = channel.send(notice_of(IDLE), None)
    dearer = replace(IDLE, usd_so_far=25.0, transition=1)
    second = channel.send(notice_of(dearer, Reason.DOLLARS_DOUBLED), first.reference)
    (message,) = slack.messages
    assert second == first
    assert message.blocks == slack_blocks(dearer, link=None)
    assert message.edits == [{"text": "$16.00/h wasted", "blocks": slack_blocks(IDLE, link=None)}]


@pytest.mark.parametrize(
    ("reason", "reply", "broadcast"),
    [
        (Reason.SEVERITY_RAISED, "Raised to page: $16.00/h now, $12.53 so far.", True),
        (Reason.RESOLVED, "Resolved after 1 h 47 min, $12.53 in all.", False),
        (Reason.ACKNOWLEDGED, "Acknowledged by ana at 2026-11-23 21:00 UTC.", False),
    ],
)
def test_what_people_must_hear_again_is_also_said_in_the_thread(
    slack: FakeSlack, reason: Reason, reply: str, broadcast: bool
) -> None:
    channel = channel_to(slack)
    first = channel.send(notice_of(replace(IDLE, severity=Severity.WARN)), None)
    later = {
        Reason.SEVERITY_RAISED: IDLE,
        Reason.RESOLVED: resolved(IDLE),
        Reason.ACKNOWLEDGED: replace(IDLE, acknowledged_at=IDLE.updated_at, acknowledged_by="ana"),
    }[reason]
    assert channel.send(notice_of(later, reason), first.reference) == first
    parent, said = slack.messages
    assert parent.blocks == slack_blocks(later, link=None)
    assert (said.text, said.thread_ts, said.broadcast) == (reply, parent.ts, broadcast)


def test_an_action_and_a_digest_are_told_as_they_are(slack: FakeSlack) -> None:
    channel = channel_to(slack)
    first = channel.send(notice_of_action(ACTION), None)
    done = replace(ACTION, step=ActionStep.EXECUTED, transition=1)
    channel.send(notice_of_action(done, Reason.ACTION_DONE), first.reference)
    channel.send(notice_of_digest("$1,200 last <week>"), None)
    assert [(m.text, m.thread_ts is None) for m in slack.messages] == [
        ("$16.00/h will be stopped", True),
        (
            "$16.00/h stop requested: prod-eu/llm-serving/llama70b, 4 to 0 replicas, 4 GPUs (team search)",
            False,
        ),
        ("$1,200 last &lt;week&gt;", True),
    ]
    assert slack.messages[2].blocks == [{"type": "section", "text": {"type": "mrkdwn", "text": "$1,200 last <week>"}}]


@pytest.mark.parametrize("kind", ["500_after", "502_after", "timeout_after", "reset_after"])
def test_a_post_that_may_have_arrived_is_found_and_not_said_twice(slack: FakeSlack, kind: str) -> None:
    channel = channel_to(slack, timeout_s=1)
    slack.fail_next(kind)
    notice = notice_of(IDLE)
    assert channel.send(notice, None).outcome == Outcome.AMBIGUOUS
    found = channel.find(notice, None)
    assert found == Receipt(outcome=Outcome.DELIVERED, reference=f"{CHANNEL}:{slack.messages[0].ts}")
    assert ids(slack) == [notice.notice_id]


def test_a_post_that_did_not_arrive_is_sent_again(slack: FakeSlack) -> None:
    channel = channel_to(slack)
    slack.fail_next("500_before")
    notice = notice_of(IDLE)
    assert channel.send(notice, None).outcome == Outcome.AMBIGUOUS
    assert channel.find(notice, None).outcome == Outcome.RETRY
    assert channel.send(notice, None).outcome == Outcome.DELIVERED
    assert ids(slack) == [notice.notice_id]


def test_a_reply_that_may_have_arrived_is_looked_for_in_its_thread(slack: FakeSlack) -> None:
    channel = channel_to(slack)
    first = channel.send(notice_of(IDLE), None)
    over = notice_of(resolved(IDLE), Reason.RESOLVED)
    assert first.reference is not None
    slack.fail_next("status:200")  # the edit's answer is empty
    assert channel.send(over, first.reference).outcome == Outcome.RETRY
    slack.fail_next("")  # the edit arrives
    slack.fail_next("500_before")  # the reply does not
    assert channel.send(over, first.reference).outcome == Outcome.AMBIGUOUS
    assert channel.find(over, first.reference).outcome == Outcome.RETRY
    slack.fail_next("")  # the edit
    slack.fail_next("500_after")  # the reply
    assert channel.send(over, first.reference).outcome == Outcome.AMBIGUOUS
    assert channel.find(over, first.reference) == first
    assert [m.text for m in slack.replies(slack.messages[0].ts)] == ["Resolved after 1 h 47 min, $12.53 in all."]


def test_an_edit_may_be_repeated_after_any_failure(slack: FakeSlack) -> None:
    channel = channel_to(slack, timeout_s=1)
    first = channel.send(notice_of(IDLE), None)
    later = notice_of(replace(IDLE, usd_so_far=25.0, transition=1), Reason.DOLLARS_DOUBLED)
    for kind in ("500_before", "500_after", "reset_after", "timeout_after"):
        slack.fail_next(kind)
        assert channel.send(later, first.reference).outcome == Outcome.RETRY


def test_a_deleted_message_is_posted_anew(slack: FakeSlack) -> None:
    notice = notice_of(replace(IDLE, transition=1), Reason.DOLLARS_DOUBLED)
    receipt = channel_to(slack).send(notice, f"{CHANNEL}:1.000001")
    assert receipt == Receipt(outcome=Outcome.DELIVERED, reference=f"{CHANNEL}:{slack.messages[0].ts}")
    assert channel_to(slack).find(notice, f"{CHANNEL}:1.000001").outcome == Outcome.DELIVERED


@pytest.mark.parametrize(
    ("kind", "receipt"),
    [
        ("429:30", Receipt(outcome=Outcome.RETRY, retry_after_s=30.0, detail="ratelimited")),
        ("429:", Receipt(outcome=Outcome.RETRY, detail="ratelimited")),
        ("429:soon", Receipt(outcome=Outcome.RETRY, detail="ratelimited")),
        ("429:999999", Receipt(outcome=Outcome.RETRY, retry_after_s=3600.0, detail="ratelimited")),
        ("ok_false:ratelimited", Receipt(outcome=Outcome.RETRY, detail="ratelimited")),
        ("ok_false:internal_error", Receipt(outcome=Outcome.AMBIGUOUS, detail="Slack answered 200 internal_error")),
        ("ok_false:ekm_access_denied", Receipt(outcome=Outcome.REFUSED, detail="ekm_access_denied")),
        (
            "ok_false:not_in_channel",
            Receipt(outcome=Outcome.REFUSED, detail="not_in_channel: the bot is not in the channel; invite it there"),
        ),
    ],
)
def test_each_answer_of_slack_has_its_meaning(slack: FakeSlack, kind: str, receipt: Receipt) -> None:
    slack.fail_next(kind)
    assert channel_to(slack).send(notice_of(IDLE), None) == receipt
    assert slack.requests_seen == 1


def test_wrong_tokens_and_channels_are_refused_with_a_hint(slack: FakeSlack) -> None:
    wrong_token = channel_to(slack, token="xoxb-other").send(notice_of(IDLE), None)
    wrong_channel = channel_to(slack, channel="C0NOWHERE").send(notice_of(IDLE), None)
    assert (wrong_token.outcome, wrong_channel.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert wrong_token.detail == "invalid_auth: the bot token is not valid; make a new one and set it in the config"
    assert wrong_channel.detail.startswith("channel_not_found: ")
    assert channel_to(slack, token="xoxb-other").find(notice_of(IDLE), None).outcome == Outcome.AMBIGUOUS


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"])
def test_what_slack_finds_too_much_is_said_once_more_in_plain_text(slack: FakeSlack, error: str) -> None:
    slack.fail_next(f"ok_false:{error}")
    notice = notice_of(IDLE)
    assert channel_to(slack).send(notice, None).outcome == Outcome.DELIVERED
    (message,) = slack.messages
    assert message.blocks == []
    assert message.text.startswith("$16.00/h wasted: 4x NVIDIA H100 idle 47 min")
    slack.fail_next(f"ok_false:{error}", times=2)
    again = channel_to(slack).send(notice, None)
    assert again == Receipt(outcome=Outcome.REFUSED, detail=error)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    channel = SlackChannel("ops", token=Secret(CANARY), channel=CHANNEL, base_url=f"http://127.0.0.1:{port}/api/")
    assert channel.send(notice_of(IDLE), None) == Receipt(
        outcome=Outcome.RETRY, detail="no answer from Slack (ConnectionRefusedError)"
    )
    assert channel.find(notice_of(IDLE), None).outcome == Outcome.AMBIGUOUS


def test_the_channel_is_read_back_page_by_page(slack: FakeSlack) -> None:
    channel = channel_to(slack)
    notice = notice_of(IDLE)
    channel.send(notice, None)
    for i in range(450):
        channel.send(notice_of(replace(IDLE, incident_id=f"inc_{i}")), None)
    slack.calls.clear()
    assert channel.find(notice, None).reference == f"{CHANNEL}:{slack.messages[0].ts}"
    assert slack.calls == ["conversations.history"] * 3


def test_a_body_that_cannot_be_read_is_refused(slack: FakeSlack) -> None:
    broken = replace(notice_of(IDLE), body=b'{"secret": "payload"}')
    assert channel_to(slack).send(broken, None) == Receipt(
        outcome=Outcome.REFUSED, detail="the notice's body cannot be read"
    )


def test_the_token_is_seen_nowhere(slack: FakeSlack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    channel = channel_to(slack, timeout_s=1)
    notice: Notice = notice_of(IDLE)
    kinds = ("", "500_before", "timeout_after", "reset_after", "429:3", "ok_false:invalid_auth", "status:404", "big")
    said = [repr(channel), repr(vars(channel).get("_token"))]
    for kind in kinds:
        slack.fail_next(kind)
        said.append(repr(channel.send(replace(notice, at=notice.at + timedelta(seconds=1)), None)))
    assert CANARY not in json.dumps(said) + caplog.text
    assert caplog.text == ""
