"""Whether an idle accelerator may be stopped, and the way of an action. Pure: decisions are values with a reason."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Mode(StrEnum):
    """How far scale-down may go."""

    OBSERVE = "observe"  # the default: record what would have been done
    PROPOSE = "propose"  # ask a person
    AUTO = "auto"  # act, after a warning and a second look


class ActionStep(StrEnum):
    """The steps of an action (contract, section 4)."""

    WARNED = "warned"
    PROPOSED = "proposed"
    APPROVED = "approved"
    KEPT = "kept"
    RECHECKED = "rechecked"
    EXECUTED = "executed"
    VERIFIED = "verified"
    FAILED = "failed"
    UNDONE = "undone"


class Action(Struct, frozen=True, kw_only=True):
    """A scale-down as it stands: of which incident, how far it has come, and the evidence it rests on."""

    action_id: str  # "act_" + deterministic from the incident
    incident_id: str
    workload: str
    team: str | None
    mode: Mode
    step: ActionStep
    at: datetime  # event time of the latest step
    usd_per_hour: float
    replicas_from: int
    replicas_to: int = 0
    gpus: int = 0
    evidence: dict[str, float] = {}
    reason: str = ""
    approved_by: str | None = None
    expires_at: datetime | None = None
    transition: int = 0
