from datetime import timedelta

import pytest

from alerts.scale_down import ActionStep, Mode
from console.controls import may_approve, may_keep, may_undo
from tests.store.samples import NOON, action

ALIVE = (ActionStep.WARNED, ActionStep.PROPOSED, ActionStep.APPROVED, ActionStep.RECHECKED)
DONE = (ActionStep.EXECUTED, ActionStep.VERIFIED, ActionStep.FAILED)


@pytest.mark.parametrize("step", list(ActionStep))
def test_a_person_may_say_no_until_it_is_done_take_it_back_after_and_yes_only_to_a_proposal(step):
    shown = action(step, mode=Mode.PROPOSE, expires_at=NOON + timedelta(minutes=10))

    assert may_keep(shown) is (step in ALIVE)
    assert may_approve(shown, NOON) is (step is ActionStep.PROPOSED)
    assert may_undo(shown) is (step in DONE)


def test_a_person_may_say_no_to_what_has_expired_for_it_may_be_asked_again_and_not_yes():
    shown = action(ActionStep.APPROVED, mode=Mode.PROPOSE, expires_at=NOON)
    asked = action(ActionStep.PROPOSED, mode=Mode.PROPOSE, expires_at=NOON)

    assert (may_keep(shown), may_keep(asked), may_approve(asked, NOON)) == (True, True, False)


@pytest.mark.parametrize("step", list(ActionStep))
def test_nothing_is_decided_on_what_is_only_observed(step):
    shown = action(step, mode=Mode.OBSERVE, expires_at=None)

    assert (may_keep(shown), may_approve(shown, NOON), may_undo(shown)) == (False, False, False)
