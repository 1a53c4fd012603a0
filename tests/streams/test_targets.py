from datetime import timedelta

import pytest
from msgspec import json
from msgspec.structs import replace

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


def channel(receiver: FakeReceiver, *, idle: bool = True, acted: bool = True) -> TargetChannel:
    target = WebhookTarget(url=receiver.url, secrets=(Secret(SECRET),), allow_insecure_loopback=True)
    return TargetChannel(
        "target:webhook",
        target,
        still_idle=lambda action, now: idle,
        may_have_acted=lambda _: acted,
        clock=lambda: NOON,
    )


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
    way = TargetChannel(
        "target:webhook", target, still_idle=lambda *_: True, may_have_acted=lambda _: True, clock=lambda: NOON
    )

    assert way.find(order(), None) == Receipt(outcome=Outcome.RETRY)


def test_the_evidence_is_asked_at_every_attempt():
    answers = [True, False]
    with receiver() as there:
        there.fail_next("500_before")
        target = WebhookTarget(url=there.url, secrets=(Secret(SECRET),), allow_insecure_loopback=True)
        way = TargetChannel(
            "target:webhook",
            target,
            still_idle=lambda *_: answers.pop(0),
            may_have_acted=lambda _: True,
            clock=lambda: NOON,
        )
        outcomes = [way.send(order(), None).outcome for _ in range(2)]

    assert outcomes == [Outcome.RETRY, Outcome.REFUSED]
    assert there.executed == []


def taken_back() -> Notice:
    undone = replace(STANDS, step=ActionStep.UNDONE, transition=STANDS.transition + 1)
    return replace(order(json.encode(undone)), notice_id="act_a:undo", step=ActionStep.UNDONE)


def test_what_was_stopped_is_brought_back_under_an_id_of_its_own_though_it_is_not_idle_any_more():
    with receiver() as there:
        channel(there).send(order(), None)
        outcomes = [channel(there, idle=False).send(taken_back(), None).outcome for _ in range(2)]

    assert outcomes == [Outcome.DELIVERED] * 2
    stopped, back = there.executed
    assert (stopped.type, back.type) == ("scale_down.execute", "scale_down.undo")
    assert (back.change, back.undo) == (stopped.undo, stopped.change)
    assert sorted(there.received) == ["act_a", "act_a_undo"]


def test_what_was_never_stopped_is_not_brought_back():
    with receiver() as there:
        receipt = channel(there, acted=False).send(taken_back(), None)

    assert receipt.outcome is Outcome.REFUSED
    assert there.requests_seen == 0
