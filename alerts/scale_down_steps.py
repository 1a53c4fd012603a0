"""The way of an action: which step comes next, and why. Pure: nothing is stopped here.

    observe   warned -> proposed
    propose   warned -> proposed -> (a person) approved -> rechecked -> executed -> verified or failed
    auto      warned -> proposed -> rechecked -> executed -> verified or failed

A workload that works again before it is stopped ends as kept. A person may keep, approve and undo.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from alerts.incidents import Incident
from alerts.scale_down import Action, ActionStep, Decision, Look, Mode, ScaleDownPolicy, Why
from alerts.scale_down_proof import proof_of
from alerts.scale_down_rules import AT_THE_MOMENT, BEFORE_ACTING, BEFORE_ANY_STEP, Case, first_no

GENERATION = "observed_generation"
_CAREFUL_FIRST = (Mode.OBSERVE, Mode.PROPOSE, Mode.AUTO)
_ALIVE = (
    ActionStep.WARNED,
    ActionStep.PROPOSED,
    ActionStep.APPROVED,
    ActionStep.RECHECKED,
)


class NotPossible(ValueError):
    """A person asks for a step that the action can't take from where it stands."""


def decide(
    policy: ScaleDownPolicy,
    incident: Incident,
    action: Action | None,
    look: Look,
    recent: Sequence[Action],
    now: datetime,
    paused: bool,
) -> Decision:
    """Say which step an action takes now, at most one; called again later, it says the next.

    `recent`: the actions of the last day, of all workloads. `paused`: a person has stopped all acting, or the breaker
    has tripped. The caller records the step; after `executed` it lets the target carry it out, under the action's id.
    """
    case = Case(
        policy=policy,
        mode=_mode(policy, action),
        incident=incident,
        action=action,
        look=look,
        recent=recent,
        now=now,
        paused=paused,
    )
    if action is None:
        return _begin(case, Why.IDLE_LONG_ENOUGH)
    if action.step is ActionStep.EXECUTED:
        return _prove(case, action)
    if action.step in _ALIVE:
        return _go_on(case, action)
    if action.step is ActionStep.KEPT:
        keep_ended = action.expires_at is not None and now >= action.expires_at
        return _begin(case, Why.KEEP_ENDED) if keep_ended else Decision(step=None, reason=Why.KEPT, action=action)
    return Decision(step=None, reason=Why.OVER, action=action)


def still_right(
    policy: ScaleDownPolicy, incident: Incident, action: Action, look: Look, now: datetime, paused: bool
) -> bool:
    """Say whether an order that was given may still go out: it was not taken back, and the rules hold at this moment.

    It may have waited for a receiver that was away, or for a process that was started anew with another policy.
    """
    mode = _mode(policy, action)
    case = Case(
        policy=policy, mode=mode, incident=incident, action=action, look=look, recent=(), now=now, paused=paused
    )
    ordered = action.step is ActionStep.EXECUTED and action.mode is not Mode.OBSERVE and not _expired(case, action)
    return ordered and not _changed(case, action) and first_no(AT_THE_MOMENT, case) is None


def action_id(incident: Incident) -> str:
    """`act_` and the letters of the incident's id: an incident has one action."""
    return "act_" + incident.incident_id.removeprefix("inc_")


def approve(policy: ScaleDownPolicy, action: Action, by: str, now: datetime) -> Action:
    """Let a person allow it. Raises NotPossible unless it was proposed to people."""
    if action.step is not ActionStep.PROPOSED or action.mode is Mode.OBSERVE:
        raise NotPossible(
            f"only an action that is proposed can be approved; {action.action_id} is {action.step} "
            f"in mode {action.mode}"
        )
    valid_until = now + timedelta(seconds=policy.approval_valid_s)
    return _step(action, ActionStep.APPROVED, Why.APPROVED_BY_PERSON, now, expires_at=valid_until, approved_by=by)


def keep(policy: ScaleDownPolicy, action: Action, now: datetime) -> Action:
    """Let a person say that it shall keep running, for as long as the policy says. Raises NotPossible once executed."""
    if action.step not in _ALIVE and action.step is not ActionStep.KEPT:
        raise NotPossible(
            f"only an action that is not yet executed can be kept from it; {action.action_id} is {action.step}"
        )
    until = now + timedelta(seconds=policy.keep_s)
    return _step(action, ActionStep.KEPT, Why.KEPT_BY_PERSON, now, expires_at=until, approved_by=None)


def undo(action: Action, now: datetime) -> Action:
    """Let a person take it back. Raises NotPossible unless it was executed."""
    if action.step not in (ActionStep.EXECUTED, ActionStep.VERIFIED, ActionStep.FAILED):
        raise NotPossible(f"only an action that was executed can be undone; {action.action_id} is {action.step}")
    return _step(action, ActionStep.UNDONE, Why.UNDONE_BY_PERSON, now, expires_at=None)


def _mode(policy: ScaleDownPolicy, action: Action | None) -> Mode:
    """The more careful of the policy's mode and the action's."""
    if action is None or action.mode is Mode.OBSERVE:
        return policy.effective_mode
    return min(policy.effective_mode, action.mode, key=_CAREFUL_FIRST.index)


def _begin(case: Case, why: Why) -> Decision:
    """Warn, once it has been idle for long enough."""
    no = first_no(BEFORE_ANY_STEP, case)
    if no is None and case.idle_s < case.policy.warn_after_s:
        no = Why.TOO_EARLY
    if no is not None:
        return _no(case, no)
    before = case.action
    warned = Action(
        action_id=action_id(case.incident),
        incident_id=case.incident.incident_id,
        workload=case.incident.workload or "",
        team=case.incident.team,
        mode=case.mode,
        step=ActionStep.WARNED,
        at=case.now,
        usd_per_hour=case.incident.usd_per_hour,
        replicas_from=case.look.replicas,
        gpus=case.look.gpus,
        evidence=_evidence(case),
        reason=why,
        transition=0 if before is None else before.transition + 1,
        warned_at=case.now,
    )
    return Decision(step=ActionStep.WARNED, reason=why, action=warned)


def _go_on(case: Case, action: Action) -> Decision:
    """Take the next step of an action that has not been executed."""
    if case.incident.resolved_at is not None or case.look.state == "busy":
        rest_until = case.now + timedelta(seconds=case.policy.act_after_s)
        kept = _step(action, ActionStep.KEPT, Why.BUSY_AGAIN, case.now, expires_at=rest_until, approved_by=None)
        return _take(kept)
    if action.mode is Mode.OBSERVE and case.mode is not Mode.OBSERVE:
        return _begin(case, Why.MODE_RAISED)
    no = first_no(BEFORE_ANY_STEP, case)
    if no is not None:
        return _no(case, no)
    if action.step is ActionStep.WARNED:
        return _propose(case, action)
    if _expired(case, action):
        why = Why.RECHECK_EXPIRED if action.step is ActionStep.RECHECKED else Why.APPROVAL_EXPIRED
        return _take(_step(action, ActionStep.PROPOSED, why, case.now, expires_at=None, approved_by=None))
    if action.step is not ActionStep.PROPOSED and _changed(case, action):
        return _take(
            _step(
                action, ActionStep.PROPOSED, Why.TARGET_CHANGED, case.now, expires_at=None, approved_by=None, seen=case
            )
        )
    no = first_no(BEFORE_ACTING, case)
    if no is not None:
        return _no(case, no)
    return _act(case, action)


def _propose(case: Case, action: Action) -> Decision:
    if case.idle_s < case.policy.propose_after_s:
        return _no(case, Why.TOO_EARLY)
    proposed = _step(action, ActionStep.PROPOSED, Why.IDLE_LONG_ENOUGH, case.now, seen=case)
    return _take(replace(proposed, mode=case.mode, proposed_at=case.now))


def _act(case: Case, action: Action) -> Decision:
    """Look a second time; and, in a decision of its own, execute with every rule asked again."""
    if action.step is not ActionStep.RECHECKED:
        until = case.now + timedelta(seconds=case.policy.recheck_valid_s)
        step = _step(action, ActionStep.RECHECKED, Why.SECOND_LOOK_HOLDS, case.now, expires_at=until, seen=case)
        return _take(step)
    until = case.now + timedelta(seconds=case.policy.verify_within_s)
    done = _step(action, ActionStep.EXECUTED, Why.ALL_RULES_HOLD, case.now, expires_at=until)
    return _take(replace(done, executed_at=case.now))


def _prove(case: Case, action: Action) -> Decision:
    """See in the telemetry that it has stopped."""
    proof = proof_of(case, action)
    if proof is not None:
        verified = _step(action, ActionStep.VERIFIED, proof.reason, case.now, expires_at=None)
        return _take(replace(verified, evidence={**proof.evidence, **action.evidence}))
    if _expired(case, action):
        return _take(_step(action, ActionStep.FAILED, Why.NOT_SEEN_TO_STOP, case.now, expires_at=None))
    return Decision(step=None, reason=Why.WAITING_FOR_PROOF, action=action)


def _expired(case: Case, action: Action) -> bool:
    return action.expires_at is not None and case.now >= action.expires_at


def _changed(case: Case, action: Action) -> bool:
    """It is no longer what was approved or looked at."""
    if (case.look.gpus, case.look.replicas) != (action.gpus, action.replicas_from):
        return True
    then, now = action.evidence.get(GENERATION), case.look.target and case.look.target.generation
    return then is not None and now is not None and then != now


def _no(case: Case, why: Why) -> Decision:
    trips = why is Why.CORRELATED_IDLE and case.mode is not Mode.OBSERVE
    return Decision(step=None, reason=why, action=case.action, trips_breaker=trips)


def _take(action: Action) -> Decision:
    return Decision(step=action.step, reason=Why(action.reason), action=action)


def _step(
    action: Action,
    step: ActionStep,
    why: Why,
    now: datetime,
    *,
    expires_at: datetime | UnsetType | None = UNSET,
    approved_by: str | UnsetType | None = UNSET,
    seen: Case | None = None,
) -> Action:
    """The action one step on; `seen` takes its figures from what is seen now."""
    action = replace(
        action,
        step=step,
        at=now,
        reason=why,
        transition=action.transition + 1,
        expires_at=action.expires_at if expires_at is UNSET else expires_at,
        approved_by=action.approved_by if approved_by is UNSET else approved_by,
        waiting="",
    )
    if seen is None:
        return action
    return replace(
        action,
        usd_per_hour=seen.incident.usd_per_hour,
        replicas_from=seen.look.replicas,
        gpus=seen.look.gpus,
        evidence=_evidence(seen),
    )


def _evidence(case: Case) -> dict[str, float]:
    target = case.look.target
    generation = {} if target is None or target.generation is None else {GENERATION: float(target.generation)}
    return {**case.incident.evidence, "idle_s": case.idle_s, **generation}
