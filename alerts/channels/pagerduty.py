"""PagerDuty, Events API v2: one alert for each incident, triggered, acknowledged and resolved under its id.

The id is the dedup key and is made anew for each episode, so that a repeat is harmless and a resolve ends what the
trigger began. What a scale-down does is told as change events, which wake nobody.
"""

import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from httpx2 import Response
from msgspec import MsgspecError
from pagerduty import EventsApiV2Client
from pagerduty.errors import Error, UrlError

from alerts.channels.rendering import incident_link, render
from alerts.channels.retry_after import retry_after_s
from alerts.incidents import Incident, Severity, Step
from alerts.messages import changes_in_words, sentence
from alerts.notices import Notice, Outcome, Receipt
from alerts.scale_down import Action
from alerts.secrets import Secret
from alerts.summaries import Summary
from alerts.titles import where
from alerts.wording import cap, clean

US_URL = "https://events.pagerduty.com"
SUMMARY_MAX = 1024

_SEVERITY = {Severity.PAGE: "critical", Severity.WARN: "warning", Severity.INFO: "info"}
_ACTION = {str(Step.RESOLVED): "resolve", str(Step.ACKNOWLEDGED): "acknowledge"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Events(EventsApiV2Client):
    """The vendor's client without its own retries: ours survive a restart."""

    max_http_attempts = -1
    max_network_attempts = 0

    @property
    def url(self) -> str:
        """The address of the API."""
        return str(self._url)

    @url.setter
    def url(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise UrlError("the PagerDuty address must begin with https://")
        self._url = address.rstrip("/")


class PagerDutyChannel:
    """Sends to one PagerDuty service by its routing key."""

    def __init__(
        self,
        name: str,
        *,
        routing_key: Secret,
        base_url: str = US_URL,
        link_base: str | None = None,
        timeout_s: int = 10,
    ) -> None:
        self.name = name
        self._link_base = link_base
        self._client = _Events(routing_key.reveal(), base_url=base_url, trust_env=urlsplit(base_url).scheme == "https")
        self._client.log = logging.Logger("pagerduty", logging.CRITICAL)
        self._client.retry = {429: 1}  # known to it, so that it hands the answer back at once
        self._client.timeout = timeout_s

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Trigger, acknowledge or resolve the incident's alert; a repeat changes nothing."""
        try:
            message = render(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        if message.incident is not None:
            key = message.incident.incident_id
            return self._enqueue("/v2/enqueue", _alert(notice, message.incident, self._link_base), key)
        if message.action is not None:
            key = reference or message.action.incident_id
            return self._enqueue("/v2/change/enqueue", _change(notice, message.action, self._link_base), key)
        if message.summary is not None:
            return self._enqueue("/v2/enqueue", _many(notice, message.summary), message.summary.summary_id)
        return Receipt(outcome=Outcome.REFUSED, detail="PagerDuty takes no digest; route it to mail or Slack")

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Not there: to send again is safe, for the key is the same."""
        return Receipt(outcome=Outcome.RETRY, detail="a repeat under the same key changes nothing")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _enqueue(self, path: str, event: dict[str, Any], key: str) -> Receipt:
        try:
            answer: Response = self._client.post(path, json=event)
        except Error as error:
            if error.response is None:
                return Receipt(outcome=Outcome.RETRY, detail="no answer from PagerDuty")
            answer = error.response
        return _read(answer, key)


def _read(answer: Response, key: str) -> Receipt:
    status = answer.status_code
    if 200 <= status < 300:
        return Receipt(outcome=Outcome.DELIVERED, reference=key)
    if status == 429 or status >= 500:
        wait_s = retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))
        return Receipt(outcome=Outcome.RETRY, retry_after_s=wait_s, detail=f"PagerDuty answered {status}")
    hint = {
        400: "it does not take the event; check that the routing key is that of an Events API v2 integration",
        401: "check the routing key",
        403: "check the routing key and the account's region (pagerduty base_url)",
    }.get(status, "check the address (pagerduty base_url)")
    return Receipt(outcome=Outcome.REFUSED, detail=f"PagerDuty answered {status}: {hint}")


def _alert(notice: Notice, incident: Incident, link_base: str | None) -> dict[str, Any]:
    action = _ACTION.get(notice.step, "trigger")
    event: dict[str, Any] = {"event_action": action, "dedup_key": incident.incident_id}
    if action != "trigger":
        return event
    _, namespace, name = [*(incident.workload or "").split("/", 2), "", ""][:3]  # some names stand for many workloads
    payload = {
        "summary": cap(clean(notice.title, SUMMARY_MAX), SUMMARY_MAX),
        "source": where(incident, 255),
        "severity": _SEVERITY[incident.severity],
        "timestamp": incident.began_at.isoformat(),
        "component": clean(name, 255),
        "group": clean(namespace, 255),
        "class": str(incident.kind),
        "custom_details": {
            "why": sentence(incident),
            "what_changed": changes_in_words(incident),
            "team": clean(incident.team or "", 255),
            "cause": str(incident.cause),
            "usd_per_hour": round(incident.usd_per_hour, 2),
            "usd_so_far": round(incident.usd_so_far, 2),
        },
    }
    event |= {"payload": {k: v for k, v in payload.items() if v}, "client": "emberwatch"}
    if link := incident_link(link_base, incident.incident_id):
        event |= {"client_url": link, "links": [{"href": link, "text": "Incident"}]}
    return event


def _many(notice: Notice, summary: Summary) -> dict[str, Any]:
    """One alert for many incidents; it is resolved when all of them are over."""
    if summary.over >= summary.incidents:
        return {"event_action": "resolve", "dedup_key": summary.summary_id}
    payload = {
        "summary": cap(clean(notice.title, SUMMARY_MAX), SUMMARY_MAX),
        "source": "emberwatch",
        "severity": _SEVERITY[Severity.PAGE if summary.pages else Severity.WARN],
        "timestamp": summary.began_at.isoformat(),
        "class": str(summary.hush),
        "custom_details": {"incidents": summary.incidents, "over": summary.over, "pages": summary.pages,
                           "usd_per_hour": round(summary.usd_per_hour, 2)},
    }  # fmt: skip
    return {"event_action": "trigger", "dedup_key": summary.summary_id, "payload": payload, "client": "emberwatch"}


def _change(notice: Notice, action: Action, link_base: str | None) -> dict[str, Any]:
    event: dict[str, Any] = {
        "payload": {
            "summary": clean(notice.title, SUMMARY_MAX),
            "timestamp": action.at.isoformat(),
            "source": clean(action.workload, 255),
            "custom_details": {"action_id": action.action_id, "step": str(action.step), "mode": str(action.mode)},
        }
    }
    if link := incident_link(link_base, action.incident_id):
        event["links"] = [{"href": link, "text": "Incident"}]
    return event
