"""The rules that must hold before an accelerator is stopped: each a question with a named no. Pure.

Unknown is not idle: what is not known is a no.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from msgspec import Struct

from alerts.freezes import frozen
from alerts.incidents import Incident
from alerts.matching import all_match, labels_of
from alerts.scale_down import Action, ActionStep, Look, Mode, ScaleDownPolicy, Standing, Why
from detectors.findings import Kind


class Case(Struct, frozen=True, kw_only=True):
    """Everything that is known when one decision is made."""

    policy: ScaleDownPolicy
    mode: Mode  # the more careful of the policy's and the action's
    incident: Incident
    action: Action | None
    look: Look
    recent: Sequence[Action]  # actions of the last day, of all workloads
    now: datetime  # event time
    paused: bool

    @property
    def idle_s(self) -> float:
        """How long it has been idle: the shorter of what the incident and the look say."""
        since_beginning = (self.now - self.incident.began_at).total_seconds()
        return since_beginning if self.look.idle_s is None else min(self.look.idle_s, since_beginning)


Rule = Callable[[Case], Why | None]


def first_no(rules: Sequence[Rule], case: Case) -> Why | None:
    """Ask the rules in their order; the first no, or None where all hold."""
    return next((no for rule in rules if (no := rule(case)) is not None), None)


def not_paused(case: Case) -> Why | None:
    """Nobody has paused all actions, and the breaker has not tripped."""
    return Why.PAUSED if case.paused else None


def incident_is_idleness(case: Case) -> Why | None:
    """The incident is of accelerators that do nothing, and it lasts."""
    lasts = case.incident.kind is Kind.IDLE and case.incident.resolved_at is None
    return None if lasts else Why.NOT_IDLE


def workload_has_a_name(case: Case) -> Why | None:
    """There is one workload that can be scaled: `cluster//` is nobody's, and a name without parts stands for many."""
    _cluster, _, rest = (case.incident.workload or "").partition("/")
    return None if rest.partition("/")[2] else Why.NO_WORKLOAD


def selected(case: Case) -> Why | None:
    """The selector matches; an empty one matches nothing that could be stopped, and all that is only observed."""
    if not case.policy.selector:
        return None if case.mode is Mode.OBSERVE else Why.NOT_SELECTED
    return None if all_match(case.policy.selector, labels_of(case.incident)) else Why.NOT_SELECTED


def not_protected(case: Case) -> Why | None:
    """Neither its owner nor the policy protects it."""
    workload = case.incident.workload or ""
    protected = case.look.protected or any(fnmatchcase(workload, glob) for glob in case.policy.protected)
    return Why.PROTECTED if protected else None


def target_allows(case: Case) -> Why | None:
    """A target that can be asked knows it, running, and neither its owner nor another controller stands against it."""
    target = case.look.target
    if not case.look.target_asked:
        return None
    if target is None or (target.standing is Standing.FREE and not target.replicas):
        return Why.TARGET_UNKNOWN
    return _STANDS_AGAINST.get(target.standing)


def not_kept_lately(case: Case) -> Why | None:
    """No person has kept it, or taken its stop back, so lately that this holds: a new incident does not end it."""
    return Why.KEPT if any(_holds_off(case, other) for other in case.recent) else None


def seen_idle(case: Case) -> Why | None:
    """It is seen to be idle at this moment."""
    if case.look.state == "idle":
        return None
    return Why.BUSY if case.look.state == "busy" else Why.STATE_UNKNOWN


def telemetry_is_fresh(case: Case) -> Why | None:
    """The newest telemetry is no older than the limit, and not from the future."""
    age_s = case.look.fresh_age_s
    fresh = age_s is not None and 0.0 <= age_s <= case.policy.fresh_within_s
    return None if fresh else Why.TELEMETRY_STALE


def evidence_is_of_two_kinds(case: Case) -> Why | None:
    """Enough independent kinds of evidence say the same."""
    return None if case.look.families >= case.policy.min_evidence_families else Why.TOO_LITTLE_EVIDENCE


def fleet_is_known(case: Case) -> Why | None:
    """The number of accelerators, of the workload and of the fleet, is known."""
    return None if 0 < case.look.gpus <= case.look.fleet_gpus else Why.FLEET_UNKNOWN


def not_all_at_once(case: Case) -> Why | None:
    """Not so much of the fleet turned idle at once that the telemetry itself is suspect."""
    newly, policy = case.look.newly_idle_gpus, case.policy
    many = newly > policy.correlated_more_than_gpus and newly > policy.correlated_ratio * case.look.fleet_gpus
    return Why.CORRELATED_IDLE if many else None


def mode_allows_acting(case: Case) -> Why | None:
    """The mode is propose or auto, with all that these need."""
    return Why.OBSERVE_ONLY if case.mode is Mode.OBSERVE else None


def not_frozen(case: Case) -> Why | None:
    """No freeze holds; people may still be asked meanwhile."""
    return Why.FROZEN if frozen(case.policy.freezes, case.now) else None


def approved_or_long_idle(case: Case) -> Why | None:
    """A person has approved; or, in auto, it has been idle for long enough to act without one."""
    action = case.action
    if action is not None and action.approved_by is not None:
        return None
    if case.mode is not Mode.AUTO:
        return Why.NOT_APPROVED
    return None if case.idle_s >= case.policy.act_after_s else Why.TOO_EARLY


def warned_long_ago(case: Case) -> Why | None:
    """Its owner has had the time to say no, and the warning has really gone out."""
    action = case.action
    warned_at = None if action is None else action.warned_at or action.at
    if warned_at is None or (case.now - warned_at).total_seconds() < case.policy.warning_lead_s:
        return Why.WARNED_TOO_LATELY
    return None if case.look.warning_delivered else Why.WARNING_NOT_DELIVERED


def few_workloads_an_hour(case: Case) -> Why | None:
    """No more workloads are stopped in an hour than the limit."""
    return Why.WORKLOAD_LIMIT if len(_stopped(case, _HOUR)) >= case.policy.max_workloads_per_hour else None


def few_workloads_a_day(case: Case) -> Why | None:
    """The same for a day."""
    return Why.WORKLOAD_LIMIT if len(_stopped(case, _DAY)) >= case.policy.max_workloads_per_day else None


def few_of_a_team_an_hour(case: Case) -> Why | None:
    """One team is not met by all that is stopped; workloads of no team count as those of one."""
    of_team = [action for action in _stopped(case, _HOUR) if action.team == case.incident.team]
    return Why.TEAM_LIMIT if len(of_team) >= case.policy.max_workloads_per_team_and_hour else None


def few_gpus_an_hour(case: Case) -> Why | None:
    """No more of the fleet is stopped in an hour than the limit."""
    return _share(case, _HOUR, case.policy.max_gpu_ratio_per_hour)


def few_gpus_a_day(case: Case) -> Why | None:
    """No more of the fleet is stopped in a day than the limit."""
    return _share(case, _DAY, case.policy.max_gpu_ratio_per_day)


BEFORE_ANY_STEP: tuple[Rule, ...] = (
    not_paused,
    incident_is_idleness,
    workload_has_a_name,
    selected,
    not_protected,
    target_allows,
    not_kept_lately,
    seen_idle,
    telemetry_is_fresh,
    evidence_is_of_two_kinds,
    fleet_is_known,
    not_all_at_once,
)
LIMITS: tuple[Rule, ...] = (
    few_workloads_an_hour,
    few_workloads_a_day,
    few_of_a_team_an_hour,
    few_gpus_an_hour,
    few_gpus_a_day,
)
BEFORE_ACTING: tuple[Rule, ...] = (
    mode_allows_acting,
    not_frozen,
    approved_or_long_idle,
    warned_long_ago,
    *LIMITS,
)
AT_THE_MOMENT: tuple[Rule, ...] = (*BEFORE_ANY_STEP, mode_allows_acting, not_frozen, approved_or_long_idle)

_STANDS_AGAINST = {
    Standing.ABSENT: Why.TARGET_UNKNOWN,
    Standing.PROTECTED: Why.PROTECTED,
    Standing.MANAGED: Why.TARGET_MANAGED,
}
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_STOPS = (ActionStep.RECHECKED, ActionStep.EXECUTED, ActionStep.VERIFIED, ActionStep.FAILED, ActionStep.UNDONE)


def _holds_off(case: Case, other: Action) -> bool:
    own = case.action.action_id if case.action is not None else None
    if other.workload != case.incident.workload or other.action_id == own:
        return False
    if other.step is ActionStep.UNDONE:
        return case.now < other.at + timedelta(seconds=case.policy.keep_s)
    kept = other.step is ActionStep.KEPT and other.reason == Why.KEPT_BY_PERSON
    return kept and other.expires_at is not None and case.now < other.expires_at


def _stopped(case: Case, within: timedelta) -> list[Action]:
    """Other actions that have stopped something within this time, or are about to; a failed one may have, too."""
    own = case.action.action_id if case.action is not None else None
    return [
        action
        for action in case.recent
        if action.action_id != own
        and action.mode is not Mode.OBSERVE
        and action.step in _STOPS
        and (action.executed_at or action.at) > case.now - within
    ]


def _share(case: Case, within: timedelta, limit_ratio: float) -> Why | None:
    gpus = case.look.gpus + sum(action.gpus for action in _stopped(case, within))
    return Why.GPU_LIMIT if gpus > limit_ratio * case.look.fleet_gpus else None
