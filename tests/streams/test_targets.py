from datetime import timedelta

import pytest
from msgspec import json

from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.scale_down import ActionStep
from alerts.secrets import Secret
from alerts.targets.webhook import WebhookTarget
from console.fakes.receiver import SECRET, FakeReceiver
from streams.targets import TargetChannel
from tests.store.samples import NOON, action

STANDS = action(ActionStep.EXECUTED, expires_at=NOON + timedelta(minutes=30))


def order(body: bytes | None = None) -> Notice:
    return Notice(
        notice_id="act_a:execute",
        channel="target:webhook",
        subject="action",
        subject_id="act_a",
        transition=4,
        step=ActionStep.EXECUTED,
        reason=Reason.ACTION_DONE,
        title="$8.10/h",
        at=NOON,
        body=json.encode(STANDS) if body is None else body,
    )


def channel(receiver: FakeReceiver, *, idle: bool = True) -> TargetChannel:
    target = WebhookTarget(url=receiver.url, secrets=(Secret(SECRET),), allow_insecure_loopback=True)
    return TargetChannel("target:webhook", target, still_idle=lambda action, now: idle, clock=lambda: NOON)


def receiver() -> FakeReceiver:
    return FakeReceiver(clock=NOON.timestamp)


def test_an_order_that_still_holds_is_carried_out_once_however_often_it_is_sent():
    with receiver() as there:
        way = channel(there)
        outcomes = [way.send(order(), None).outcome for _ in range(3)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert [request.action_id for request in there.executed] == ["act_a"]
    assert [len(bodies) for bodies in there.received.values()] == [3]


def test_an_order_whose_evidence_has_gone_is_refused_and_nothing_is_sent():
    with receiver() as there:
        receipt = channel(there, idle=False).send(order(), None)

    assert receipt == Receipt(
        outcome=Outcome.REFUSED, detail="no longer idle on fresh evidence, or paused: nothing was sent"
    )
    assert there.requests_seen == 0


@pytest.mark.parametrize("body", [b"", b"{}", b'{"action_id":7}', b"\xff"])
def test_an_order_that_cannot_be_read_is_refused_and_nothing_is_sent(body):
    with receiver() as there:
        receipt = channel(there).send(order(body), None)

    assert receipt == Receipt(outcome=Outcome.REFUSED, detail="the order's body cannot be read")
    assert there.requests_seen == 0


def test_an_order_of_which_nothing_is_known_is_sent_again():
    target = WebhookTarget(url="https://scaler.example", secrets=(Secret(SECRET),))
    way = TargetChannel("target:webhook", target, still_idle=lambda action, now: True, clock=lambda: NOON)

    assert way.find(order(), None) == Receipt(outcome=Outcome.RETRY)


def test_the_evidence_is_asked_at_every_attempt():
    answers = [True, False]
    with receiver() as there:
        there.fail_next("500_before")
        target = WebhookTarget(url=there.url, secrets=(Secret(SECRET),), allow_insecure_loopback=True)
        way = TargetChannel("target:webhook", target, still_idle=lambda action, now: answers.pop(0), clock=lambda: NOON)
        outcomes = [way.send(order(), None).outcome for _ in range(2)]

    assert outcomes == [Outcome.RETRY, Outcome.REFUSED]
    assert there.executed == []
