"""What people read of a scale-down."""

import json

import pytest
from msgspec.structs import replace

from alerts.action_messages import action_blocks, action_sentence, action_text, action_title
from alerts.scale_down import ActionStep, Mode
from console.fakes.slack_rules import fault
from tests.alerts.samples import ACTION

TAIL = ": prod-eu/llm-serving/llama70b, 4 to 0 replicas, 4 GPUs (team search)"


def test_each_step_says_what_becomes_of_the_money() -> None:
    said = {step: action_title(replace(ACTION, step=step)).removesuffix(TAIL) for step in ActionStep}
    assert said == {
        ActionStep.WARNED: "$16.00/h will be stopped",
        ActionStep.PROPOSED: "$16.00/h can be saved",
        ActionStep.APPROVED: "$16.00/h stop approved",
        ActionStep.KEPT: "$16.00/h kept running",
        ActionStep.RECHECKED: "$16.00/h still wasted at the second look",
        ActionStep.EXECUTED: "$16.00/h stop requested",
        ActionStep.VERIFIED: "$16.00/h saved, seen in the telemetry",
        ActionStep.FAILED: "$16.00/h still wasted, the stop failed",
        ActionStep.UNDONE: (
            "$16.00/h running again: prod-eu/llm-serving/llama70b, 0 to 4 replicas, 4 GPUs (team search)"
        ),
    }


@pytest.mark.parametrize(("replicas", "words"), [(1, "1 replica"), (4, "4 replicas")])
def test_what_was_stopped_says_how_to_take_it_back(replicas: int, words: str) -> None:
    done = replace(ACTION, step=ActionStep.VERIFIED, replicas_from=replicas)
    told = f"To bring back {words}: Undo on the actions page, or `emberwatch actions undo {ACTION.action_id}`."
    assert told in " ".join(action_text(done).split())


def test_in_observe_mode_nothing_is_said_to_be_done() -> None:
    watched = replace(ACTION, mode=Mode.OBSERVE, step=ActionStep.EXECUTED)
    assert action_title(watched) == f"$16.00/h would have been stopped{TAIL}"
    assert "Nothing is changed: the mode is observe." in action_text(watched)


def test_in_propose_mode_a_warning_promises_nothing() -> None:
    asking = replace(ACTION, mode=Mode.PROPOSE, reason="idle_long_enough")
    assert action_title(asking) == f"$16.00/h could be saved{TAIL}"
    assert action_sentence(asking).startswith("Idle long enough (idle 2 h, power 71 W). ")


def test_a_question_in_auto_mode_does_not_promise_that_silence_means_no() -> None:
    asked = replace(ACTION, step=ActionStep.PROPOSED, expires_at=None)

    assert "stopped without an answer" in action_text(asked)
    assert "unless a person approves" in action_text(replace(asked, mode=Mode.PROPOSE))


def test_who_kept_it_is_not_said_to_have_approved() -> None:
    decided = replace(ACTION, approved_by="web:ann")

    assert "Kept by: web:ann" in action_text(replace(decided, step=ActionStep.KEPT))
    assert "Approved by: web:ann" in action_text(replace(decided, step=ActionStep.EXECUTED))


def test_an_action_without_a_price_names_no_dollars() -> None:
    assert "$" not in action_text(replace(ACTION, usd_per_hour=0.0))


def test_the_text_says_why_and_what_comes_next() -> None:
    assert action_text(ACTION) == "\n".join(
        (
            f"$16.00/h will be stopped{TAIL}",
            "",
            "Workload: prod-eu/llm-serving/llama70b",
            "Saves: $16.00/h ($384.00/day)",
            "Change: 4 to 0 replicas, 4 GPUs",
            "Mode: auto",
            "Team: search",
            "",
            "Idle by utilisation and by power (idle 2 h, power 71 W). "
            "Before anything is stopped it is looked at once more, and a person can keep it running.",
            "",
            "act_0000000000000001 of inc_idle0000000000, data to 2026-11-23 21:00 UTC",
        )
    )


@pytest.mark.parametrize("step", ActionStep)
def test_the_blocks_keep_slacks_limits_with_hostile_names(step: ActionStep) -> None:
    hostile = replace(
        ACTION,
        step=step,
        workload="a/b/<!channel>" + "x" * 600,
        team="<!here>",
        reason="<b>" * 400,
        approved_by="`<@U1>`",
    )
    blocks = action_blocks(hostile, link=None)
    assert fault({"text": "x", "blocks": blocks}) is None
    assert "<" not in json.dumps(blocks)
