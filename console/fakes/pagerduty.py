"""A PagerDuty that keeps the documented rules of the Events API v2."""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from console.fakes.server import Answer, LocalServer, json_answer

ROUTING_KEY = "R0" + "0" * 30
EVENTS_PER_MINUTE = 120
BODY_MAX_BYTES = 512 * 1024


class Alert(Struct, kw_only=True):
    """An alert of one dedup key; a trigger after its resolve opens another."""

    dedup_key: str
    summary: str
    severity: str
    status: str = "triggered"
    actions: list[str] = []


class FakePagerDuty(LocalServer):
    """Keeps `alerts` in the order in which they were opened, and `changes`, the change events."""

    def __init__(
        self,
        *,
        routing_key: str = ROUTING_KEY,
        enforce_rate: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.routing_key = routing_key
        self.alerts: list[Alert] = []
        self.events: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self._enforce_rate = enforce_rate
        self._clock = clock
        self._taken_s: deque[float] = deque()

    def open_alerts(self) -> list[Alert]:
        """Those that are not resolved."""
        with self.lock:
            return [alert for alert in self.alerts if alert.status != "resolved"]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One event."""
        if method != "POST" or path not in ("/v2/enqueue", "/v2/change/enqueue"):
            return Answer(status=404)
        if self._enforce_rate and not self._within_rate():
            return json_answer({"status": "throttle exceeded", "message": "Requests are too frequent"}, status=429)
        try:
            event = json.loads(body) if len(body) <= BODY_MAX_BYTES else None
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return _invalid(["the event is not a JSON object of at most 512 KB"])
        if event.get("routing_key") != self.routing_key:
            return _invalid(["Invalid routing key"])
        if path == "/v2/change/enqueue":
            return self._change(event)
        if errors := _errors(event):
            return _invalid(errors)
        key = str(event.get("dedup_key") or f"auto-{len(self.events)}")
        self.events.append(event)
        self._apply(event, key)
        accepted = {"status": "success", "message": "Event processed", "dedup_key": key}
        return json_answer(accepted, status=202)

    def _apply(self, event: dict[str, Any], key: str) -> None:
        action = event["event_action"]
        alert = next((a for a in self.alerts if a.dedup_key == key and a.status != "resolved"), None)
        if alert is None and action == "trigger":
            payload = event["payload"]
            alert = Alert(dedup_key=key, summary=payload["summary"], severity=payload["severity"])
            self.alerts.append(alert)
        if alert is None:
            return  # taken, and without effect
        alert.actions.append(action)
        if action != "trigger":
            alert.status = {"acknowledge": "acknowledged", "resolve": "resolved"}[action]

    def _change(self, event: dict[str, Any]) -> Answer:
        payload = event.get("payload")
        if not isinstance(payload, dict) or not 0 < len(str(payload.get("summary") or "")) <= 1024:
            return _invalid(["'payload.summary' is missing or too long"])
        self.changes.append(event)
        return json_answer({"status": "success", "message": "Change event processed"}, status=202)

    def _within_rate(self) -> bool:
        now_s = self._clock()
        while self._taken_s and now_s - self._taken_s[0] >= 60.0:
            self._taken_s.popleft()
        if len(self._taken_s) >= EVENTS_PER_MINUTE:
            return False
        self._taken_s.append(now_s)
        return True


def _errors(event: dict[str, Any]) -> list[str]:
    action, key = event.get("event_action"), event.get("dedup_key")
    errors: list[str] = []
    if not re.fullmatch(r"[A-Za-z0-9]{32}", str(event.get("routing_key"))):
        errors.append("'routing_key' must be 32 characters")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' must be trigger, acknowledge or resolve")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= 255):
        errors.append("'dedup_key' must be a string of at most 255 characters")
    if action in ("acknowledge", "resolve") and key is None:
        errors.append("'dedup_key' is missing")
    if action == "trigger":
        errors += _payload_errors(event.get("payload"))
    if any(not str(image.get("src", "")).startswith("https://") for image in event.get("images", [])):
        errors.append("'images[].src' must be https")
    return errors


def _payload_errors(payload: object) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing"]
    errors: list[str] = []
    if not 0 < len(str(payload.get("summary") or "")) <= 1024:
        errors.append("'payload.summary' is missing or longer than 1024")
    if not payload.get("source"):
        errors.append("'payload.source' is missing")
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        errors.append("'payload.severity' must be critical, error, warning or info")
    return errors


def _invalid(errors: list[str]) -> Answer:
    told = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return json_answer(told, status=400)
