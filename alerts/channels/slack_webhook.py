"""Slack by an incoming webhook: less than a bot can do, and each message says so.

It gives back no message to edit, to answer in a thread or to look for: each notice is a message of its own, without
buttons, and what can't be told is held rather than said twice.
"""

from msgspec import MsgspecError, json

from alerts.channels.posting import Poster, receipt_of
from alerts.channels.rendering import render
from alerts.notices import Notice, Outcome, Receipt
from alerts.slack_text import context, escape, paragraph

LESS = "Sent by an incoming webhook: no buttons, no threads, and each change is a message of its own."


class SlackWebhookChannel:
    """Posts to the Slack channel of one incoming webhook."""

    def __init__(self, name: str, *, poster: Poster, link_base: str | None = None) -> None:
        self.name = name
        self._poster, self._link_base = poster, link_base

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Post it."""
        try:
            message = render(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        news = [paragraph(message.reply)] if message.reply and reference is not None else []
        body = {
            "text": escape(message.title),
            "blocks": [*message.blocks[:1], *news, *message.blocks[1:48], context([escape(LESS)])],
        }
        return receipt_of(self._poster.post(json.encode(body), {}), notice.notice_id, "Slack", repeatable=False)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """A webhook can't be asked."""
        return Receipt(outcome=Outcome.AMBIGUOUS, detail="an incoming webhook can't be read back")

    def close(self) -> None:
        """Let go of the connections."""
        self._poster.close()
