"""Alertmanager, API v2: each incident is an alert, kept firing by being sent again before it would expire.

Labels are an alert's identity. One that has changed (a severity that rose) begins anew; the old one expires by itself.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import MsgspecError, json

from alerts.channels.posting import Poster, receipt_of
from alerts.channels.rendering import incident_link, render
from alerts.incidents import Incident, Severity
from alerts.messages import changes_in_words, sentence, title
from alerts.notices import Notice, Outcome, Receipt
from alerts.secrets import Secret
from alerts.summaries import Summary
from alerts.wording import clean

EXPIRES_AFTER = timedelta(minutes=5)
AGAIN_EVERY_S = 60.0
AT_ONCE = 500  # alerts in one request
PATH = "/api/v2/alerts"
LABEL_MAX = 255
_SEVERITY = {Severity.PAGE: "critical", Severity.WARN: "warning", Severity.INFO: "info"}


class AlertmanagerChannel:
    """Sends to one Alertmanager."""

    def __init__(self, name: str, *, poster: Poster, token: Secret | None = None, link_base: str | None = None) -> None:
        """`token`: a bearer for what stands before it."""
        self.name = name
        self._poster, self._link_base = poster, link_base
        self._headers = {} if token is None else {"authorization": f"Bearer {token.reveal()}"}

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Let it fire, or end; a repeat changes nothing."""
        now = datetime.now(UTC)
        try:
            message = render(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        if message.incident is not None:
            return self._post([alert_of(message.incident, now, self._link_base)], message.incident.incident_id)
        if message.summary is not None:
            return self._post([summary_alert(message.summary, notice.title, now)], message.summary.summary_id)
        return Receipt(outcome=Outcome.REFUSED, detail="Alertmanager takes incidents only; route this to mail or Slack")

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Not there: to send again is safe, for the labels are the same."""
        return Receipt(outcome=Outcome.RETRY, detail="a repeat under the same labels changes nothing")

    def refresh(self, incidents: Sequence[Incident], now: datetime) -> Receipt:
        """Send all that are open again, so that they keep firing; also after the server lost its memory."""
        receipt = Receipt(outcome=Outcome.DELIVERED)
        for first in range(0, len(incidents), AT_ONCE):
            some = incidents[first : first + AT_ONCE]
            receipt = self._post([alert_of(one, now, self._link_base) for one in some], "")
            if receipt.outcome is not Outcome.DELIVERED:
                return receipt
        return receipt

    def close(self) -> None:
        """Let go of the connections."""
        self._poster.close()

    def _post(self, alerts: Iterable[dict[str, Any]], reference: str) -> Receipt:
        posted = self._poster.post(json.encode(list(alerts)), self._headers, PATH)
        return receipt_of(posted, reference, "Alertmanager", repeatable=True)


def alert_of(incident: Incident, now: datetime, link_base: str | None) -> dict[str, Any]:
    """The incident as an alert: it ends when the incident has, else in five minutes unless it is sent again."""
    cluster, namespace, name = [*(incident.workload or "").split("/", 2), "", ""][:3]
    labels = {
        "alertname": "Emberwatch" + "".join(part.capitalize() for part in incident.kind.split("_")),
        "severity": _SEVERITY[incident.severity],
        "incident_id": incident.incident_id,
        "kind": str(incident.kind),
        "team": incident.team or "",
        "cluster": cluster,
        "namespace": namespace,
        "workload": name,
        "model": incident.model or "",
        "budget": incident.budget or "",
    }
    notes = {
        "summary": title(incident),
        "description": sentence(incident),
        "cause": incident.cause.replace("_", " "),
        "what_changed": changes_in_words(incident),
        "usd_per_hour": f"{incident.usd_per_hour:.2f}",
        "usd_so_far": f"{incident.usd_so_far:.2f}",
    }
    return _alert(
        labels,
        notes,
        starts_at=incident.began_at,
        ends_at=_ended(incident, now) or now + EXPIRES_AFTER,
        link=incident_link(link_base, incident.incident_id),
    )


def summary_alert(summary: Summary, said: str, now: datetime) -> dict[str, Any]:
    """Many incidents as one alert."""
    labels = {
        "alertname": "EmberwatchSummary",
        "severity": _SEVERITY[Severity.PAGE if summary.pages else Severity.WARN],
        "summary_id": summary.summary_id,
    }
    over = summary.over >= summary.incidents
    ends_at = now if over else now + timedelta(hours=1)
    return _alert(labels, {"summary": said}, starts_at=summary.began_at, ends_at=ends_at, link=None)


def _ended(incident: Incident, now: datetime) -> datetime | None:
    """An end in the past: Alertmanager takes one in the future for a promise."""
    return None if incident.resolved_at is None else max(min(incident.resolved_at, now), incident.began_at)


def _alert(
    labels: dict[str, str], notes: dict[str, str], *, starts_at: datetime, ends_at: datetime, link: str | None
) -> dict[str, Any]:
    alert: dict[str, Any] = {
        "labels": {name: cleaned for name, value in labels.items() if (cleaned := clean(value, LABEL_MAX))},
        "annotations": {name: cleaned for name, value in notes.items() if (cleaned := clean(value, 1000))},
        "startsAt": _rfc3339(starts_at),
        "endsAt": _rfc3339(ends_at),
    }
    return alert if link is None else alert | {"generatorURL": link}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
