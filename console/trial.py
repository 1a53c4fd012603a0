"""A made-up incident, to see whether a channel reaches anyone."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step, incident_id
from alerts.messages import title
from alerts.notices import Notice, Reason
from detectors.findings import Cause, Kind


def trial_notices(channel: str, now: datetime) -> Iterator[Notice]:
    """The opening of an incident that says of itself that it is a trial, and its end."""
    began_at = now - timedelta(minutes=30)
    opened = Incident(
        incident_id=incident_id("trial", now),
        fingerprint="trial",
        kind=Kind.IDLE,
        cause=Cause.MEMORY_HELD,
        severity=Severity.WARN,
        began_at=began_at,
        detected_at=now,
        updated_at=now,
        workload="trial/of-this/channel",
        team="trial",
        devices=("GPU-trial",),
        usd_per_hour=4.0,
        usd_so_far=2.0,
        evidence={"idle_s": 1800.0},
        changes=("this is a trial of the channel: nothing is wrong, and nothing is to be done",),
    )
    yield _notice(opened, channel, Step.OPENED, Reason.FIRST_TIME)
    over = replace(opened, resolved_at=now, transition=1)
    yield _notice(over, channel, Step.RESOLVED, Reason.RESOLVED)


def _notice(incident: Incident, channel: str, step: Step, reason: Reason) -> Notice:
    return Notice(
        notice_id=f"{incident.incident_id}:{incident.transition}:{channel}",
        channel=channel,
        subject="incident",
        subject_id=incident.incident_id,
        transition=incident.transition,
        step=step,
        reason=reason,
        title=title(incident),
        at=incident.updated_at,
        body=json.encode(incident),
    )
