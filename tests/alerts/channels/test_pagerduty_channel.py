"""PagerDuty: one alert for each incident, however often it is said."""

import logging
import socket
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from pagerduty.errors import UrlError

from alerts.channels.pagerduty import PagerDutyChannel
from alerts.incidents import Severity
from alerts.notices import Outcome, Reason, Receipt
from alerts.secrets import Secret
from console.fakes.pagerduty import ROUTING_KEY, Alert, FakePagerDuty
from tests.alerts.samples import ACTION, IDLE, notice_of, notice_of_action, notice_of_digest, resolved

LINK_BASE = "https://emberwatch.example/"


@pytest.fixture
def pagerduty() -> Iterator[FakePagerDuty]:
    with FakePagerDuty() as server:
        yield server


@pytest.fixture
def channel(pagerduty: FakePagerDuty) -> Iterator[PagerDutyChannel]:
    made = PagerDutyChannel(
        "pages", routing_key=Secret(ROUTING_KEY), base_url=pagerduty.url, link_base=LINK_BASE, timeout_s=4
    )
    yield made
    made.close()


def test_an_incident_is_triggered_acknowledged_and_resolved_under_its_id(
    pagerduty: FakePagerDuty, channel: PagerDutyChannel
) -> None:
    delivered = Receipt(outcome=Outcome.DELIVERED, reference=IDLE.incident_id)
    for reason in (Reason.FIRST_TIME, Reason.FIRST_TIME, Reason.DOLLARS_DOUBLED, Reason.ACKNOWLEDGED):
        assert channel.send(notice_of(IDLE, reason), None) == delivered
    assert channel.send(notice_of(resolved(IDLE), Reason.RESOLVED), IDLE.incident_id) == delivered
    assert pagerduty.alerts == [
        Alert(
            dedup_key=IDLE.incident_id,
            summary="$16.00/h wasted",
            severity="critical",
            status="resolved",
            actions=["trigger", "trigger", "trigger", "acknowledge", "resolve"],
        )
    ]


def test_workloads_that_share_a_name_without_parts_wake_someone_as_well(
    pagerduty: FakePagerDuty, channel: PagerDutyChannel
) -> None:
    shared = replace(IDLE, workload="__other__")

    assert channel.send(notice_of(shared), None).outcome is Outcome.DELIVERED
    assert pagerduty.events[0]["payload"]["source"] == "__other__"


def test_a_trigger_says_what_where_and_why(pagerduty: FakePagerDuty, channel: PagerDutyChannel) -> None:
    channel.send(notice_of(IDLE), None)
    assert pagerduty.events == [
        {
            "event_action": "trigger",
            "routing_key": ROUTING_KEY,
            "dedup_key": IDLE.incident_id,
            "client": "emberwatch",
            "client_url": f"{LINK_BASE}incidents/{IDLE.incident_id}",
            "links": [{"href": f"{LINK_BASE}incidents/{IDLE.incident_id}", "text": "Incident"}],
            "payload": {
                "summary": "$16.00/h wasted",
                "source": "prod-eu/llm-serving/llama70b",
                "severity": "critical",
                "timestamp": "2026-11-23T20:13:00+00:00",
                "component": "llama70b",
                "group": "llm-serving",
                "class": "idle",
                "custom_details": {
                    "why": (
                        "4x NVIDIA H100 of prod-eu/llm-serving/llama70b: memory is held and no work is done, for "
                        "47 min (idle 47 min, utilisation 0.4 %, power 71 W, tokens 0)."
                    ),
                    "what_changed": "20:05 deploy v41: image llama70b:2026-11-23",
                    "team": "search",
                    "cause": "memory_held",
                    "usd_per_hour": 16.0,
                    "usd_so_far": 12.53,
                },
            },
        }
    ]


@pytest.mark.parametrize(
    ("severity", "theirs"), [(Severity.PAGE, "critical"), (Severity.WARN, "warning"), (Severity.INFO, "info")]
)
def test_severities_are_translated(
    pagerduty: FakePagerDuty, channel: PagerDutyChannel, severity: Severity, theirs: str
) -> None:
    channel.send(notice_of(replace(IDLE, severity=severity)), None)
    assert [alert.severity for alert in pagerduty.alerts] == [theirs]


def test_long_and_hostile_names_are_taken(pagerduty: FakePagerDuty, channel: PagerDutyChannel) -> None:
    hostile = replace(IDLE, workload=f"a/\u202e{'n' * 300}/{'x' * 300}", team="t" * 5000)
    assert channel.send(notice_of(hostile, title="$\u202e\x00" * 2000), None).outcome == Outcome.DELIVERED
    assert len(pagerduty.alerts[0].summary) == 1024
    assert not set(pagerduty.alerts[0].summary) & set("\u202e\x00")


@pytest.mark.parametrize(
    ("kind", "receipt"),
    [
        ("429:30", Receipt(outcome=Outcome.RETRY, retry_after_s=30.0, detail="PagerDuty answered 429")),
        ("500_before", Receipt(outcome=Outcome.RETRY, detail="PagerDuty answered 500")),
        ("503_after", Receipt(outcome=Outcome.RETRY, detail="PagerDuty answered 503")),
        ("timeout_after", Receipt(outcome=Outcome.RETRY, detail="no answer from PagerDuty")),
        ("reset_after", Receipt(outcome=Outcome.RETRY, detail="no answer from PagerDuty")),
        (
            "status:401",
            Receipt(outcome=Outcome.REFUSED, detail="PagerDuty answered 401: check the routing key"),
        ),
        (
            "redirect:https://elsewhere.example/",
            Receipt(outcome=Outcome.REFUSED, detail="PagerDuty answered 302: check the address (pagerduty base_url)"),
        ),
    ],
)
def test_each_answer_has_its_meaning_and_no_retry_of_its_own(
    pagerduty: FakePagerDuty, channel: PagerDutyChannel, kind: str, receipt: Receipt
) -> None:
    pagerduty.fail_next(kind)
    assert channel.send(notice_of(IDLE), None) == receipt
    assert pagerduty.requests_seen == 1
    assert channel.find(notice_of(IDLE), None).outcome == Outcome.RETRY
    assert channel.send(notice_of(IDLE), None).outcome == Outcome.DELIVERED
    assert len(pagerduty.alerts) == 1


def test_a_wrong_key_is_refused_with_a_hint_and_shown_nowhere(
    pagerduty: FakePagerDuty, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "R0CANARY" + "7" * 24
    channel = PagerDutyChannel("pages", routing_key=Secret(canary), base_url=pagerduty.url, timeout_s=1)
    said = [repr(channel.send(notice_of(IDLE), None)), repr(channel)]
    for kind in ("500_before", "reset_after", "status:401", "429:1", "redirect:https://elsewhere.example/"):
        pagerduty.fail_next(kind)
        said.append(repr(channel.send(notice_of(IDLE), None)))
    channel.close()
    assert "PagerDuty answered 400: it does not take the event; check that the routing key is" in said[0]
    assert canary[-4:] not in "".join(said)
    assert canary not in caplog.text
    assert pagerduty.alerts == []


def test_a_scale_down_is_told_as_a_change_that_wakes_nobody(
    pagerduty: FakePagerDuty, channel: PagerDutyChannel
) -> None:
    assert channel.send(notice_of_action(ACTION, Reason.ACTION_DONE), None).outcome == Outcome.DELIVERED
    assert pagerduty.alerts == []
    assert [change["payload"]["summary"] for change in pagerduty.changes] == ["$16.00/h will be stopped"]


def test_a_digest_is_refused_with_a_hint(channel: PagerDutyChannel) -> None:
    assert channel.send(notice_of_digest(), None) == Receipt(
        outcome=Outcome.REFUSED, detail="PagerDuty takes no digest; route it to mail or Slack"
    )


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    channel = PagerDutyChannel("pages", routing_key=Secret(ROUTING_KEY), base_url=f"http://127.0.0.1:{port}")
    assert channel.send(notice_of(IDLE), None).outcome == Outcome.RETRY
    channel.close()


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(UrlError, match="must begin with https://"):
        PagerDutyChannel("pages", routing_key=Secret(ROUTING_KEY), base_url="http://events.example")
