"""Slack: one message for each incident, edited in place, with replies only for what a person must hear again.

Posting has no idempotency key. Each message therefore carries its notice id as metadata, and after an outcome that
cannot be told (a time-out, a 5xx) `find` reads the channel back before anything is said again.
"""

import http.client
import logging
import re
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from msgspec import MsgspecError
from msgspec.structs import replace
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.channels.rendering import Rendered, incident_link, render
from alerts.channels.retry_after import retry_after_s
from alerts.channels.slack_files import LOOPBACK, upload
from alerts.incidents import Incident
from alerts.messages import slack_blocks
from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.secrets import Secret
from alerts.shown import incident_and_action
from alerts.slack_buttons import action_in_words, button_blocks
from alerts.slack_text import Block, escape
from alerts.titles import title

EVENT_TYPE = "emberwatch_notice"
PAGE_SIZE = 200
PAGES_MAX = 10
LOOK_BACK = timedelta(hours=1)

_SPOKEN = {
    Reason.SEVERITY_RAISED,
    Reason.ACKNOWLEDGED,
    Reason.SNOOZED,
    Reason.EXPECTED,
    Reason.RESOLVED,
    Reason.HUSH_ENDED,
    Reason.STILL_OPEN,
    Reason.NOT_ACKNOWLEDGED,
    Reason.ACTION_DONE,
}
_BROADCAST = {
    Reason.SEVERITY_RAISED,
    Reason.STILL_OPEN,
    Reason.NOT_ACKNOWLEDGED,
    Reason.ACTION_WARNED,
    Reason.ACTION_PROPOSED,
}
_TOO_MUCH = {"msg_too_long", "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"}
_PARENT_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"}
_PASSING = {"ratelimited", "rate_limited", "message_limit_exceeded"}
_UNSURE = {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_HINTS = {
    "invalid_auth": "the bot token is not valid; make a new one and set it in the config",
    "not_authed": "no bot token was sent; set it in the config",
    "token_revoked": "the bot token was revoked; make a new one and set it in the config",
    "token_expired": "the bot token has expired; make a new one and set it in the config",
    "account_inactive": "the bot's account is gone; install the app again",
    "missing_scope": "the bot lacks a scope; it needs chat:write and channels:history (groups:history if private)",
    "channel_not_found": "no such channel for this bot; give the channel id and invite the bot to it",
    "not_in_channel": "the bot is not in the channel; invite it there",
    "is_archived": "the channel is archived; choose another",
    "restricted_action": "the workspace forbids the bot to post there; ask its owner",
}


class SlackChannel:
    """Posts to one Slack channel with a bot token."""

    def __init__(
        self,
        name: str,
        *,
        token: Secret,
        channel: str,
        base_url: str = "https://slack.com/api/",
        link_base: str | None = None,
        timeout_s: int = 10,
        buttons: Secret | None = None,
        chart: Callable[[Incident], bytes | None] | None = None,
    ) -> None:
        """`buttons`: the key that presses are proved with; None: nobody listens, and none are shown. `chart`: PNG."""
        self.name = name
        self._buttons, self._chart = buttons, chart
        self._channel = channel
        self._link_base = link_base
        self._client = WebClient(
            token=token.reveal(),
            base_url=base_url,
            timeout=timeout_s,
            retry_handlers=[],
            logger=logging.Logger("slack", logging.CRITICAL),  # the SDK's own lines may quote payloads
        )
        if urlsplit(base_url).hostname in LOOPBACK:
            self._client.proxy = None

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Post the subject's first message, or edit it and, where people must hear of it, reply in its thread."""
        try:
            message = self._rendered(notice)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        if reference is None:
            return self._first(notice, message)
        channel, ts = _place(reference)
        spoken = notice.reason in _SPOKEN or (message.action is not None and message.incident is not None)
        edit = _body(channel, notice, message) | {"ts": ts}
        if spoken:
            del edit["metadata"]  # the reply bears the notice's id: an edit alone is not the whole of it
        edited = self._call("chat.update", edit, message, repeatable=True)
        if edited.outcome == Outcome.REFUSED and edited.detail.partition(":")[0] in _PARENT_GONE:
            return self._first(notice, message)
        if edited.outcome != Outcome.DELIVERED or not spoken:
            return _with(edited, reference)
        reply = {
            "channel": channel,
            "thread_ts": ts,
            "text": escape(message.reply),
            "metadata": _metadata(notice),
            "reply_broadcast": notice.reason in _BROADCAST,
            "unfurl_links": False,
        }
        return _with(self._call("chat.postMessage", reply, None, repeatable=False), reference)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Look for the notice's id among the thread's and the channel's recent messages."""
        oldest = min(notice.at, datetime.now(UTC)) - LOOK_BACK
        looks: list[tuple[str, dict[str, Any]]] = []
        if reference is not None:
            channel, ts = _place(reference)
            looks.append(("conversations.replies", {"channel": channel, "ts": ts}))
        looks.append(("conversations.history", {"channel": self._channel, "oldest": f"{oldest.timestamp():.6f}"}))
        for method, params in looks:
            seen = self._look(method, params, notice)
            if seen.outcome == Outcome.REFUSED and seen.detail.partition(":")[0] in _PARENT_GONE:
                continue
            if seen.outcome != Outcome.RETRY:
                return _with(seen, reference) if seen.outcome == Outcome.DELIVERED else seen
        return Receipt(outcome=Outcome.RETRY, detail="not found in the channel")

    def _rendered(self, notice: Notice) -> Rendered:
        """The message; where an incident and its scale-down are known together, both in one, with their buttons."""
        message = render(notice, self._link_base)
        incident, action = incident_and_action(notice)
        if incident is None:
            return message
        shown = slack_blocks(incident, link=incident_link(self._link_base, incident.incident_id))
        parts = [*shown[:-1], *([] if action is None else [action_in_words(action)])]
        if self._buttons is not None:
            parts += button_blocks(self._buttons, incident, action)
        own = notice.subject == "incident"
        return Rendered(
            title=notice.title if own else title(incident),
            text=message.text,
            blocks=[*parts, shown[-1]],
            reply=message.reply,
            incident=incident,
            action=None if own else action,
        )

    def _first(self, notice: Notice, message: Rendered) -> Receipt:
        """Post the subject's first message, and its picture in the thread; a picture that fails is left out."""
        posted = self._post(notice, message)
        if posted.outcome == Outcome.DELIVERED and posted.reference and message.incident and self._chart:
            picture = self._chart(message.incident)
            fault = "" if picture is None else upload(self._client, posted.reference, message.incident, picture)
            return replace(posted, detail=fault)
        return posted

    def _post(self, notice: Notice, message: Rendered) -> Receipt:
        return self._call("chat.postMessage", _body(self._channel, notice, message), message, repeatable=False)

    def _look(self, method: str, params: dict[str, Any], notice: Notice) -> Receipt:
        """DELIVERED if found, RETRY if certainly not there, AMBIGUOUS if Slack does not let us look."""
        cursor = ""
        for _ in range(PAGES_MAX):
            asked = params | {"limit": PAGE_SIZE, "include_all_metadata": True} | ({"cursor": cursor} if cursor else {})
            try:
                answer = self._client.api_call(method, params=asked)
            except SlackApiError as error:
                refused = _refusal(error, repeatable=True)
                gone = refused.detail.partition(":")[0] in _PARENT_GONE
                outcome = Outcome.REFUSED if gone else Outcome.AMBIGUOUS
                return Receipt(outcome=outcome, retry_after_s=refused.retry_after_s, detail=refused.detail)
            except (OSError, http.client.HTTPException, SlackClientError) as error:
                return Receipt(outcome=Outcome.AMBIGUOUS, detail=_kind(error))
            for sent in answer.get("messages") or []:
                payload = (sent.get("metadata") or {}).get("event_payload") or {}
                if payload.get("notice_id") == notice.notice_id:
                    return Receipt(outcome=Outcome.DELIVERED, reference=f"{params['channel']}:{sent['ts']}")
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return Receipt(outcome=Outcome.RETRY)
        return Receipt(outcome=Outcome.AMBIGUOUS, detail="too many messages since to be sure")

    def _call(self, method: str, body: dict[str, Any], message: Rendered | None, *, repeatable: bool) -> Receipt:
        """One call; where Slack finds the blocks too much, one more with plain text only."""
        try:
            answer = self._client.api_call(method, json=body)
        except SlackApiError as error:
            if message is not None and _code(error) in _TOO_MUCH:
                bare = {k: v for k, v in body.items() if k != "blocks"} | {"text": escape(message.text, 3900)}
                if method == "chat.update":
                    bare["blocks"] = []
                return self._call(method, bare, None, repeatable=repeatable)
            return _refusal(error, repeatable=repeatable)
        except (OSError, http.client.HTTPException, SlackClientError) as error:
            return _no_answer(error, repeatable=repeatable)
        return Receipt(outcome=Outcome.DELIVERED, reference=f"{answer['channel']}:{answer['ts']}")


def _body(channel: str, notice: Notice, message: Rendered) -> dict[str, Any]:
    blocks: list[Block] = message.blocks
    return {
        "channel": channel,
        "text": escape(message.title),
        "blocks": blocks,
        "metadata": _metadata(notice),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _metadata(notice: Notice) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"notice_id": notice.notice_id}}


def _place(reference: str) -> tuple[str, str]:
    channel, _, ts = reference.partition(":")
    return channel, ts


def _with(receipt: Receipt, reference: str | None) -> Receipt:
    """The subject keeps the reference of its first message, whatever was said since."""
    kept = reference if receipt.outcome == Outcome.DELIVERED and reference is not None else receipt.reference
    return replace(receipt, reference=kept)


def _code(error: SlackApiError) -> str:
    """Slack's error code; anything that does not look like one is not repeated."""
    data = getattr(error.response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,64}", code) else ""


def _refusal(error: SlackApiError, *, repeatable: bool) -> Receipt:
    """What an answer of Slack that is not `ok` means."""
    status = int(error.response.status_code)
    code = _code(error)
    headers = {str(k).lower(): v for k, v in dict(error.response.headers).items()}
    wait_s = retry_after_s(headers.get("retry-after"), datetime.now(UTC))
    if status == 429 or code in _PASSING:
        return Receipt(outcome=Outcome.RETRY, retry_after_s=wait_s, detail=code or "ratelimited")
    if status >= 500 or code in _UNSURE or (status < 300 and not code):
        outcome = Outcome.RETRY if repeatable else Outcome.AMBIGUOUS
        return Receipt(outcome=outcome, retry_after_s=wait_s, detail=f"Slack answered {status} {code}".strip())
    hint = _HINTS.get(code)
    return Receipt(outcome=Outcome.REFUSED, detail=f"{code}: {hint}" if hint else code or f"Slack answered {status}")


def _no_answer(error: Exception, *, repeatable: bool) -> Receipt:
    """No answer: certain not to have arrived where no connection came about, else unsure."""
    reason = error.reason if isinstance(error, URLError) else error
    never_left = isinstance(reason, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError)
    outcome = Outcome.RETRY if repeatable or never_left else Outcome.AMBIGUOUS
    return Receipt(outcome=outcome, detail=_kind(error))


def _kind(error: Exception) -> str:
    """The name of what went wrong; its text may hold addresses and is left out."""
    reason = error.reason if isinstance(error, URLError) else error
    return f"no answer from Slack ({type(reason).__name__})"
