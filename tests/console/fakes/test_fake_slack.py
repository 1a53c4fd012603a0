"""The stand-in for Slack keeps Slack's rules."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from console.fakes.slack import CHANNEL, FakeSlack
from console.fakes.slack_rules import fault

TEXT = {"type": "mrkdwn", "text": "x"}


@pytest.fixture
def now_s() -> list[float]:
    return [0.0]


@pytest.fixture
def slack(now_s: list[float]) -> Iterator[FakeSlack]:
    with FakeSlack(enforce_rate=True, clock=lambda: now_s[0]) as server:
        yield server


def call(slack: FakeSlack, method: str, **body: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {slack.token}"}
    answer = httpx.post(slack.base_url + method, json=body, headers=headers, trust_env=False)
    return {"status": answer.status_code, **answer.json()}


def test_the_token_and_the_method_are_checked(slack: FakeSlack) -> None:
    bare = httpx.post(slack.base_url + "auth.test", trust_env=False)
    wrong = httpx.post(slack.base_url + "auth.test", headers={"Authorization": "Bearer no"}, trust_env=False)
    assert [r.json()["error"] for r in (bare, wrong)] == ["not_authed", "invalid_auth"]
    assert call(slack, "auth.test")["ok"] is True
    assert call(slack, "chat.shout")["error"] == "unknown_method"
    assert httpx.get(slack.url + "/nowhere", trust_env=False).json()["error"] == "unknown_method"


def test_a_channel_takes_one_message_a_second(slack: FakeSlack, now_s: list[float]) -> None:
    said = [call(slack, "chat.postMessage", channel=CHANNEL, text="1")]
    now_s[0] = 0.9
    said.append(call(slack, "chat.postMessage", channel="#ai-infra", text="2"))
    now_s[0] = 1.0
    said.append(call(slack, "chat.postMessage", channel="#ai-infra", text="3"))
    assert [(s["status"], s.get("error")) for s in said] == [(200, None), (429, "ratelimited"), (200, None)]
    assert [m.text for m in slack.messages] == ["1", "3"]


def test_replies_belong_to_their_thread_and_edits_are_kept(slack: FakeSlack, now_s: list[float]) -> None:
    ts = call(slack, "chat.postMessage", channel=CHANNEL, text="parent")["ts"]
    for text, broadcast in (("quiet", False), ("loud", True)):
        now_s[0] += 1
        call(slack, "chat.postMessage", channel=CHANNEL, text=text, thread_ts=ts, reply_broadcast=broadcast)
    call(slack, "chat.update", channel=CHANNEL, ts=ts, text="edited")
    history = call(slack, "conversations.history", channel=CHANNEL)["messages"]
    replies = call(slack, "conversations.replies", channel=CHANNEL, ts=ts)["messages"]
    assert [m["text"] for m in history] == ["loud", "edited"]
    assert [m["text"] for m in replies] == ["edited", "quiet", "loud"]
    assert [m.edits for m in slack.parents()] == [[{"text": "parent", "blocks": []}]]
    assert [m.text for m in slack.replies(ts)] == ["quiet", "loud"]


@pytest.mark.parametrize(
    ("method", "body", "error"),
    [
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": CHANNEL}, "no_text"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "thread_ts": "1.1"}, "thread_not_found"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": CHANNEL, "text": "x", "metadata": {"a": 1}}, "invalid_metadata_format"),
        ("chat.update", {"channel": CHANNEL, "ts": "1.1", "text": "x"}, "message_not_found"),
        ("conversations.history", {"channel": "ai-infra"}, "channel_not_found"),
        ("conversations.replies", {"channel": CHANNEL, "ts": "1.1"}, "thread_not_found"),
    ],
)
def test_errors_come_with_status_200(slack: FakeSlack, method: str, body: dict[str, Any], error: str) -> None:
    assert call(slack, method, **body) == {"status": 200, "ok": False, "error": error}


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "divider"}] * 51,
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "header", "text": TEXT}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}],
        [{"type": "section"}],
        [{"type": "section", "fields": [TEXT] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}],
        [{"type": "context", "elements": [TEXT] * 11}],
        [{"type": "image", "image_url": "https://x.example/" + "x" * 3000, "alt_text": "x"}],
        [{"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}]}],
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
        [{"type": "video"}],
        ["not a block"],
    ],
)
def test_blocks_beyond_the_limits_are_refused(blocks: list[Any]) -> None:
    assert fault({"blocks": blocks}) == "invalid_blocks"


def test_blocks_within_the_limits_are_taken() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150, "emoji": False}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}},
        {"type": "section", "fields": [TEXT] * 10},
        {"type": "context", "elements": [TEXT] * 10},
        {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "a"},
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x"}}]},
        {"type": "divider"},
    ]
    assert fault({"blocks": blocks}) is None
    wide = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2900}}] * 5
    assert fault({"blocks": json.loads(json.dumps(wide))}) == "msg_blocks_too_long"


def test_what_breaks_inside_is_raised_at_the_end() -> None:
    def break_down(message: object) -> None:
        raise RuntimeError("from the hook")

    with (
        pytest.raises(RuntimeError, match="from the hook"),
        FakeSlack(on_message=break_down) as slack,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        call(slack, "chat.postMessage", channel=CHANNEL, text="x")
