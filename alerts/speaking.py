"""Should the service speak? Each rule is one function of the situation, with its reason; the first no decides.

The rules are those of Alertmanager where it has one, and what is held back is kept with its reason. The end of what was
told is always told. Pure.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from alerts.incidents import REOPENED_WITHIN, Incident, Severity, Step
from alerts.reasons import Hush, Reason
from alerts.silences import Silence, silencing
from detectors.findings import Cause, Kind


class SpeakingPolicy(Struct, frozen=True, kw_only=True):
    """When the service keeps quiet, and when it speaks again. Durations in seconds."""

    group_from: int = 5  # so many of one team, cluster and cause are told one by one within `group_interval_s`
    fleet_from: int = 10  # so many of one cluster and cause, whosever they are
    storm_from: int = 20  # so many incidents may wait for a channel at once
    group_wait_s: float = 30.0  # the first summary of a group waits so long for its others
    group_interval_s: float = 300.0  # then it is brought up to date no more often
    summary_every_s: float = 60.0  # the summary of a storm
    repeat_after_s: float = 14_400.0  # a page that is open and taken by nobody is said again
    escalate_after_s: float = 900.0  # and told to others
    pages_max: int = 2  # of one owner
    pages_window_s: float = 43_200.0
    always_page_usd_per_hour: float = 1000.0  # this much is told whatever went before


class Paged(Struct, frozen=True):
    """An incident that has woken its owner."""

    incident_id: str
    at: datetime


class Situation(Struct, frozen=True, kw_only=True):
    """All that the decision rests on."""

    policy: SpeakingPolicy
    incident: Incident  # as it stands
    step: str
    reason: Reason
    now: datetime
    wakes: bool = False  # whether the channel wakes people
    spoken: bool = False  # whether the channel was told of this incident in a message of its own
    hushed: bool = False  # whether something of it was held back from the channel
    summed: Hush | None = None  # why a summary tells the channel of it, where one does
    silences: Sequence[Silence] = ()
    lost: Sequence[Incident] = ()  # open incidents of lost telemetry
    paged: Sequence[Paged] = ()  # what has woken the same owner, within the window
    group: int = 0  # openings of its team, cluster and cause that the channel was told within the interval
    fleet: int = 0  # openings of its cluster and cause


def first_hush(situation: Situation) -> Hush | None:
    """Why it is not said; None: say it."""
    if situation.step in _ENDS:
        return (situation.summed or Hush.NEVER_TOLD) if situation.hushed and not situation.spoken else None
    return next((hush for rule in RULES if (hush := rule(situation)) is not None), None)


def expected(s: Situation) -> Hush | None:
    """People said that it was to be expected."""
    return Hush.EXPECTED if s.incident.expected_at is not None else None


def snoozed(s: Situation) -> Hush | None:
    """Someone wants to hear of it later. A rise to a page ends the wait."""
    until = s.incident.snoozed_until
    waits = until is not None and s.now < until
    woken = s.reason is Reason.SEVERITY_RAISED and s.incident.severity is Severity.PAGE
    return Hush.SNOOZED if waits and not woken else None


def silenced(s: Situation) -> Hush | None:
    """A silence or a maintenance window matches it now."""
    return Hush.SILENCED if silencing(s.incident, s.silences, s.now) is not None else None


def telemetry_lost(s: Situation) -> Hush | None:
    """What looks idle may only be unheard: the loss is told, the idleness waits for the telemetry to come back."""
    if s.incident.kind not in (Kind.IDLE, Kind.WASTE):
        return None
    return Hush.TELEMETRY_LOST if any(_same_place(s.incident, one) for one in s.lost) else None


def flapping(s: Situation) -> Hush | None:
    """It ended less than an hour ago: one opening and one end an hour are enough, unless it wakes people."""
    ended_at = s.incident.ended_before_at
    if ended_at is None or s.spoken or s.incident.severity is Severity.PAGE:
        return None
    return Hush.FLAPPING if s.now - ended_at < REOPENED_WITHIN else None


def told_in_a_summary(s: Situation) -> Hush | None:
    """A summary tells of it: what is new goes there too, unless it has become a page."""
    woken = s.reason is Reason.SEVERITY_RAISED and s.incident.severity is Severity.PAGE
    return s.summed if not s.spoken and not woken else None


def part_of_a_fleet_cause(s: Situation) -> Hush | None:
    """A cluster has it everywhere at once: one summary tells more than each part."""
    return Hush.FLEET_CAUSE if _opens(s) and s.fleet >= s.policy.fleet_from else None


def one_of_a_group(s: Situation) -> Hush | None:
    """One team has many of it at once. A page is told on its own."""
    quiet = s.incident.severity is not Severity.PAGE
    return Hush.GROUPED if _opens(s) and quiet and s.group >= s.policy.group_from else None


def budget_spent(s: Situation) -> Hush | None:
    """Its owner was woken often enough; other channels are told all the same. Very many dollars wake anyway."""
    if not s.wakes or s.incident.severity is not Severity.PAGE:
        return None
    if s.incident.usd_per_hour >= s.policy.always_page_usd_per_hour:
        return None
    since = s.now - timedelta(seconds=s.policy.pages_window_s)
    others = {one.incident_id for one in s.paged if one.at > since and one.incident_id != s.incident.incident_id}
    return Hush.BUDGET_SPENT if len(others) >= s.policy.pages_max else None


RULES: tuple[Callable[[Situation], Hush | None], ...] = (
    expected,
    snoozed,
    silenced,
    telemetry_lost,
    flapping,
    told_in_a_summary,
    part_of_a_fleet_cause,
    one_of_a_group,
    budget_spent,
)
PASSING = frozenset({Hush.SILENCED, Hush.SNOOZED, Hush.TELEMETRY_LOST, Hush.FLAPPING, Hush.BUDGET_SPENT})
SUMMED = frozenset({Hush.FLEET_CAUSE, Hush.GROUPED, Hush.COLLAPSED})
_ENDS = frozenset({Step.RESOLVED, Step.ACKNOWLEDGED, Step.SNOOZED, Step.EXPECTED})

Key = tuple[str, ...]


def group_of(incident: Incident) -> Key:
    """Its team, cluster, kind and cause."""
    return (incident.team or "", *fleet_of(incident))


def fleet_of(incident: Incident) -> Key:
    """Its cluster, kind and cause."""
    return ((incident.workload or "").partition("/")[0], incident.kind, incident.cause)


def owner_of(incident: Incident) -> str:
    """Whose nights are counted: the team; those of nobody are counted together."""
    return incident.team or ""


def _opens(s: Situation) -> bool:
    return s.step == Step.OPENED and not s.spoken and s.reason is not Reason.HUSH_ENDED


def _same_place(incident: Incident, lost: Incident) -> bool:
    if lost.kind is not Kind.DATA_GAP or lost.cause is Cause.POISON or lost.resolved_at is not None:
        return False
    same_workload = incident.workload is not None and incident.workload == lost.workload
    return same_workload or not set(incident.devices).isdisjoint(lost.devices)
