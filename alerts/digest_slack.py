"""The digest as Slack blocks, within Slack's limits: a header of 150 characters, sections of 3,000, 50 blocks."""

from typing import Any

from alerts import digest_words as words
from alerts.digest import Digest
from alerts.digest_sections import Section, sections

_HEADER_MAX = 150
_SECTION_MAX = 2900


def blocks(digest: Digest) -> list[dict[str, Any]]:
    """A header, the period, and one block for each section."""
    period: dict[str, Any] = {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": _escaped(words.period(digest.week))}],
    }
    header: dict[str, Any] = {
        "type": "header",
        "text": {"type": "plain_text", "text": digest.title[:_HEADER_MAX], "emoji": False},
    }
    return [header, period, *map(_block, sections(digest))]


def _block(section: Section) -> dict[str, Any]:
    lines = [f"*{section.heading}*"]
    for name, said in section.rows:
        line = f"• *{_name(name)}*: {_escaped(said)}" if name else f"• {_escaped(said)}"
        if sum(map(len, lines)) + len(lines) + len(line) > _SECTION_MAX:
            lines.append("…")
            break
        lines.append(line)
    return {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}}


def _escaped(plain: str) -> str:
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _name(plain: str) -> str:
    """A name in bold: a star of its own would end the bold early."""
    return _escaped(plain.replace("*", "∗").replace("`", "'"))
