"""Actions: every step is on record once, and of two who decide at once one is told no."""

from alerts.scale_down import ActionStep
from store.actions import ActionStepRow, Pause
from store.facts import Facts, StatusRow, WorkloadState
from store.store import Store
from tests.store.samples import CHAT, HOUR, MINUTE, NOON, action, commit, notice


def test_an_action_comes_back_whole_as_it_stands(store: Store) -> None:
    executed = action(ActionStep.EXECUTED, at=NOON + MINUTE, approved_by="ada", expires_at=NOON + HOUR, transition=1)
    store.save_action(action(ActionStep.WARNED))
    store.save_action(executed)

    assert store.action("act_a") == executed
    assert store.action_for("inc_a") == executed
    assert (store.action("act_b"), store.action_for("inc_b")) == (None, None)


def test_each_step_is_recorded_once_with_its_reason(store: Store) -> None:
    warned = action(ActionStep.WARNED)
    kept = action(ActionStep.KEPT, at=NOON + MINUTE, reason="nightly job", approved_by="ada")
    for step in (warned, warned, kept):
        store.save_action(step, [notice("warned", subject="action", subject_id="act_a")])

    assert store.action_steps("act_a") == [
        ActionStepRow(action_id="act_a", step=ActionStep.WARNED, at=NOON, reason="idle for 2 h", approved_by=None),
        ActionStepRow(
            action_id="act_a", step=ActionStep.KEPT, at=NOON + MINUTE, reason="nightly job", approved_by="ada"
        ),
    ]
    assert [entry.notice.notice_id for entry in store.notices(10)] == ["warned"]


def test_who_decides_second_is_told_no(store: Store) -> None:
    store.save_action(action(ActionStep.PROPOSED))

    assert store.save_action(action(ActionStep.KEPT), after=ActionStep.PROPOSED)
    assert not store.save_action(action(ActionStep.APPROVED), [notice("no")], after=ActionStep.PROPOSED)

    assert store.action("act_a") == action(ActionStep.KEPT)
    assert [row.step for row in store.action_steps("act_a")] == [ActionStep.PROPOSED, ActionStep.KEPT]
    assert store.notices(10) == []


def test_an_action_that_is_not_there_has_no_step_to_follow(store: Store) -> None:
    assert not store.save_action(action(ActionStep.APPROVED), after=ActionStep.PROPOSED)
    assert store.list_actions(10) == []


def test_an_earlier_transition_changes_nothing(store: Store) -> None:
    assert store.save_action(action(ActionStep.EXECUTED, transition=3))
    assert not store.save_action(action(ActionStep.WARNED, transition=0))
    assert store.action("act_a") == action(ActionStep.EXECUTED, transition=3)


def test_open_actions_are_those_with_a_step_to_take(store: Store) -> None:
    every = [
        action(step, action_id=f"act_{step}", incident_id=f"inc_{step}", at=NOON + number * MINUTE)
        for number, step in enumerate(ActionStep)
    ]
    for one in every:
        store.save_action(one)

    done = {ActionStep.KEPT, ActionStep.VERIFIED, ActionStep.FAILED, ActionStep.UNDONE}
    assert store.open_actions() == [one for one in every if one.step not in done]
    assert store.actions_since(NOON + 7 * MINUTE) == every[7:]
    assert store.list_actions(2) == [every[8], every[7]]


def test_actions_are_paused_until_people_let_them_go_on(store: Store) -> None:
    assert store.paused() is False
    store.set_paused(True, "ada", NOON)
    assert store.paused() is True
    store.set_paused(False, "bob", NOON + HOUR)
    assert store.paused() is False


def test_who_paused_last_is_kept(store: Store) -> None:
    never = store.pause()
    store.set_paused(True, "breaker", NOON)
    store.set_paused(False, "ana", NOON + MINUTE)

    assert never == Pause(paused=False)
    assert store.pause() == Pause(paused=False, by="ana", at=NOON + MINUTE)


def test_why_it_waits_is_kept_with_the_action_and_is_no_step(store: Store) -> None:
    proposed = action(ActionStep.PROPOSED, transition=1)
    store.save_action(proposed)

    store.note_waiting(proposed, "gpu_limit")

    assert store.action("act_a") == action(ActionStep.PROPOSED, transition=1, waiting="gpu_limit")
    assert [row.step for row in store.action_steps("act_a")] == [ActionStep.PROPOSED]


def test_why_it_waited_is_not_noted_once_it_has_gone_on(store: Store) -> None:
    proposed, approved = action(ActionStep.PROPOSED), action(ActionStep.APPROVED, transition=1)
    store.save_action(proposed)
    store.save_action(approved)

    store.note_waiting(proposed, "not_approved")

    assert store.action("act_a") == approved


def test_an_unchanged_reason_to_wait_writes_nothing(store: Store) -> None:
    known, kept = action(ActionStep.PROPOSED, waiting="paused"), action(ActionStep.PROPOSED, waiting="gpu_limit")
    store.save_action(kept)  # so that a write of what is known already would show

    store.note_waiting(known, "paused")

    assert store.action("act_a") == kept


def test_a_verified_action_takes_the_accelerators_out_of_the_status(store: Store) -> None:
    idle = StatusRow(workload=CHAT, team=None, at=NOON, state=WorkloadState.IDLE, usd_per_hour=8.1, devices=2)
    stopped = StatusRow(workload=CHAT, team=None, at=NOON, state=WorkloadState.UNKNOWN, usd_per_hour=0.0)
    commit(store, Facts(statuses=[idle]))

    store.save_action(action(ActionStep.VERIFIED), statuses=[stopped])

    assert store.statuses() == [stopped]
