"""Whether an idle accelerator may be stopped, and the way of an action. Pure: decisions are values with a reason."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from alerts.freezes import Freeze
from alerts.matching import Matcher


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
    warned_at: datetime | None = None  # absent: as late as `at`
    proposed_at: datetime | None = None
    executed_at: datetime | None = None  # absent, once executed: as late as `at`
    waiting: str = ""  # why it took no further step when it was looked at last


class ScaleDownPolicy(Struct, frozen=True, kw_only=True):
    """What must hold before anything is stopped. As it comes, it only observes.

    Nothing can be stopped, and nobody is asked, unless `enabled` is set, `mode` is propose or auto, the selector is not
    empty (an empty one matches nothing) and a target is configured; short of that the mode is observe.
    The share of accelerators is strict: in a fleet of fewer than 20, 5 percent is less than one, and the owner has to
    raise it.
    """

    mode: Mode = Mode.OBSERVE
    enabled: bool = False
    target: str | None = None  # name of the configured target that carries it out
    selector: tuple[Matcher, ...] = ()  # which incidents; all must match
    protected: tuple[str, ...] = ()  # globs on workload: never touched
    warn_after_s: float = 1800.0  # idle time
    propose_after_s: float = 3600.0  # idle time
    act_after_s: float = 7200.0  # idle time, where no person has approved
    warning_lead_s: float = 900.0  # at least this long between the warning and the act
    approval_valid_s: float = 3600.0  # an approval older than this is asked for again
    recheck_valid_s: float = 600.0  # a second look older than this is taken again
    verify_within_s: float = 1800.0  # the telemetry must prove the act within this time
    vanished_after_s: float = 900.0  # so long all its accelerators are silent while others of the cluster are heard
    keep_s: float = 86400.0  # how long "keep running" holds
    fresh_within_s: float = 180.0  # the newest telemetry may be this old
    min_evidence_families: int = 2
    max_workloads_per_hour: int = 4
    max_workloads_per_day: int = 20
    max_workloads_per_team_and_hour: int = 4
    freezes: tuple[Freeze, ...] = ()  # when nothing is stopped
    max_gpu_ratio_per_hour: float = 0.05  # 0 to 1, of the fleet
    max_gpu_ratio_per_day: float = 0.10  # 0 to 1, of the fleet
    correlated_ratio: float = 0.2  # 0 to 1, of the fleet turning idle within 10 minutes: the telemetry is suspect
    correlated_more_than_gpus: int = 3  # and at least more than this many

    @property
    def effective_mode(self) -> Mode:
        """How far it may really go, with what is configured."""
        armed = self.enabled and bool(self.selector) and self.target is not None
        return self.mode if armed else Mode.OBSERVE


class Traces(Struct, frozen=True, kw_only=True):
    """Where the accelerators of a stopped workload were seen, over all partitions. Silence alone is no owner."""

    owned_gpus: int  # whose latest owner is the workload, however long ago that was
    moved_gpus: int  # of the incident's accelerators: seen with another owner since the order
    last_seen_at: datetime | None  # the newest sighting of any with the workload
    heard_until: datetime | None  # up to here all is read, and other accelerators of its cluster were heard
    others_heard: int = 0  # so many
    order_delivered: bool = False  # the receiver has accepted the order


class Standing(StrEnum):
    """What a target says of whether it may touch an object at all."""

    FREE = "free"
    ABSENT = "absent"  # it has no such object, or may not see it
    PROTECTED = "protected"  # its owner has marked it there
    MANAGED = "managed"  # something else sets its size, and would set it back


class Observed(Struct, frozen=True, kw_only=True):
    """An object as its target sees it just now. `generation` rises with each change of its specification."""

    standing: Standing
    replicas: int | None = None
    generation: int | None = None
    detail: str = ""  # which object, and what protects or manages it


class Look(Struct, frozen=True, kw_only=True):
    """A workload's accelerators as they are seen at the moment of deciding. Absent means unknown, never zero."""

    state: str  # "busy", "idle" or "unknown"
    fresh_age_s: float | None  # age of the newest telemetry
    families: int  # independent kinds of evidence that say idle: utilisation, power, tokens...
    gpus: int  # accelerators that the workload holds
    fleet_gpus: int
    newly_idle_gpus: int  # in the whole fleet, within the last 10 minutes
    replicas: int = 1
    idle_s: float | None = None  # where known; else counted from the incident's beginning
    protected: bool = False  # marked by its owner
    warning_delivered: bool = False  # a channel has accepted the warning of this action
    traces: Traces | None = None  # of an executed action
    target: Observed | None = None  # None: not known, or this target cannot be asked
    target_asked: bool = False


class Why(StrEnum):
    """Why an action takes a step, or none. Stored, counted and tested."""

    # why it takes a step
    IDLE_LONG_ENOUGH = "idle_long_enough"
    MODE_RAISED = "mode_raised"  # was only observed until now: it begins again with a warning
    KEEP_ENDED = "keep_ended"
    APPROVAL_EXPIRED = "approval_expired"  # asked again
    RECHECK_EXPIRED = "recheck_expired"  # looked at again
    TARGET_CHANGED = "target_changed"  # it is no longer what was approved: asked again
    SECOND_LOOK_HOLDS = "second_look_holds"
    ALL_RULES_HOLD = "all_rules_hold"
    BUSY_AGAIN = "busy_again"
    GPUS_GONE = "gpus_gone"  # seen with another owner
    GPUS_VANISHED = "gpus_vanished"  # heard no more, while the rest of the cluster is
    NOT_SEEN_TO_STOP = "not_seen_to_stop"
    APPROVED_BY_PERSON = "approved_by_person"
    KEPT_BY_PERSON = "kept_by_person"
    UNDONE_BY_PERSON = "undone_by_person"
    # why it takes none
    PAUSED = "paused"
    NOT_IDLE = "not_idle"  # the incident is of another kind, or over
    NO_WORKLOAD = "no_workload"  # nobody's accelerators: there is nothing to scale
    NOT_SELECTED = "not_selected"
    PROTECTED = "protected"
    TARGET_UNKNOWN = "target_unknown"  # the target does not answer, or knows no such workload
    TARGET_MANAGED = "target_managed"  # something else would undo it
    STATE_UNKNOWN = "state_unknown"
    BUSY = "busy"
    TELEMETRY_STALE = "telemetry_stale"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"
    FLEET_UNKNOWN = "fleet_unknown"
    CORRELATED_IDLE = "correlated_idle"
    TOO_EARLY = "too_early"
    OBSERVE_ONLY = "observe_only"
    NOT_APPROVED = "not_approved"
    WARNED_TOO_LATELY = "warned_too_lately"
    WARNING_NOT_DELIVERED = "warning_not_delivered"
    FROZEN = "frozen"
    WORKLOAD_LIMIT = "workload_limit"
    TEAM_LIMIT = "team_limit"
    GPU_LIMIT = "gpu_limit"
    WAITING_FOR_PROOF = "waiting_for_proof"
    KEPT = "kept"
    OVER = "over"  # verified, failed or undone


class Decision(Struct, frozen=True, kw_only=True):
    """The next step of an action, or none, and why. `action` is the action after it (or as it stays)."""

    step: ActionStep | None
    reason: Why
    action: Action | None
    trips_breaker: bool = False  # so much turned idle at once that all acting must stop until a person resets it
