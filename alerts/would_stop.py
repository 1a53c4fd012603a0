"""What mode auto would have stopped while it was only observed, and whether that would have been regretted. Pure.

A stop that is only thought of leaves the workload running, so that one can see what it would have interrupted: where
work comes back within half an hour, the stop would have been a mistake.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from alerts.incidents import Incident
from alerts.scale_down import Action, ActionStep, Look, Mode, ScaleDownPolicy
from alerts.scale_down_rules import BEFORE_ACTING, BEFORE_ANY_STEP, LIMITS, Case, first_no

REGRETTED_WITHIN = timedelta(minutes=30)
WAITED_FOR = timedelta(minutes=60)  # so long telemetry may take to show what happened in the half hour


class Outcome(StrEnum):
    """What became of a workload in the half hour after it would have been stopped."""

    WATCHED = "watched"  # the half hour is not over, or not yet seen
    QUIET = "quiet"  # no work came
    BUSY_AGAIN = "busy_again"  # work came back: the stop would have been regretted
    GONE = "gone"  # it gave its accelerators up by itself
    UNSEEN = "unseen"  # its telemetry has a hole: nobody can say


class WouldStop(Struct, frozen=True, kw_only=True):
    """A stop that mode auto would have carried out, and what was seen since."""

    stop_id: str  # of the action and its proposal
    action_id: str
    incident_id: str
    workload: str
    team: str | None
    at: datetime  # event time at which it would have been stopped
    usd_per_hour: float
    gpus: int = 0
    held_back: str = ""  # the limit that would have held it back; empty: none
    outcome: Outcome = Outcome.WATCHED
    judged_at: datetime | None = None  # when the outcome was first known
    quiet_until: datetime | None = None  # up to here telemetry shows that no work came
    ended_at: datetime | None = None  # when work came back, or the accelerators went
    evidence: dict[str, float] = {}

    @property
    def would_have_saved_usd(self) -> float:
        """Dollars of the time in which it is seen to have done nothing; none where the stop was a mistake."""
        until = self.ended_at or self.quiet_until
        if until is None or self.outcome is Outcome.BUSY_AGAIN:
            return 0.0
        return self.usd_per_hour * max((until - self.at).total_seconds(), 0.0) / 3600.0


class Seen(Struct, frozen=True, kw_only=True):
    """A workload as its newest complete minute shows it."""

    at: datetime
    state: str  # "busy", "idle" or "unknown"
    devices: int
    idle_since: datetime | None = None
    figures: dict[str, float] = {}  # what it rests on, by name and unit


def would_stop(
    policy: ScaleDownPolicy,
    incident: Incident,
    action: Action | None,
    look: Look,
    recent: Sequence[Action],
    stops: Iterable[WouldStop],
    now: datetime,
    paused: bool,
) -> WouldStop | None:
    """Say what mode auto would stop now, by its own rules; None where one of them says no.

    A limit that says no is noted and not obeyed: whether the workload was idle does not depend on it. An empty selector
    selects everything, as in mode observe; the warning counts as delivered. `stops`: those of the last day.
    """
    if action is None or action.step is not ActionStep.PROPOSED or action.mode is not Mode.OBSERVE:
        return None
    case = Case(
        policy=policy,
        mode=Mode.OBSERVE,
        incident=incident,
        action=action,
        look=replace(look, warning_delivered=True),
        recent=[*recent, *(as_action(one) for one in stops if not one.held_back)],
        now=now,
        paused=paused,
    )
    acting = replace(case, mode=Mode.AUTO)
    before_limits = [rule for rule in BEFORE_ACTING if rule not in LIMITS]
    if first_no(BEFORE_ANY_STEP, case) or first_no(before_limits, acting):
        return None
    return WouldStop(
        stop_id=f"{action.action_id}:{action.transition}",
        action_id=action.action_id,
        incident_id=incident.incident_id,
        workload=action.workload,
        team=incident.team or action.team,
        at=now,
        usd_per_hour=incident.usd_per_hour,
        gpus=look.gpus,
        held_back=first_no(LIMITS, acting) or "",
        evidence={**incident.evidence, "idle_s": case.idle_s},
    )


def follow(stop: WouldStop, incident: Incident | None, seen: Seen | None, now: datetime) -> WouldStop:
    """Look at what became of it; as it was where there is nothing new.

    An idle incident ends by work, or because its accelerators are gone: with accelerators still heard it was work.
    """
    if stop.ended_at is not None:
        return stop
    if incident is not None and incident.resolved_at is not None:
        ended_at = max(incident.resolved_at, stop.at)
        return _gone(stop, ended_at, now) if _vanished(incident, seen) else _worked(stop, ended_at, seen, now)
    if seen is not None and seen.state == "busy" and seen.at >= stop.at:
        return _worked(stop, seen.at, seen, now)
    quiet = seen is not None and seen.state == "idle" and seen.idle_since is not None and seen.idle_since <= stop.at
    if seen is not None and quiet:
        stop = replace(stop, quiet_until=max(seen.at, stop.quiet_until or seen.at))
    if stop.outcome is not Outcome.WATCHED:
        return stop
    if stop.quiet_until is not None and stop.quiet_until >= stop.at + REGRETTED_WITHIN:
        figures = {} if seen is None else seen.figures
        return replace(stop, outcome=Outcome.QUIET, judged_at=now, evidence={**stop.evidence, **figures})
    unseen = now >= stop.at + WAITED_FOR
    return replace(stop, outcome=Outcome.UNSEEN, judged_at=now) if unseen else stop


def as_action(stop: WouldStop) -> Action:
    """The stop as the limits would count it."""
    return Action(
        action_id=stop.action_id,
        incident_id=stop.incident_id,
        workload=stop.workload,
        team=stop.team,
        mode=Mode.AUTO,
        step=ActionStep.EXECUTED,
        at=stop.at,
        usd_per_hour=stop.usd_per_hour,
        replicas_from=1,
        gpus=stop.gpus,
        executed_at=stop.at,
    )


def _vanished(incident: Incident, seen: Seen | None) -> bool:
    """Whether nothing of it was heard any more when its incident ended."""
    ended_at = incident.resolved_at or incident.updated_at
    return seen is None or (seen.state != "busy" and (seen.devices == 0 or seen.at <= ended_at))


def _worked(stop: WouldStop, at: datetime, seen: Seen | None, now: datetime) -> WouldStop:
    within = at <= stop.at + REGRETTED_WITHIN
    figures = {} if seen is None else seen.figures
    return replace(
        stop,
        outcome=Outcome.BUSY_AGAIN if within else _known(stop, Outcome.QUIET),
        judged_at=now if within else stop.judged_at or now,
        ended_at=at,
        evidence={**stop.evidence, **(figures if within else {}), "back_after_s": (at - stop.at).total_seconds()},
    )


def _gone(stop: WouldStop, at: datetime, now: datetime) -> WouldStop:
    within = at <= stop.at + REGRETTED_WITHIN
    return replace(
        stop,
        outcome=_known(stop, Outcome.GONE if within else Outcome.QUIET),
        judged_at=stop.judged_at or now,
        ended_at=at,
        evidence={**stop.evidence, "gone_after_s": (at - stop.at).total_seconds()},
    )


def _known(stop: WouldStop, outcome: Outcome) -> Outcome:
    """What was judged stays; what was not is as its end shows."""
    return outcome if stop.outcome is Outcome.WATCHED else stop.outcome
