"""A webhook of the owner's: each notice as signed JSON (Standard Webhooks 1.0), under an id that stays over retries."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import MsgspecError, Raw, json

from alerts.channels.posting import Poster, receipt_of
from alerts.channels.rendering import incident_link, render
from alerts.notices import Notice, Outcome, Receipt
from alerts.secrets import Secret
from alerts.targets.signature import check_secret, sign

BODY_MAX_BYTES = 20_000


class WebhookChannel:
    """Posts to one receiver. The receiver tells repeats by `webhook-id`."""

    def __init__(
        self,
        name: str,
        *,
        poster: Poster,
        secrets: Sequence[Secret],
        link_base: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises SignatureError for a secret that can't sign."""
        for secret in secrets:
            check_secret(secret)
        self.name = name
        self._poster, self._secrets, self._link_base, self._clock = poster, tuple(secrets), link_base, clock

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Post it; a repeat bears the same id."""
        try:
            body = body_of(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        headers = sign(self._secrets, notice.notice_id, int(self._clock().timestamp()), body)
        posted = self._poster.post(body, headers)
        if posted.status == 410:
            return Receipt(outcome=Outcome.REFUSED, detail="the receiver is gone (410); take this channel out")
        return receipt_of(posted, notice.notice_id, "the receiver", repeatable=True)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Not there: to send again is safe, for the id is the same."""
        return Receipt(outcome=Outcome.RETRY, detail="a repeat under the same id changes nothing")

    def close(self) -> None:
        """Let go of the connections."""
        self._poster.close()


def body_of(notice: Notice, link_base: str | None) -> bytes:
    """The JSON, at most 20 kB: what, when, in words, and the subject whole where it fits. Raises MsgspecError."""
    message = render(notice, link_base)
    incident_id = message.incident.incident_id if message.incident else message.action and message.action.incident_id
    told: dict[str, Any] = {
        "notice_id": notice.notice_id,
        "step": notice.step,
        "reason": str(notice.reason),
        "title": message.title,
        "text": message.text[:4000],
        "url": incident_link(link_base, incident_id) if incident_id else None,
    }
    whole = told | {notice.subject: Raw(notice.body)} if notice.subject != "digest" else told
    for data in (whole, told):
        event = {"type": f"{notice.subject}.{notice.step}", "timestamp": notice.at.astimezone(UTC), "data": data}
        body = json.encode(event)
        if len(body) <= BODY_MAX_BYTES:
            return body
    return body
