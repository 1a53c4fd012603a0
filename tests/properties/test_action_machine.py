"""Scale-down through crashes, lost answers and people who change their minds."""

import pytest

from alerts.scale_down import Mode
from store.facts import WorkloadState
from tests.properties.acting import ActionMachine
from tests.properties.action_parts import DEATHS, TARGET, TURNS, WORKLOADS
from tests.support.hypothesis_profiles import effort


def ends_well(machine: ActionMachine) -> None:
    """All that must hold, now and once every order has ended."""
    machine.every_order_was_right_when_it_came()
    machine.an_action_is_ordered_once()
    machine.steps_go_one_way()
    machine.teardown()


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.PROPOSE])
@pytest.mark.parametrize("turned", TURNS)
def test_whatever_comes_between_the_look_the_step_and_the_order_no_wrong_order_is_given(mode, turned):
    for dies in DEATHS:
        machine = ActionMachine()
        machine.begin(mode)
        machine.come_to_an_order(["retry"], True, turned, dies)
        if turned is not WorkloadState.IDLE or dies != "kept":
            assert bool(machine.receiver.stopped) == (turned is WorkloadState.IDLE), dies
        ends_well(machine)


@pytest.mark.parametrize("after", [5, 60])
def test_what_a_person_keeps_is_kept_though_it_works_for_a_while_and_is_idle_again(after: int):
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    machine.go_on(3)
    for which in range(2):
        machine.keep(which)
    machine.keep_what_then_works_for_a_while(0, after)
    machine.go_on(2)
    assert machine.receiver.stopped == {}
    ends_well(machine)


def test_an_approval_does_not_outlive_its_hour():
    machine = ActionMachine()
    machine.begin(Mode.PROPOSE)
    machine.go_on(5)
    for which in range(2):
        machine.approve(which)
    machine.wait(180, False)
    machine.go_on(6)
    assert len(machine.approved) == 2
    assert machine.receiver.stopped == {}
    ends_well(machine)


def test_nothing_is_stopped_of_which_nobody_could_be_warned():
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    machine.deaf = True
    machine._start()
    for _ in range(3):
        machine.go_on(10)
    assert (machine.store.notices(99, channel=TARGET), machine.receiver.stopped) == ([], {})
    machine.deaf = False
    machine._start()
    ends_well(machine)


def test_left_alone_in_auto_mode_an_idle_workload_is_stopped_once():
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    for _ in range(4):
        machine.go_on(10)

    assert sorted(machine.receiver.stopped.values()) == sorted(WORKLOADS)
    assert len(machine.receiver.wire.seen) == 2
    machine.teardown()


def test_a_lost_answer_is_asked_for_again_under_the_same_id():
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    machine.misbehave(["answer lost", "retry"])
    for _ in range(2):
        machine.go_on(10)

    first, second, third = [one.notice_id for one in machine.receiver.wire.seen]
    assert first == second
    assert {first, third} == set(machine.receiver.stopped)
    machine.teardown()


ActionMachine.TestCase.settings = effort(15, steps=20)
TestActions = ActionMachine.TestCase
