"""The life of an incident: opened by the first finding, updated while it lasts, resolved when it clears.

A pure state machine. Ids derive from what was found and when it began, so that saying it again changes nothing.
"""

from base64 import b32encode
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

from msgspec import Struct

from detectors.findings import Cause, Finding, Kind


class Severity(StrEnum):
    """How loudly it is said: wake someone, tell someone, or record and digest only."""

    PAGE = "page"
    WARN = "warn"
    INFO = "info"


class Step(StrEnum):
    """A change in the life of an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
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


def incident_id(fingerprint: str, began_at: datetime) -> str:
    """`inc_` and 16 characters that depend on nothing but the condition and its beginning."""
    digest = blake2b(f"{fingerprint}|{began_at.isoformat()}".encode(), digest_size=10).digest()
    return "inc_" + b32encode(digest).decode().lower()


__all__ = ["Finding", "Incident", "Severity", "Step", "incident_id"]
