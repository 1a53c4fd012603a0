from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from alerts.action_notices import action_notices
from alerts.freezes import Freeze
from alerts.incidents import Incident, Severity
from alerts.matching import Matcher
from alerts.notices import Notice, Reason
from alerts.routing import Router
from alerts.scale_down import Action, ActionStep, Decision, Look, Mode, ScaleDownPolicy, Why
from alerts.scale_down_steps import NotPossible, action_id, approve, decide, keep, undo
from detectors.findings import Cause, Kind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
INCIDENT = Incident(
    incident_id="inc_a",
    fingerprint="idle|prod/llm/chat||",
    kind=Kind.IDLE,
    cause=Cause.NO_TRAFFIC,
    severity=Severity.WARN,
    began_at=NOON,
    detected_at=NOON + timedelta(minutes=30),
    updated_at=NOON + timedelta(minutes=30),
    workload="prod/llm/chat",
    team="search",
    usd_per_hour=16.0,
    evidence={"power_w": 70.0},
)
LOOK = Look(
    state="idle",
    fresh_age_s=30.0,
    families=2,
    gpus=4,
    fleet_gpus=100,
    newly_idle_gpus=0,
    replicas=4,
    warning_delivered=True,
)
OBSERVE = ScaleDownPolicy()
PROPOSE = ScaleDownPolicy(
    mode=Mode.PROPOSE, enabled=True, target="webhook", selector=(Matcher.parse('namespace="llm"'),)
)
AUTO = replace(PROPOSE, mode=Mode.AUTO)


def minute(n: float) -> datetime:
    return NOON + timedelta(minutes=n)


def ask(policy: ScaleDownPolicy, action: Action | None, at: float, **given: object) -> Decision:
    case = {"incident": INCIDENT, "look": LOOK, "recent": (), "paused": False, **given}
    return decide(policy, action=action, now=minute(at), **case)


def way(policy: ScaleDownPolicy, until: int, every: int = 5) -> list[tuple[int, str, str]]:
    """Every step that an action takes by itself, asked every few minutes."""
    action, steps = None, []
    for at in range(0, until + 1, every):
        decision = ask(policy, action, at)
        if decision.step is not None:
            steps.append((at, str(decision.step), str(decision.reason)))
        action = decision.action
    return steps


def at_step(step: ActionStep, *, mode: Mode = Mode.AUTO, **fields: object) -> Action:
    base = Action(
        action_id="act_a",
        incident_id="inc_a",
        workload="prod/llm/chat",
        team="search",
        mode=mode,
        step=step,
        at=minute(60),
        usd_per_hour=16.0,
        replicas_from=4,
        gpus=4,
        warned_at=minute(30),
    )
    return replace(base, **fields)


def test_the_warning_says_what_it_rests_on():
    assert ask(AUTO, None, 30) == Decision(
        step=ActionStep.WARNED,
        reason=Why.IDLE_LONG_ENOUGH,
        action=Action(
            action_id="act_a",
            incident_id="inc_a",
            workload="prod/llm/chat",
            team="search",
            mode=Mode.AUTO,
            step=ActionStep.WARNED,
            at=minute(30),
            usd_per_hour=16.0,
            replicas_from=4,
            gpus=4,
            evidence={"power_w": 70.0, "idle_s": 1800.0},
            reason="idle_long_enough",
            warned_at=minute(30),
        ),
    )
    assert action_id(INCIDENT) == "act_a"


def test_observe_records_what_it_would_have_proposed_and_goes_no_further():
    assert way(OBSERVE, 600) == [(30, "warned", "idle_long_enough"), (60, "proposed", "idle_long_enough")]
    assert ask(OBSERVE, at_step(ActionStep.PROPOSED, mode=Mode.OBSERVE), 600).reason is Why.OBSERVE_ONLY


def test_propose_waits_for_a_person():
    assert way(PROPOSE, 600) == [(30, "warned", "idle_long_enough"), (60, "proposed", "idle_long_enough")]
    assert ask(PROPOSE, at_step(ActionStep.PROPOSED, mode=Mode.PROPOSE), 600).reason is Why.NOT_APPROVED


def test_auto_acts_after_two_hours_and_a_second_look():
    assert way(AUTO, 125) == [
        (30, "warned", "idle_long_enough"),
        (60, "proposed", "idle_long_enough"),
        (120, "rechecked", "second_look_holds"),
        (125, "executed", "all_rules_hold"),
    ]


def test_an_approved_action_is_rechecked_and_executed():
    proposed = at_step(ActionStep.PROPOSED, mode=Mode.PROPOSE)

    approved = approve(PROPOSE, proposed, "slack:U1", minute(70))
    rechecked = ask(PROPOSE, approved, 71).action
    executed = ask(PROPOSE, rechecked, 72).action

    assert (approved.step, approved.approved_by, approved.expires_at) == (
        ActionStep.APPROVED,
        "slack:U1",
        minute(130),
    )
    assert (rechecked.step, rechecked.expires_at) == (ActionStep.RECHECKED, minute(81))
    assert (executed.step, executed.executed_at, executed.expires_at, executed.transition, executed.approved_by) == (
        ActionStep.EXECUTED,
        minute(72),
        minute(102),
        3,
        "slack:U1",
    )


def kept_before(**fields: object) -> Action:
    """Another action on the same workload, of an earlier incident, that a person has kept it from."""
    values = {"step": ActionStep.KEPT, "reason": Why.KEPT_BY_PERSON, "expires_at": minute(121), "at": minute(-60)}
    return replace(at_step(ActionStep.PROPOSED), action_id="act_before", **{**values, **fields})


@pytest.mark.parametrize("missing", [{"enabled": False}, {"selector": ()}, {"target": None}])
def test_without_one_of_its_settings_nothing_is_stopped(missing):
    policy = replace(AUTO, **missing)

    assert policy.effective_mode is Mode.OBSERVE
    assert [step for _, step, _ in way(policy, 600)] == ["warned", "proposed"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"paused": True}, Why.PAUSED),
        ({"incident": replace(INCIDENT, kind=Kind.WASTE)}, Why.NOT_IDLE),
        ({"incident": replace(INCIDENT, workload="prod//")}, Why.NO_WORKLOAD),
        ({"incident": replace(INCIDENT, workload="__other__")}, Why.NO_WORKLOAD),
        ({"recent": (kept_before(),)}, Why.KEPT),
        ({"recent": (kept_before(step=ActionStep.UNDONE, expires_at=None),)}, Why.KEPT),
        ({"incident": replace(INCIDENT, workload="prod/web/chat")}, Why.NOT_SELECTED),
        ({"look": replace(LOOK, protected=True)}, Why.PROTECTED),
        ({"look": replace(LOOK, state="unknown")}, Why.STATE_UNKNOWN),
        ({"look": replace(LOOK, state="anything else")}, Why.STATE_UNKNOWN),
        ({"look": replace(LOOK, fresh_age_s=None)}, Why.TELEMETRY_STALE),
        ({"look": replace(LOOK, fresh_age_s=180.1)}, Why.TELEMETRY_STALE),
        ({"look": replace(LOOK, fresh_age_s=-1.0)}, Why.TELEMETRY_STALE),
        ({"look": replace(LOOK, fresh_age_s=float("nan"))}, Why.TELEMETRY_STALE),
        ({"look": replace(LOOK, families=1)}, Why.TOO_LITTLE_EVIDENCE),
        ({"look": replace(LOOK, fleet_gpus=0)}, Why.FLEET_UNKNOWN),
        ({"look": replace(LOOK, gpus=0)}, Why.FLEET_UNKNOWN),
        ({"look": replace(LOOK, newly_idle_gpus=21)}, Why.CORRELATED_IDLE),
        ({"look": replace(LOOK, warning_delivered=False)}, Why.WARNING_NOT_DELIVERED),
        ({"look": replace(LOOK, idle_s=7199.0)}, Why.TOO_EARLY),
        ({"look": replace(LOOK, gpus=6)}, Why.GPU_LIMIT),
    ],
)
def test_whatever_is_not_as_it_must_be_stops_the_act(given, reason):
    proposed = at_step(ActionStep.PROPOSED)

    decision = ask(AUTO, proposed, 120, **given)

    assert (decision.step, decision.reason, decision.action) == (None, reason, proposed)
    assert decision.trips_breaker is (reason is Why.CORRELATED_IDLE)


def test_a_protected_name_is_never_touched():
    policy = replace(AUTO, protected=("prod/*/chat",))

    assert ask(policy, None, 30).reason is Why.PROTECTED


def test_a_busy_workload_is_not_warned():
    assert ask(AUTO, None, 30, look=replace(LOOK, state="busy")).reason is Why.BUSY


@pytest.mark.parametrize("step", [ActionStep.WARNED, ActionStep.PROPOSED, ActionStep.APPROVED, ActionStep.RECHECKED])
@pytest.mark.parametrize(
    "given", [{"look": replace(LOOK, state="busy")}, {"incident": replace(INCIDENT, resolved_at=minute(99))}]
)
@pytest.mark.parametrize("paused", [False, True])
def test_what_works_again_before_it_is_stopped_is_kept(step, given, paused):
    decision = ask(AUTO, at_step(step, approved_by="slack:U1"), 100, paused=paused, **given)

    assert (decision.step, decision.reason, decision.action.approved_by) == (ActionStep.KEPT, Why.BUSY_AGAIN, None)


def test_a_warning_needs_its_lead():
    lately = at_step(ActionStep.PROPOSED, warned_at=minute(106))
    unknown = at_step(ActionStep.PROPOSED, warned_at=None, at=minute(106))

    assert [ask(AUTO, one, 120).reason for one in (lately, unknown)] == [Why.WARNED_TOO_LATELY] * 2
    assert [ask(AUTO, one, 121).step for one in (lately, unknown)] == [ActionStep.RECHECKED] * 2


def test_limits_count_what_others_stopped_within_the_hour_and_the_day():
    def others(n: int, gpus: int, at: float, step: ActionStep = ActionStep.VERIFIED) -> list[Action]:
        return [at_step(step, action_id=f"act_{i}", gpus=gpus, executed_at=minute(at)) for i in range(n)]

    def reason(look: Look, recent: list[Action]) -> Why:
        return ask(AUTO, at_step(ActionStep.PROPOSED, gpus=look.gpus), 120, look=look, recent=recent).reason

    one = replace(LOOK, gpus=1)
    assert reason(one, others(4, 0, 90)) is Why.WORKLOAD_LIMIT
    assert reason(one, others(4, 0, 90, ActionStep.RECHECKED)) is Why.WORKLOAD_LIMIT
    assert reason(one, others(4, 0, 60)) is Why.SECOND_LOOK_HOLDS
    assert reason(one, others(4, 0, 90, ActionStep.PROPOSED)) is Why.SECOND_LOOK_HOLDS
    assert reason(one, others(1, 4, 90)) is Why.SECOND_LOOK_HOLDS
    assert reason(one, others(1, 5, 90)) is Why.GPU_LIMIT
    assert reason(one, others(1, 9, 60)) is Why.SECOND_LOOK_HOLDS
    assert reason(one, others(1, 10, 60)) is Why.GPU_LIMIT


def test_limits_count_by_day_and_by_team():
    def others(n: int, at: float, team: str | None) -> list[Action]:
        return [
            at_step(ActionStep.VERIFIED, action_id=f"act_{i}", gpus=0, executed_at=minute(at), team=team)
            for i in range(n)
        ]

    def reason(recent: list[Action], **policy: int) -> Why:
        look = replace(LOOK, gpus=1)
        return ask(replace(AUTO, **policy), at_step(ActionStep.PROPOSED, gpus=1), 120, look=look, recent=recent).reason

    team = INCIDENT.team
    assert reason(others(20, 30, "another")) is Why.WORKLOAD_LIMIT
    assert reason(others(19, 30, "another")) is Why.SECOND_LOOK_HOLDS
    assert reason(others(2, 90, team), max_workloads_per_team_and_hour=2) is Why.TEAM_LIMIT
    assert reason(others(2, 90, "another"), max_workloads_per_team_and_hour=2) is Why.SECOND_LOOK_HOLDS
    assert reason(others(2, 60, team), max_workloads_per_team_and_hour=2) is Why.SECOND_LOOK_HOLDS


def test_while_a_freeze_holds_people_are_asked_and_nothing_is_stopped():
    always = replace(AUTO, freezes=(Freeze(since=minute(0)),))
    approved = at_step(ActionStep.APPROVED, approved_by="slack:U1", expires_at=minute(999))

    assert ask(always, None, 60).step is ActionStep.WARNED
    assert ask(always, at_step(ActionStep.WARNED), 120).step is ActionStep.PROPOSED
    assert ask(always, at_step(ActionStep.PROPOSED), 120).reason is Why.FROZEN
    assert ask(always, approved, 120).reason is Why.FROZEN


def test_an_approval_that_has_grown_old_is_asked_for_again():
    approved = at_step(ActionStep.APPROVED, mode=Mode.PROPOSE, approved_by="slack:U1", expires_at=minute(130))

    again = ask(PROPOSE, approved, 130)

    assert (again.step, again.reason, again.action.approved_by, again.action.expires_at) == (
        ActionStep.PROPOSED,
        Why.APPROVAL_EXPIRED,
        None,
        None,
    )


def test_a_target_that_has_changed_since_the_approval_is_asked_for_again():
    approved = at_step(ActionStep.APPROVED, mode=Mode.PROPOSE, approved_by="slack:U1", expires_at=minute(130))

    again = ask(PROPOSE, approved, 80, look=replace(LOOK, gpus=5, replicas=5))

    assert (again.step, again.reason, again.action.gpus, again.action.replicas_from, again.action.approved_by) == (
        ActionStep.PROPOSED,
        Why.TARGET_CHANGED,
        5,
        5,
        None,
    )


def test_what_was_only_observed_begins_again_with_a_warning():
    observed = at_step(ActionStep.PROPOSED, mode=Mode.OBSERVE, transition=1)

    begun = ask(AUTO, observed, 300).action

    assert (begun.step, begun.mode, begun.warned_at, begun.transition) == (
        ActionStep.WARNED,
        Mode.AUTO,
        minute(300),
        2,
    )
    assert ask(AUTO, replace(begun, step=ActionStep.PROPOSED), 314).reason is Why.WARNED_TOO_LATELY


def test_the_more_careful_of_two_modes_holds():
    assert ask(AUTO, at_step(ActionStep.PROPOSED, mode=Mode.PROPOSE), 200).reason is Why.NOT_APPROVED
    assert ask(PROPOSE, at_step(ActionStep.PROPOSED, mode=Mode.AUTO), 200).reason is Why.NOT_APPROVED
    assert ask(OBSERVE, at_step(ActionStep.RECHECKED, mode=Mode.AUTO), 200).reason is Why.OBSERVE_ONLY
    assert ask(OBSERVE, at_step(ActionStep.WARNED, mode=Mode.AUTO), 200).action.mode is Mode.OBSERVE


def test_keep_running_holds_for_a_day_and_then_begins_with_a_warning():
    kept = keep(AUTO, at_step(ActionStep.PROPOSED), minute(100))

    assert ask(AUTO, kept, 100 + 1439).reason is Why.KEPT
    begun = ask(AUTO, kept, 100 + 1440)
    assert (begun.step, begun.reason, begun.action.warned_at) == (
        ActionStep.WARNED,
        Why.KEEP_ENDED,
        minute(1540),
    )


@pytest.mark.parametrize("step", [ActionStep.VERIFIED, ActionStep.FAILED, ActionStep.UNDONE])
def test_what_is_over_stays_over(step):
    assert ask(AUTO, at_step(step), 999).reason is Why.OVER


def test_people_can_only_do_what_makes_sense():
    with pytest.raises(NotPossible, match="only an action that is proposed"):
        approve(PROPOSE, at_step(ActionStep.WARNED), "slack:U1", NOON)
    with pytest.raises(NotPossible, match="in mode observe"):
        approve(PROPOSE, at_step(ActionStep.PROPOSED, mode=Mode.OBSERVE), "slack:U1", NOON)
    with pytest.raises(NotPossible, match="not yet executed"):
        keep(PROPOSE, at_step(ActionStep.EXECUTED), NOON)
    with pytest.raises(NotPossible, match="only an action that was executed"):
        undo(at_step(ActionStep.PROPOSED), NOON)
    assert undo(at_step(ActionStep.VERIFIED), minute(200)).step is ActionStep.UNDONE


looks = st.builds(
    Look,
    state=st.sampled_from(["idle", "idle", "idle", "busy", "unknown"]),
    fresh_age_s=st.one_of(st.none(), st.floats(0, 200)),
    families=st.integers(1, 3),
    gpus=st.integers(0, 6),
    fleet_gpus=st.sampled_from([0, 100]),
    newly_idle_gpus=st.integers(0, 25),
    replicas=st.integers(1, 2),
    protected=st.booleans(),
    warning_delivered=st.booleans(),
)


@settings(deadline=None)
@given(st.sampled_from([OBSERVE, PROPOSE, AUTO]), st.lists(st.tuples(looks, st.booleans()), max_size=40))
def test_nothing_is_executed_unless_idle_fresh_warned_and_unprotected_at_that_moment(policy, moments):
    action = None
    for n, (look, paused) in enumerate(moments):
        decision = ask(policy, action, 10 * n, look=look, paused=paused)
        if decision.step is ActionStep.EXECUTED:
            assert policy is AUTO
            assert action.step is ActionStep.RECHECKED
            assert (look.state, look.protected, paused, look.warning_delivered) == ("idle", False, False, True)
            assert look.fresh_age_s <= 180
            assert look.families >= 2
            assert (look.gpus, look.replicas) == (action.gpus, action.replicas_from)
            assert minute(10 * n) - action.warned_at >= timedelta(minutes=15)
        action = decision.action


def test_people_hear_of_an_action_and_of_what_is_only_observed_not_at_all():
    router = Router((), ("slack",), lambda incident: "")
    quiet = replace(INCIDENT, severity=Severity.INFO)

    warned = at_step(ActionStep.WARNED)

    def title(action: Action) -> str:
        return f"${action.usd_per_hour:.2f}/h: {action.workload}"

    assert action_notices(router, warned, quiet, title) == [
        Notice(
            notice_id="act_a:0:slack",
            channel="slack",
            subject="action",
            subject_id="act_a",
            transition=0,
            step="warned",
            reason=Reason.ACTION_WARNED,
            title="$16.00/h: prod/llm/chat",
            at=minute(60),
            body=json.encode(warned),
        )
    ]
    assert action_notices(router, at_step(ActionStep.PROPOSED, mode=Mode.OBSERVE), INCIDENT, title) == []
    assert action_notices(router, at_step(ActionStep.RECHECKED), INCIDENT, title) == []
