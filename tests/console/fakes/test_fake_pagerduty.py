"""The stand-in for PagerDuty keeps PagerDuty's rules."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from console.fakes.pagerduty import ROUTING_KEY, FakePagerDuty

PAYLOAD = {"summary": "s", "source": "x", "severity": "info"}
TRIGGER = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD}


@pytest.fixture
def pagerduty() -> Iterator[FakePagerDuty]:
    with FakePagerDuty() as server:
        yield server


def post(pagerduty: FakePagerDuty, event: Any, path: str = "/v2/enqueue") -> httpx.Response:
    return httpx.post(pagerduty.url + path, json=event, trust_env=False)


def test_one_alert_is_open_for_a_key_and_a_trigger_after_resolve_opens_another(pagerduty: FakePagerDuty) -> None:
    for action in ("trigger", "acknowledge", "trigger", "resolve", "resolve", "trigger"):
        assert post(pagerduty, TRIGGER | {"event_action": action}).status_code == 202
    assert [(a.status, a.actions) for a in pagerduty.alerts] == [
        ("resolved", ["trigger", "acknowledge", "trigger", "resolve"]),
        ("triggered", ["trigger"]),
    ]
    assert pagerduty.open_alerts() == pagerduty.alerts[1:]


@pytest.mark.parametrize(
    "event",
    [
        [],
        TRIGGER | {"routing_key": "R0"},
        TRIGGER | {"event_action": "shout"},
        TRIGGER | {"dedup_key": "k" * 256},
        TRIGGER | {"payload": None},
        TRIGGER | {"payload": PAYLOAD | {"summary": "s" * 1025}},
        TRIGGER | {"payload": PAYLOAD | {"source": ""}},
        TRIGGER | {"payload": PAYLOAD | {"severity": "page"}},
        TRIGGER | {"payload": PAYLOAD | {"custom_details": "x" * 600_000}},
        TRIGGER | {"images": [{"src": "http://x.example/a.png"}]},
        {"routing_key": ROUTING_KEY, "event_action": "resolve"},
    ],
)
def test_what_breaks_a_rule_is_refused_with_400(pagerduty: FakePagerDuty, event: Any) -> None:
    answer = post(pagerduty, event)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert pagerduty.alerts == []


def test_change_events_are_kept_apart(pagerduty: FakePagerDuty) -> None:
    change = {"routing_key": ROUTING_KEY, "payload": {"summary": "s"}}
    assert post(pagerduty, change, "/v2/change/enqueue").status_code == 202
    assert post(pagerduty, change | {"payload": {}}, "/v2/change/enqueue").status_code == 400
    assert post(pagerduty, change, "/v3/enqueue").status_code == 404
    assert (len(pagerduty.changes), pagerduty.alerts) == (1, [])


def test_more_than_120_events_a_minute_are_throttled() -> None:
    now_s = [0.0]
    with FakePagerDuty(enforce_rate=True, clock=lambda: now_s[0]) as pagerduty, httpx.Client(trust_env=False) as client:
        codes = [client.post(pagerduty.url + "/v2/enqueue", json=TRIGGER).status_code for _ in range(121)]
        now_s[0] = 60.0
        codes.append(client.post(pagerduty.url + "/v2/enqueue", json=TRIGGER).status_code)
    assert codes == [202] * 120 + [429, 202]
