"""Two policies on the same past: what one tells of and the other does not, in dollars. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from alerts.hindsight import Message, PolicySums, alert, burnt_usd, sums_of
from alerts.incidents import Incident
from alerts.would_stop import WouldStop


class Judged(Struct, kw_only=True):
    """All that a run of the past under one policy came to."""

    name: str
    incidents: list[Incident]
    messages: list[Message] = []
    stops: list[WouldStop] = []


class Difference(Struct, frozen=True, kw_only=True):
    """An alert of one policy that the other has nothing for."""

    kind: str
    cause: str
    subject: str
    severity: str
    began_at: datetime
    detected_at: datetime
    resolved_at: datetime | None
    usd: float  # gone, while it lasted
    other: str  # what the other policy does with it: "recorded only" or "not found"


class Comparison(Struct, frozen=True, kw_only=True):
    """A new policy against the current one."""

    new: PolicySums
    current: PolicySums
    missed_usd: float  # what the current policy tells of and the new one does not
    gained_usd: float
    missed: tuple[Difference, ...]  # the dearest first
    gained: tuple[Difference, ...]
    stops: tuple[WouldStop, ...]  # of the new policy


def compare(new: Judged, current: Judged) -> Comparison:
    """Set them side by side. An alert has its like in one of the same kind and subject that overlaps it in time."""
    missed, gained = _without_like(current, new), _without_like(new, current)
    return Comparison(
        new=sums_of(new.name, new.incidents, new.messages, new.stops),
        current=sums_of(current.name, current.incidents, current.messages, current.stops),
        missed_usd=sum(one.usd for one in missed),
        gained_usd=sum(one.usd for one in gained),
        missed=missed,
        gained=gained,
        stops=tuple(new.stops),
    )


def subject(incident: Incident) -> str:
    """What the incident is about."""
    return incident.source or incident.budget or incident.workload or incident.model or "unknown"


def _without_like(told: Judged, other: Judged) -> tuple[Difference, ...]:
    likes: dict[tuple[str, str], list[Incident]] = {}
    for incident in other.incidents:
        likes.setdefault((incident.kind, subject(incident)), []).append(incident)
    found = []
    for incident in filter(alert, told.incidents):
        near = [one for one in likes.get((incident.kind, subject(incident)), ()) if _overlap(one, incident)]
        if not any(map(alert, near)):
            found.append(_difference(incident, near))
    return tuple(sorted(found, key=lambda one: (-one.usd, one.detected_at, one.kind, one.subject)))


def _overlap(one: Incident, other: Incident) -> bool:
    return one.began_at <= _end(other) and other.began_at <= _end(one)


def _end(incident: Incident) -> datetime:
    return incident.resolved_at or incident.updated_at


def _difference(incident: Incident, near: Sequence[Incident]) -> Difference:
    return Difference(
        kind=str(incident.kind),
        cause=str(incident.cause),
        subject=subject(incident),
        severity=str(incident.severity),
        began_at=incident.began_at,
        detected_at=incident.detected_at,
        resolved_at=incident.resolved_at,
        usd=burnt_usd(incident),
        other="recorded only" if near else "not found",
    )


def since(judged: Judged, start: datetime | None) -> Judged:
    """Only what was found at that moment or later: what came before has taught the detectors."""
    if start is None:
        return judged
    return Judged(
        name=judged.name,
        incidents=[one for one in judged.incidents if one.detected_at >= start],
        messages=[one for one in judged.messages if one.at >= start],
        stops=[one for one in judged.stops if one.at >= start],
    )
