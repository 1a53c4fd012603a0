"""From a notice to what people read, for every channel alike."""

import msgspec
from msgspec import Struct

from alerts.action_messages import action_blocks, action_text, action_title
from alerts.incidents import Incident
from alerts.messages import plain_text, slack_blocks, thread_line
from alerts.notices import Notice
from alerts.scale_down import Action
from alerts.slack_text import Block
from alerts.summaries import Summary, summary_blocks, summary_text, summary_title


class Rendered(Struct, frozen=True, kw_only=True):
    """A message in each of the forms that a channel may want."""

    title: str
    text: str
    html: str | None = None
    blocks: list[Block] = []
    reply: str = ""  # what a thread is told
    incident: Incident | None = None
    action: Action | None = None
    summary: Summary | None = None


class _DigestBody(Struct, frozen=True):
    title: str
    text: str
    html: str | None = None
    blocks: list[Block] = []


def render(notice: Notice, link_base: str | None = None) -> Rendered:
    """The notice's body in words. Raises msgspec.MsgspecError where the body is not what the subject says."""
    if notice.subject == "incident":
        incident = msgspec.json.decode(notice.body, type=Incident)
        link = incident_link(link_base, incident.incident_id)
        return Rendered(
            title=notice.title,
            text=plain_text(incident, link=link),
            blocks=slack_blocks(incident, link=link),
            reply=thread_line(incident, notice.reason),
            incident=incident,
        )
    if notice.subject == "action":
        action = msgspec.json.decode(notice.body, type=Action)
        link = incident_link(link_base, action.incident_id)
        return Rendered(
            title=notice.title,
            text=action_text(action, link=link),
            blocks=action_blocks(action, link=link),
            reply=action_title(action),
            action=action,
        )
    if notice.subject == "summary":
        summary = msgspec.json.decode(notice.body, type=Summary)
        link = f"{link_base.rstrip('/')}/incidents?state=open" if link_base else None
        return Rendered(
            title=notice.title,
            text=summary_text(summary, link=link),
            blocks=summary_blocks(summary, link=link),
            reply=summary_title(summary),
            summary=summary,
        )
    digest = msgspec.json.decode(notice.body, type=_DigestBody)
    return Rendered(title=digest.title, text=digest.text, html=digest.html, blocks=digest.blocks)


def incident_link(link_base: str | None, incident_id: str) -> str | None:
    """Where the console shows the incident; None where the console has no public address."""
    return f"{link_base.rstrip('/')}/incidents/{incident_id}" if link_base else None
