"""Pieces of Slack's Block Kit that keep its limits and let no text from outside become markup."""

from typing import Any

from alerts.wording import cap, clean

Block = dict[str, Any]

HEADER_MAX = 150
TEXT_MAX = 2900  # Slack's limit is 3000; escaping is counted in
FIELD_MAX = 1900  # Slack's limit is 2000
FIELDS_MAX = 6


def escape(text: str, limit: int = TEXT_MAX) -> str:
    """Text for mrkdwn: `&`, `<` and `>` escaped, cut before and never inside an escape."""
    out: list[str] = []
    size = 0
    for piece in ({"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(c, c) for c in text):
        if size + len(piece) > limit - 1:
            return "".join(out).rstrip() + "…"
        out.append(piece)
        size += len(piece)
    return "".join(out)


def code(text: str, limit: int = 200) -> str:
    """A name from outside as a code span, in which nothing is markup."""
    return f"`{escape(clean(text, limit).replace('`', 'ˋ'), limit * 5)}`"


def plain(text: str, limit: int) -> Block:
    """A plain_text object; angle brackets are replaced, so that no client can read a mention into it."""
    safe = cap(text.replace("<", "‹").replace(">", "›"), limit)
    return {"type": "plain_text", "text": safe or " ", "emoji": False}


def header(text: str) -> Block:
    """A header block of at most 150 characters."""
    return {"type": "header", "text": plain(text, HEADER_MAX)}


def paragraph(text: str) -> Block:
    """A section of plain text."""
    return {"type": "section", "text": plain(text, TEXT_MAX)}


def fields(pairs: list[tuple[str, str]]) -> Block:
    """A section of at most six labelled values; each value is mrkdwn that has been escaped."""
    shown = [{"type": "mrkdwn", "text": cap(f"*{label}*\n{value}", FIELD_MAX)} for label, value in pairs[:FIELDS_MAX]]
    return {"type": "section", "fields": shown}


def context(parts: list[str]) -> Block:
    """A footer; each part is mrkdwn that has been escaped."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cap(" · ".join(parts), FIELD_MAX)}]}


def link_to(url: str, label: str) -> str:
    """A link in mrkdwn; the characters that would end it early are percent-encoded."""
    safe = url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("&", "&amp;")
    return f"<{safe}|{escape(label, 100)}>"
