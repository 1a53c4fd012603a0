"""The scale-down webhook: the contract's body, signed, expiring, carried out once."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from alerts.notices import Outcome, Receipt
from alerts.secrets import Secret
from alerts.targets.addresses import AddressRefused
from alerts.targets.signature import SignatureError
from alerts.targets.webhook import WebhookTarget
from console.fakes.receiver import SECRET, FakeReceiver
from tests.alerts.samples import ACTION, NOW

BODY = {
    "type": "scale_down.execute",
    "version": 1,
    "action_id": "act_0000000000000001",
    "expires_at": "2026-11-23T21:20:00Z",
    "dry_run": False,
    "workload": "prod-eu/llm-serving/llama70b",
    "team": "search",
    "target": {
        "kind": "Deployment",
        "namespace": "llm-serving",
        "name": "llama70b",
        "cluster": "prod-eu",
        "observed_generation": "7",
    },
    "change": {"replicas": {"from": 4, "to": 0}},
    "undo": {"replicas": {"from": 0, "to": 4}},
    "reason": {
        "kind": "idle",
        "idle_s": 7200.0,
        "usd_per_hour": 16.0,
        "usd_so_far": 32.0,
        "evidence": {"idle_s": 7200.0, "power_w": 71.0, "usd_so_far": 32.0, "observed_generation": 7.0},
    },
    "approved_by": "slack:U024BE7LH",
    "incident_id": ACTION.incident_id,
    "incident_url": f"https://emberwatch.example/incidents/{ACTION.incident_id}",
}
APPROVED = replace(ACTION, approved_by="slack:U024BE7LH")


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(clock=NOW.timestamp) as server:
        yield server


@pytest.fixture
def target(receiver: FakeReceiver) -> Iterator[WebhookTarget]:
    made = target_at(receiver.url + "/hooks/scale")
    yield made
    made.close()


def target_at(url: str, *, secrets: tuple[str, ...] = (SECRET,), timeout_s: float = 4.0) -> WebhookTarget:
    return WebhookTarget(
        url=url,
        secrets=tuple(Secret(secret) for secret in secrets),
        link_base="https://emberwatch.example",
        allow_insecure_loopback=True,
        timeout_s=timeout_s,
    )


def test_the_body_is_that_of_the_contract(receiver: FakeReceiver, target: WebhookTarget) -> None:
    receipt = target.execute(APPROVED, dry_run=False, now=NOW)
    assert receipt == Receipt(outcome=Outcome.DELIVERED, reference=ACTION.action_id)
    assert receiver.received == {ACTION.action_id: [BODY]}


def test_what_is_not_known_is_null(receiver: FakeReceiver, target: WebhookTarget) -> None:
    target.execute(replace(ACTION, evidence={}, expires_at=None, team=None), dry_run=False, now=NOW)
    (body,) = receiver.received[ACTION.action_id]
    assert (body["target"]["observed_generation"], body["team"], body["approved_by"]) == (None, None, None)
    assert body["expires_at"] == "2026-11-23T21:10:00Z"


def test_a_repeat_is_carried_out_once(receiver: FakeReceiver, target: WebhookTarget) -> None:
    for kind in ("500_after", "reset_after", "timeout_after", ""):
        receiver.fail_next(kind)
        target.execute(APPROVED, dry_run=False, now=NOW)
    assert receiver.received == {ACTION.action_id: [BODY] * 4}
    assert [done.action_id for done in receiver.executed] == [ACTION.action_id]


def test_a_rehearsal_changes_nothing_and_does_not_use_up_the_id(receiver: FakeReceiver, target: WebhookTarget) -> None:
    target.execute(ACTION, dry_run=True, now=NOW)
    assert (len(receiver.rehearsed), receiver.executed) == (1, [])
    target.execute(ACTION, dry_run=False, now=NOW)
    assert len(receiver.executed) == 1


def test_an_undo_asks_for_the_replicas_back(receiver: FakeReceiver, target: WebhookTarget) -> None:
    assert target.undo(APPROVED, dry_run=False, now=NOW).outcome == Outcome.DELIVERED
    assert receiver.received == {
        f"{ACTION.action_id}_undo": [
            BODY
            | {
                "type": "scale_down.undo",
                "change": BODY["undo"],
                "undo": BODY["change"],
                "expires_at": "2026-11-23T21:10:00Z",
                "target": BODY["target"] | {"observed_generation": None},
            }
        ]
    }


def test_an_undo_is_taken_though_the_stop_has_changed_its_target(receiver: FakeReceiver, target: WebhookTarget) -> None:
    receiver.generations[ACTION.workload] = "7"
    assert target.execute(APPROVED, dry_run=False, now=NOW).outcome == Outcome.DELIVERED
    receiver.generations[ACTION.workload] = "8"
    assert target.undo(APPROVED, dry_run=False, now=NOW).outcome == Outcome.DELIVERED
    assert [request.type for request in receiver.executed] == ["scale_down.execute", "scale_down.undo"]


def test_an_expired_action_is_not_sent(receiver: FakeReceiver, target: WebhookTarget) -> None:
    late = target.execute(ACTION, dry_run=False, now=NOW + timedelta(minutes=20))
    assert late == Receipt(outcome=Outcome.REFUSED, detail="the action has expired; nothing was sent")
    assert receiver.requests_seen == 0


@pytest.mark.parametrize(
    ("kind", "receipt"),
    [
        ("429:30", Receipt(outcome=Outcome.RETRY, retry_after_s=30.0, detail="the receiver answered 429")),
        ("503_before", Receipt(outcome=Outcome.RETRY, detail="the receiver answered 503")),
        ("timeout_after", Receipt(outcome=Outcome.RETRY, detail="no answer from the receiver (ReadTimeout)")),
        ("reset_after", Receipt(outcome=Outcome.RETRY, detail="no answer from the receiver (ReadError)")),
        (
            "status:410",
            Receipt(outcome=Outcome.REFUSED, detail="the receiver is gone (410); disable this target"),
        ),
        ("status:404", Receipt(outcome=Outcome.REFUSED, detail="the receiver refused the request (404)")),
        (
            "redirect:http://169.254.169.254/",
            Receipt(outcome=Outcome.REFUSED, detail="the receiver redirects (302); give its final address"),
        ),
        ("big", Receipt(outcome=Outcome.DELIVERED, reference=ACTION.action_id)),
    ],
)
def test_each_answer_has_its_meaning(
    receiver: FakeReceiver, target: WebhookTarget, kind: str, receipt: Receipt
) -> None:
    receiver.fail_next(kind)
    assert target.execute(ACTION, dry_run=False, now=NOW) == receipt
    assert receiver.requests_seen == 1


def test_a_changed_target_and_a_wrong_secret_are_refused(receiver: FakeReceiver, target: WebhookTarget) -> None:
    receiver.generations[ACTION.workload] = "8"
    assert target.execute(ACTION, dry_run=False, now=NOW).detail == "the receiver refused the request (409)"
    stranger = target_at(receiver.url, secrets=("whsec_" + "A" * 32,))
    assert stranger.execute(ACTION, dry_run=False, now=NOW).detail == "the receiver refused the request (401)"
    stranger.close()
    assert receiver.executed == []


def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    target = target_at(f"http://127.0.0.1:{port}/")
    assert target.execute(ACTION, dry_run=False, now=NOW).outcome == Outcome.RETRY
    target.close()


def test_the_connection_goes_to_the_address_that_was_checked_under_the_name_that_was_given() -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    target = WebhookTarget(
        url="https://hooks.example:8443/scale?x=1",
        secrets=(Secret(SECRET),),
        transport=httpx.MockTransport(take),
        resolve=lambda host, port: ["93.184.216.34"],
    )
    now = datetime.now(UTC)
    assert target.execute(replace(ACTION, expires_at=now + timedelta(minutes=1)), dry_run=False, now=now).outcome == (
        Outcome.DELIVERED
    )
    (request,) = seen
    assert str(request.url) == "https://93.184.216.34:8443/scale?x=1"
    assert request.headers["host"] == "hooks.example:8443"
    assert request.extensions["sni_hostname"] == "hooks.example"
    assert Webhook(SECRET).verify(request.content, dict(request.headers))["action_id"] == ACTION.action_id
    target.close()


def test_an_inner_address_behind_a_public_name_is_refused() -> None:
    asked: list[httpx.Request] = []
    target = WebhookTarget(
        url="https://hooks.example/",
        secrets=(Secret(SECRET),),
        transport=httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(202)),
        resolve=lambda host, port: ["169.254.169.254"],
    )
    refused = target.execute(ACTION, dry_run=False, now=NOW)
    assert (refused.outcome, asked) == (Outcome.REFUSED, [])
    assert "not public" in refused.detail
    target.close()


def test_a_host_that_cannot_be_resolved_is_tried_again() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    target = WebhookTarget(url="https://hooks.example/", secrets=(Secret(SECRET),), resolve=resolve)
    assert target.execute(ACTION, dry_run=False, now=NOW) == Receipt(
        outcome=Outcome.RETRY, detail="no answer from the receiver (gaierror)"
    )
    target.close()


def test_the_body_stays_below_its_limit_with_the_longest_evidence(
    receiver: FakeReceiver, target: WebhookTarget
) -> None:
    wordy = replace(ACTION, evidence={f"figure_{i}_{'x' * 100}": 1.0 for i in range(500)})
    assert target.execute(wordy, dry_run=False, now=NOW).outcome == Outcome.DELIVERED
    (body,) = receiver.received[ACTION.action_id]
    assert body["reason"]["evidence"] == {}
    assert len(json.dumps(body)) < 20_000


def test_unusable_urls_and_secrets_are_refused_at_the_start() -> None:
    with pytest.raises(AddressRefused):
        WebhookTarget(url="http://hooks.example/", secrets=(Secret(SECRET),))
    with pytest.raises(SignatureError):
        WebhookTarget(url="https://hooks.example/", secrets=(Secret("whsec_c2hvcnQ="),))
    with pytest.raises(SignatureError, match="at least one secret"):
        WebhookTarget(url="https://hooks.example/", secrets=())


def test_secrets_are_seen_nowhere(
    receiver: FakeReceiver, target: WebhookTarget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [repr(target)]
    for kind in ("", "500_before", "reset_after", "timeout_after", "status:410", "429:x"):
        receiver.fail_next(kind)
        said.append(repr(target.execute(ACTION, dry_run=False, now=NOW)))
    assert SECRET.removeprefix("whsec_") not in "".join(said) + caplog.text
    assert "/hooks/scale" not in "".join(said) + caplog.text
