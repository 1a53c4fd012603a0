"""The notices of a weekly digest: one for each channel and week, with the digest in every form. Pure."""

from collections.abc import Iterable

from msgspec import json

from alerts.digest import Digest
from alerts.digest_html import html
from alerts.digest_slack import blocks
from alerts.digest_text import text
from alerts.notices import Notice, Reason


def digest_notices(digest: Digest, channels: Iterable[str]) -> list[Notice]:
    """Make the week's notice for each channel. Its id is that of the week and channel: made again, it is the same row.

    The body holds `title`, `text`, `html`, `blocks` (Slack) and the figures themselves as `digest`.
    """
    body = json.encode(
        {
            "title": digest.title,
            "text": text(digest),
            "html": html(digest),
            "blocks": blocks(digest),
            "digest": digest,
        }
    )
    return [
        Notice(
            notice_id=f"digest:{digest.week.label}:{channel}",
            channel=channel,
            subject="digest",
            subject_id=f"digest:{digest.week.label}",
            transition=0,
            step="digest",
            reason=Reason.WEEKLY,
            title=digest.title,
            at=digest.week.due_at,
            body=body,
        )
        for channel in dict.fromkeys(channels)
    ]
