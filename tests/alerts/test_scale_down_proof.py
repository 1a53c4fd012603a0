"""Lost telemetry alone proves nothing: an accelerator with another owner does, or silence amid voices."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from alerts.scale_down import ActionStep, Look, Traces, Why
from tests.alerts.test_scale_down import AUTO, LOOK, ask, at_step, minute

EXECUTED = at_step(
    ActionStep.EXECUTED, at=minute(120), executed_at=minute(120), expires_at=minute(150), waiting="waiting_for_proof"
)
SILENT = replace(LOOK, state="unknown", gpus=4, fresh_age_s=900.0)
UNMOVED = Traces(owned_gpus=4, moved_gpus=0, last_seen_at=minute(121), heard_until=minute(122))
VANISHED = Traces(
    owned_gpus=4, moved_gpus=0, last_seen_at=minute(121), heard_until=minute(137), others_heard=96, order_delivered=True
)


def answer(at: float, look: Look = SILENT, traces: Traces | None = UNMOVED) -> tuple[ActionStep | None, Why]:
    decision = ask(AUTO, EXECUTED, at, look=replace(look, traces=traces), paused=True)
    return decision.step, decision.reason


@pytest.mark.parametrize("look", [LOOK, SILENT, replace(LOOK, gpus=3), replace(LOOK, gpus=0), replace(SILENT, gpus=0)])
def test_what_is_heard_less_of_is_not_proven_to_have_stopped(look: Look):
    assert answer(125, look) == (None, Why.WAITING_FOR_PROOF)
    assert answer(125, look, None) == (None, Why.WAITING_FOR_PROOF)
    assert answer(150, look) == (ActionStep.FAILED, Why.NOT_SEEN_TO_STOP)


def test_an_accelerator_with_another_owner_proves_it():
    moved = Traces(owned_gpus=1, moved_gpus=3, last_seen_at=minute(121), heard_until=None)

    decision = ask(AUTO, EXECUTED, 125, look=replace(SILENT, traces=moved))

    assert (decision.step, decision.reason) == (ActionStep.VERIFIED, Why.GPUS_GONE)
    assert decision.action.evidence == {"accelerators_before": 4.0, "accelerators_left": 1.0, "seen_elsewhere": 3.0}
    assert (decision.action.expires_at, decision.action.waiting) == (None, "")


def test_what_its_own_partition_still_sees_is_its_own():
    shared = Traces(owned_gpus=0, moved_gpus=4, last_seen_at=minute(125), heard_until=None)

    assert answer(125, LOOK, shared) == (None, Why.WAITING_FOR_PROOF)
    assert answer(125, replace(LOOK, gpus=0), shared) == (ActionStep.VERIFIED, Why.GPUS_GONE)


def test_fewer_of_its_own_without_another_owner_is_no_proof():
    assert answer(125, SILENT, replace(UNMOVED, owned_gpus=2)) == (None, Why.WAITING_FOR_PROOF)


def test_all_of_it_silent_amid_others_after_an_accepted_order_proves_it():
    decision = ask(AUTO, EXECUTED, 140, look=replace(SILENT, traces=VANISHED))

    assert (decision.step, decision.reason) == (ActionStep.VERIFIED, Why.GPUS_VANISHED)
    assert decision.action.evidence == {
        "accelerators_before": 4.0,
        "accelerators_left": 0.0,
        "silent_s": 960.0,
        "others_heard_in_cluster": 96.0,
    }


@pytest.mark.parametrize(
    "otherwise",
    [
        {"order_delivered": False},
        {"others_heard": 0, "heard_until": None},
        {"last_seen_at": None},
        {"last_seen_at": minute(122)},  # silent for 15 minutes, and not longer
        {"heard_until": minute(135)},
        {"heard_until": minute(127), "last_seen_at": minute(100)},  # silent for 27 minutes, 7 of them since the order
    ],
)
def test_silence_that_has_another_explanation_proves_nothing(otherwise: dict[str, object]):
    assert answer(140, SILENT, replace(VANISHED, **otherwise)) == (None, Why.WAITING_FOR_PROOF)


def test_silence_proves_nothing_while_the_others_are_not_heard_lately_or_it_answers_requests():
    late: datetime = minute(137) + timedelta(seconds=AUTO.fresh_within_s + 301)
    decision = ask(AUTO, EXECUTED, (late - minute(0)).total_seconds() / 60, look=replace(SILENT, traces=VANISHED))

    assert (decision.step, decision.reason) == (None, Why.WAITING_FOR_PROOF)
    assert answer(140, replace(LOOK, state="busy", gpus=0), VANISHED) == (None, Why.WAITING_FOR_PROOF)
