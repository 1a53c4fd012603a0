"""The incident of a partition that was stopped: so much of it was unusable that reading on would have emptied it.

Nothing in the partition is judged until a person looks, so it pages. It has one beginning (the message that passed the
limit) and one end (a person who says resume); its id derives from the former.
"""

from datetime import datetime

from msgspec.structs import replace

from alerts.incidents import Incident, Spoken, Step, Transition, incident_id
from alerts.reasons import Reason
from alerts.severity import Severity
from detectors.findings import Cause, Kind


def stopped(*, topic: str, partition: int, offset: int, at: datetime, now: datetime, bad_messages: int) -> Transition:
    """The opening: `offset` and `at` are those of the message that passed the limit."""
    print_ = f"{Kind.DATA_GAP}|{Cause.POISON}|{topic}|{partition}"
    incident = Incident(
        incident_id=incident_id(f"{print_}|{offset}", at),
        fingerprint=print_,
        kind=Kind.DATA_GAP,
        cause=Cause.POISON,
        severity=Severity.PAGE,
        began_at=at,
        detected_at=max(now, at),
        updated_at=max(now, at),
        observed=float(bad_messages),
        unit="messages",
        evidence={"stopped_at_offset": float(offset)},
    )
    return Transition(incident=incident, step=Step.OPENED, reason=Reason.FIRST_TIME)


def resumed(incident: Incident, at: datetime) -> Transition:
    """The end: a person has said that reading goes on."""
    spoken = Spoken(incident.severity, incident.cause, incident.team)
    moment = max(at, incident.updated_at)
    ended = replace(incident, resolved_at=moment, updated_at=moment, transition=incident.transition + 1)
    return Transition(incident=ended, step=Step.RESOLVED, reason=Reason.RESOLVED, spoken=(spoken,))


def place(incident: Incident) -> str:
    """Topic and partition in words; "a partition" where the fingerprint is of another form."""
    parts = incident.fingerprint.split("|", 3)
    return f"partition {parts[3]} of {parts[2]}" if len(parts) == 4 else "a partition"
