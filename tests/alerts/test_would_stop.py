from datetime import timedelta

import pytest
from msgspec.structs import replace

from alerts.regret import Regret, at_most, in_words, sum_up
from alerts.scale_down import ActionStep, Mode
from alerts.would_stop import Outcome, Seen, WouldStop, as_action, follow, would_stop
from tests.alerts.test_scale_down import AUTO, INCIDENT, LOOK, OBSERVE, at_step, minute

PROPOSED = at_step(ActionStep.PROPOSED, mode=Mode.OBSERVE, transition=1)
STOP = WouldStop(
    stop_id="act_a:1",
    action_id="act_a",
    incident_id="inc_a",
    workload="prod/llm/chat",
    team="search",
    at=minute(120),
    usd_per_hour=16.0,
    gpus=4,
    evidence={"power_w": 70.0, "idle_s": 7200.0},
)


def ask(at: float, **given: object) -> WouldStop | None:
    case = {
        "policy": OBSERVE, "incident": INCIDENT, "action": PROPOSED, "look": LOOK, "recent": (), "stops": (),
        "paused": False, **given,
    }  # fmt: skip
    return would_stop(now=minute(at), **case)


def seen(at: float, state: str = "idle", **fields: object) -> Seen:
    since = minute(0) if state == "idle" else None
    return replace(Seen(at=minute(at), state=state, devices=4, idle_since=since), **fields)


def ended(at: float) -> object:
    return replace(INCIDENT, resolved_at=minute(at), updated_at=minute(at + 3))


def test_it_would_stop_when_mode_auto_would():
    assert ask(119) is None
    assert ask(120) == STOP


def test_the_undelivered_warning_of_a_mode_that_tells_nobody_does_not_hold_it_back():
    assert ask(120, look=replace(LOOK, warning_delivered=False)) == STOP


@pytest.mark.parametrize(
    "given",
    [
        {"action": None},
        {"action": at_step(ActionStep.WARNED, mode=Mode.OBSERVE)},
        {"action": at_step(ActionStep.PROPOSED, mode=Mode.PROPOSE)},
        {"look": replace(LOOK, state="busy")},
        {"look": replace(LOOK, state="unknown")},
        {"look": replace(LOOK, families=1)},
        {"look": replace(LOOK, newly_idle_gpus=50)},
        {"look": replace(LOOK, fresh_age_s=3600.0)},
        {"policy": replace(OBSERVE, protected=("prod/*",))},
        {"policy": replace(OBSERVE, selector=(AUTO.selector[0].parse('namespace="other"'),))},
        {"paused": True},
    ],
)
def test_a_rule_that_says_no_to_mode_auto_says_no_here(given):
    assert ask(600, **given) is None


def test_a_limit_is_noted_and_not_obeyed():
    large = replace(LOOK, gpus=6)

    assert ask(120, look=large) == replace(STOP, gpus=6, held_back="gpu_limit")


def test_what_would_have_been_stopped_before_counts_towards_the_limits():
    others = [
        replace(STOP, stop_id=f"act_{n}:1", action_id=f"act_{n}", workload=f"prod/llm/{n}", gpus=1, at=minute(100 + n))
        for n in range(4)
    ]
    free = replace(STOP, held_back="")

    assert ask(120, stops=others, look=replace(LOOK, gpus=1)) == replace(free, gpus=1, held_back="workload_limit")
    held = [replace(one, held_back="gpu_limit") for one in others]
    assert ask(120, stops=held, look=replace(LOOK, gpus=1)) == replace(free, gpus=1)
    assert as_action(others[0]).executed_at == minute(100)


def test_half_an_hour_without_work_is_quiet():
    later = follow(STOP, INCIDENT, seen(140), minute(140))
    judged = follow(later, INCIDENT, seen(150, figures={"then_power_w": 71.0}), minute(152))

    assert later == replace(STOP, quiet_until=minute(140))
    assert judged == replace(
        STOP,
        quiet_until=minute(150),
        outcome=Outcome.QUIET,
        judged_at=minute(152),
        evidence={**STOP.evidence, "then_power_w": 71.0},
    )
    assert judged.would_have_saved_usd == 8.0


def test_work_within_half_an_hour_is_regret_and_saves_nothing():
    back = follow(replace(STOP, quiet_until=minute(140)), ended(141), seen(143, "busy"), minute(144))

    assert (back.outcome, back.ended_at, back.judged_at) == (Outcome.BUSY_AGAIN, minute(141), minute(144))
    assert back.evidence["back_after_s"] == 21 * 60
    assert back.would_have_saved_usd == 0.0


def test_a_burst_that_nobody_looked_at_is_known_from_the_incident_that_it_ended():
    burst = follow(STOP, ended(140), seen(146, "idle", idle_since=minute(142)), minute(147))

    assert (burst.outcome, burst.ended_at) == (Outcome.BUSY_AGAIN, minute(140))


def test_work_that_came_before_the_stop_was_thought_of_counts_at_once():
    assert follow(STOP, ended(119), seen(121, "busy"), minute(122)).ended_at == STOP.at


def test_work_after_the_half_hour_ends_the_saving():
    quiet = replace(STOP, outcome=Outcome.QUIET, judged_at=minute(152), quiet_until=minute(150))

    back = follow(quiet, ended(240), seen(242, "busy"), minute(243))

    assert (back.outcome, back.ended_at, back.judged_at) == (Outcome.QUIET, minute(240), minute(152))
    assert back.would_have_saved_usd == 32.0
    assert follow(back, INCIDENT, seen(300, "busy"), minute(300)) is back


def test_accelerators_that_were_given_up_are_no_regret():
    gone = follow(STOP, ended(135), seen(135, "unknown", devices=0), minute(152))
    silent = follow(STOP, ended(135), seen(135, "unknown"), minute(152))

    assert (gone.outcome, gone.ended_at, gone.evidence["gone_after_s"]) == (Outcome.GONE, minute(135), 900.0)
    assert silent.outcome is Outcome.GONE


def test_a_hole_in_the_telemetry_is_not_taken_for_quiet():
    waiting = follow(STOP, INCIDENT, seen(125, "unknown"), minute(170))
    unseen = follow(STOP, INCIDENT, seen(180, "idle", idle_since=minute(160)), minute(181))

    assert waiting == STOP
    assert (unseen.outcome, unseen.quiet_until) == (Outcome.UNSEEN, None)
    assert follow(unseen, ended(140), seen(190, "busy"), minute(190)).outcome is Outcome.BUSY_AGAIN


def test_the_sums_count_what_a_limit_holds_back_apart():
    quiet = replace(STOP, outcome=Outcome.QUIET, quiet_until=STOP.at + timedelta(hours=3))
    back = replace(STOP, outcome=Outcome.BUSY_AGAIN, ended_at=STOP.at)
    stops = [
        quiet,
        quiet,
        quiet,
        back,
        STOP,
        replace(back, held_back="gpu_limit"),
        replace(quiet, held_back="gpu_limit"),
    ]

    assert sum_up(stops) == Regret(
        stops=5,
        quiet=3,
        busy_again=1,
        watched=1,
        regret_ratio=0.25,
        regret_at_most_ratio=at_most(1, 4),
        would_have_saved_usd=144.0,
        held_back=2,
        held_back_busy_again=1,
        held_back_usd=48.0,
    )
    assert in_words(sum_up(stops)) == [
        "In mode auto: 5 stops, $144 saved; after 1 of them work came within 30 minutes, 1 still watched.",
        "Regret: 25 %, with 95 % certainty no more than 70 %.",
        "Held back by a limit alone: 2 stops, $48.00; after 1 of them work came within 30 minutes.",
    ]
    assert in_words(sum_up([])) == []


def test_few_stops_prove_little():
    assert [round(at_most(0, judged), 2) for judged in (1, 12, 100)] == [0.79, 0.24, 0.04]
    assert at_most(1, 1) == 1.0
