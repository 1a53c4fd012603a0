"""Microsoft Teams, by the URL of a workflow ("when a webhook request is received"): an Adaptive Card for each notice.

A workflow gives nothing back to edit or to look for. What can't be told is held rather than said twice.
"""

from typing import Any

from msgspec import MsgspecError, json

from alerts.channels.posting import Poster, receipt_of
from alerts.channels.rendering import Rendered, incident_link, render
from alerts.notices import Notice, Outcome, Receipt
from alerts.wording import cap

BODY_MAX_BYTES = 28_000
TEXT_MAX = 5000
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"


class TeamsChannel:
    """Posts to one Teams channel or chat."""

    def __init__(self, name: str, *, poster: Poster, link_base: str | None = None) -> None:
        self.name = name
        self._poster, self._link_base = poster, link_base

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Post a card."""
        try:
            message = render(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        body = json.encode(card(notice, message, self._link_base))
        if len(body) > BODY_MAX_BYTES:
            body = json.encode(card(notice, message, self._link_base, text_max=1000))
        return receipt_of(self._poster.post(body, {}), notice.notice_id, "Teams", repeatable=False)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """A workflow can't be asked."""
        return Receipt(outcome=Outcome.AMBIGUOUS, detail="a Teams workflow can't be read back")

    def close(self) -> None:
        """Let go of the connections."""
        self._poster.close()


def card(notice: Notice, message: Rendered, link_base: str | None, text_max: int = TEXT_MAX) -> dict[str, Any]:
    """The notice as an Adaptive Card: the title, the lines, and a link. Text from outside is no markup there."""
    title, _, rest = message.text.partition("\n")
    lines = [line for line in cap(rest, text_max).splitlines() if line.strip()]
    facts = [pair for line in lines if (pair := _fact(line))]
    others = [line for line in lines if not _fact(line)]
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": _plain(title or notice.title), "weight": "Bolder", "size": "Medium", "wrap": True}
    ]
    if message.incident is not None and notice.step != "opened" and message.reply:
        body.append({"type": "TextBlock", "text": _plain(message.reply), "wrap": True})
    if facts:
        body.append({"type": "FactSet", "facts": facts})
    body += [{"type": "TextBlock", "text": _plain(line), "wrap": True, "spacing": "Small"} for line in others]
    content: dict[str, Any] = {"$schema": SCHEMA, "type": "AdaptiveCard", "version": "1.4", "body": body}
    incident_id = message.incident.incident_id if message.incident else message.action and message.action.incident_id
    if incident_id and (link := incident_link(link_base, incident_id)):
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": link}]
    content["msteams"] = {"width": "Full"}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _fact(line: str) -> dict[str, str] | None:
    """A short `Label: value` as a fact."""
    label, colon, value = line.partition(": ")
    if not colon or len(label) > 24 or not label[:1].isupper() or label in ("Why", "What changed"):
        return None
    return {"title": label, "value": _plain(value)}


_HARMLESS = str.maketrans({"[": "(", "]": ")", "*": "∗", "`": "ˋ", "<": "‹", ">": "›", "#": "＃", "~": "∼"})


def _plain(text: str) -> str:
    """Text in which nothing is a link, an emphasis or a mention: no escape is known to all clients."""
    return text.translate(_HARMLESS)
