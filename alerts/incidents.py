"""The life of an incident: opened by the first finding, updated while it lasts, resolved when it clears.

A pure state machine. Ids derive from what was found and when it began, so that saying it again changes nothing.
"""

from base64 import b32encode
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from math import isfinite

from msgspec import Struct, msgpack
from msgspec.structs import replace

from alerts.reasons import Reason
from alerts.severity import Severity, SeverityPolicy
from detectors.findings import Cause, Finding, Kind


class Step(StrEnum):
    """A change in the life of an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    EXPECTED = "expected"
    RESOLVED = "resolved"


class Incident(Struct, frozen=True, kw_only=True):
    """An incident as it stands. Moments are aware, UTC, of event time. Fields as in the contract, section 3."""

    incident_id: str
    fingerprint: str
    kind: Kind
    cause: Cause
    severity: Severity
    began_at: datetime
    detected_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    workload: str | None = None
    team: str | None = None
    model: str | None = None
    budget: str | None = None
    source: str | None = None  # of lost messages: topic, partition and offsets
    devices: tuple[str, ...] = ()
    usd_per_hour: float = 0.0
    usd_so_far: float = 0.0
    usd_if_ignored: float | None = None
    observed: float | None = None
    expected: float | None = None
    unit: str = "usd_per_hour"
    confidence: float = 1.0
    evidence: dict[str, float] = {}
    changes: tuple[str, ...] = ()
    transition: int = 0  # counts the changes that were worth a message; 0 is the opening
    acknowledged_at: datetime | None = None  # set by people, kept by the store
    acknowledged_by: str | None = None
    snoozed_until: datetime | None = None  # set by people, as are the next
    snoozed_by: str | None = None
    expected_at: datetime | None = None
    expected_by: str | None = None
    reopens: str | None = None  # the incident of the same condition that ended shortly before
    ended_before_at: datetime | None = None  # when that one ended


def incident_id(fingerprint: str, began_at: datetime) -> str:
    """`inc_` and 16 characters that depend on nothing but the condition and its beginning."""
    digest = blake2b(f"{fingerprint}|{began_at.isoformat()}".encode(), digest_size=10).digest()
    return "inc_" + b32encode(digest).decode().lower()


class Spoken(Struct, frozen=True):
    """The labels under which an incident was once spoken of: who was told then is told of its end as well."""

    severity: Severity
    cause: Cause
    team: str | None


class Transition(Struct, frozen=True, kw_only=True):
    """A change that is worth a message: the incident after it, and why it is worth one."""

    incident: Incident
    step: Step
    reason: Reason
    spoken: tuple[Spoken, ...] = ()  # how it was spoken of before, oldest first, each once


class SnapshotUnreadable(ValueError):
    """The bytes of a book that this version of the service can't read."""


class _Entry(Struct):
    incident: Incident
    told_usd: float  # dollars so far, as the latest message said
    spoken: tuple[Spoken, ...]


class _State(Struct):
    version: int
    entries: dict[str, _Entry] = {}  # open incidents by fingerprint
    ended: dict[str, datetime] = {}  # when the last incident of a fingerprint was resolved; oldest first
    ended_ids: dict[str, str] = {}  # which one that was
    forgotten_until: datetime | None = None  # no ending later than this was ever forgotten
    changed: dict[str, Incident] = {}  # by incident_id, in order of first touch


_VERSION = 1
_NOTHING_STATED = 0.0
REOPENED_WITHIN = timedelta(hours=1)  # a condition that comes back sooner reopens the incident rather than begin one


class Book:
    """The open incidents of one partition.

    Findings carry absolute figures, so one that comes twice, or late, changes nothing: what is older than the
    incident's latest news, or not later than its end, is let go. Severity only rises while an incident lasts.
    """

    def __init__(self, severity: SeverityPolicy, *, endings_remembered: int = 10_000) -> None:
        """Begin with nothing open. Beyond `endings_remembered`, the oldest ending is forgotten first."""
        self._policy = severity
        self._endings_remembered = endings_remembered
        self._state = _State(version=_VERSION)

    @property
    def open(self) -> list[Incident]:
        """Every incident that is not resolved, in order of opening."""
        return [entry.incident for entry in self._state.entries.values()]

    def apply(self, finding: Finding) -> Transition | None:
        """Take one finding in; return the change that is worth a message, or None."""
        finding = _finite(finding)
        entry = self._state.entries.get(finding.fingerprint)
        if entry is None:
            return None if finding.cleared else self._open(finding)
        if finding.at < entry.incident.updated_at:
            return None
        return self._resolve(entry, finding) if finding.cleared else self._update(entry, finding)

    def drain(self) -> list[Incident]:
        """Hand out the incidents touched since the last call, in order of first touch, and forget that they were."""
        changed = list(self._state.changed.values())
        self._state.changed.clear()
        return changed

    def to_bytes(self) -> bytes:
        """Everything the book knows, to be kept with the progress of its partition."""
        return msgpack.encode(self._state)

    @classmethod
    def from_bytes(cls, data: bytes, severity: SeverityPolicy) -> "Book":
        """Raises SnapshotUnreadable for bytes that another version wrote."""
        try:
            state = msgpack.decode(data, type=_State)
        except ValueError as error:
            raise SnapshotUnreadable(f"the book of incidents can't be decoded: {error}") from error
        if state.version != _VERSION:
            raise SnapshotUnreadable(
                f"the book of incidents has version {state.version}, this service reads {_VERSION}; "
                "start the version that wrote it, or let the partition be read again"
            )
        book = cls(severity)
        book._state = state
        return book

    def _open(self, finding: Finding) -> Transition | None:
        fingerprint = finding.fingerprint
        ended_at = self._state.ended.pop(fingerprint, None)
        if ended_at is not None and finding.at <= ended_at:
            self._state.ended[fingerprint] = ended_at
            return None
        before = self._state.ended_ids.pop(fingerprint, None)
        again = before is not None and ended_at is not None and finding.at - ended_at <= REOPENED_WITHIN
        incident = Incident(
            incident_id=incident_id(fingerprint, self._distinct_beginning(finding, ended_at)),
            fingerprint=fingerprint,
            kind=finding.kind,
            cause=finding.cause,
            severity=self._policy.of(finding),
            began_at=finding.began_at,
            detected_at=finding.at,
            updated_at=finding.at,
            workload=finding.workload,
            team=finding.team,
            model=finding.model,
            budget=finding.budget,
            source=finding.source,
            devices=finding.devices,
            usd_per_hour=finding.usd_per_hour,
            usd_so_far=finding.usd_so_far,
            usd_if_ignored=finding.usd_if_ignored,
            observed=finding.observed,
            expected=finding.expected,
            unit=finding.unit,
            confidence=finding.confidence,
            evidence=finding.evidence,
            changes=finding.changes,
            reopens=before if again else None,
            ended_before_at=ended_at if again else None,
        )
        entry = _Entry(incident, incident.usd_so_far, ())
        self._state.entries[fingerprint] = entry
        return self._say(entry, Step.OPENED, Reason.REOPENED if again else Reason.FIRST_TIME)

    def _distinct_beginning(self, finding: Finding, ended_at: datetime | None) -> datetime:
        """The moment that the id derives from.

        A condition may come back with a beginning that its resolved incident already covers; the id then derives from
        the minute in which it was seen again, which is later than every moment an earlier id of it derived from.
        """
        covered_until = ended_at or self._state.forgotten_until
        return finding.at if covered_until is not None and finding.began_at <= covered_until else finding.began_at

    def _update(self, entry: _Entry, finding: Finding) -> Transition | None:
        was = entry.incident
        severity = max(was.severity, self._policy.of(finding), key=lambda one: one.loudness)
        entry.incident = replace(
            was,
            severity=severity,
            cause=was.cause if finding.cause is Cause.UNKNOWN else finding.cause,
            updated_at=finding.at,
            team=finding.team or was.team,
            devices=finding.devices or was.devices,
            usd_per_hour=finding.usd_per_hour,
            usd_so_far=finding.usd_so_far,
            usd_if_ignored=finding.usd_if_ignored,
            observed=finding.observed,
            expected=finding.expected,
            unit=finding.unit,
            confidence=finding.confidence,
            evidence=finding.evidence,
            changes=finding.changes or was.changes,
        )
        if severity is not was.severity:
            return self._say(entry, Step.UPDATED, Reason.SEVERITY_RAISED)
        if severity is not Severity.INFO and self._doubled(entry):
            return self._say(entry, Step.UPDATED, Reason.DOLLARS_DOUBLED)
        self._touch(entry.incident)
        return None

    def _doubled(self, entry: _Entry) -> bool:
        incident = entry.incident
        saves = incident.usd_per_hour < 0.0  # savings that grow are not worth another message
        return not saves and incident.usd_so_far >= max(2 * entry.told_usd, self._policy.say_again_from_usd)

    def _resolve(self, entry: _Entry, finding: Finding) -> Transition:
        """Close with the clearing finding's figures; a figure that it does not state stays as it was."""
        was = entry.incident
        entry.incident = replace(
            was,
            updated_at=finding.at,
            resolved_at=max(finding.ended_at or finding.at, was.began_at),
            usd_per_hour=finding.usd_per_hour if finding.usd_per_hour != _NOTHING_STATED else was.usd_per_hour,
            usd_so_far=finding.usd_so_far if finding.usd_so_far != _NOTHING_STATED else was.usd_so_far,
            usd_if_ignored=finding.usd_if_ignored if finding.usd_if_ignored is not None else was.usd_if_ignored,
            observed=finding.observed if finding.observed is not None else was.observed,
            expected=finding.expected if finding.expected is not None else was.expected,
            evidence=finding.evidence or was.evidence,
            changes=finding.changes or was.changes,
        )
        transition = self._say(entry, Step.RESOLVED, Reason.RESOLVED)
        del self._state.entries[was.fingerprint]
        self._remember_end(entry.incident, finding.at)
        return transition

    def _remember_end(self, incident: Incident, at: datetime) -> None:
        ended = self._state.ended
        ended[incident.fingerprint] = at
        self._state.ended_ids[incident.fingerprint] = incident.incident_id
        while len(ended) > self._endings_remembered:
            oldest = next(iter(ended))
            self._state.ended_ids.pop(oldest, None)
            forgotten = ended.pop(oldest)
            self._state.forgotten_until = max(forgotten, self._state.forgotten_until or forgotten)

    def _say(self, entry: _Entry, step: Step, reason: Reason) -> Transition:
        if step is not Step.OPENED:
            entry.incident = replace(entry.incident, transition=entry.incident.transition + 1)
        incident, before = entry.incident, entry.spoken
        entry.told_usd = incident.usd_so_far
        entry.spoken = tuple(dict.fromkeys((*before, Spoken(incident.severity, incident.cause, incident.team))))
        self._touch(incident)
        return Transition(incident=incident, step=step, reason=reason, spoken=before)

    def _touch(self, incident: Incident) -> None:
        self._state.changed[incident.incident_id] = incident


def _finite(finding: Finding) -> Finding:
    """The finding without figures that are no numbers: JSON has none of these, and they would not be read back."""
    required = {
        "usd_per_hour": finding.usd_per_hour,
        "usd_so_far": finding.usd_so_far,
        "confidence": finding.confidence,
    }
    optional = {
        "usd_if_ignored": finding.usd_if_ignored,
        "observed": finding.observed,
        "expected": finding.expected,
    }
    wrong: dict[str, float | None] = {name: 0.0 for name, value in required.items() if not isfinite(value)}
    wrong |= {name: None for name, value in optional.items() if value is not None and not isfinite(value)}
    evidence = {name: value for name, value in finding.evidence.items() if isfinite(value)}
    if not wrong and len(evidence) == len(finding.evidence):
        return finding
    return replace(finding, evidence=evidence, **wrong)


__all__ = [
    "Book",
    "Finding",
    "Incident",
    "Severity",
    "SeverityPolicy",
    "SnapshotUnreadable",
    "Spoken",
    "Step",
    "Transition",
    "incident_id",
]
