"""The tables. Rows have no behaviour and never leave `store/`; columns are named as the structs' fields are."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from store.types import ExactDecimal, UtcMoment, Words

Key = Annotated[str, mapped_column(Words, primary_key=True)]
MomentKey = Annotated[datetime, mapped_column(UtcMoment, primary_key=True)]
NumberKey = Annotated[int, mapped_column(BigInteger, primary_key=True, autoincrement=False)]
Serial = Annotated[
    int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
]


class Row(DeclarativeBase):
    """What all tables share: how a Python type is kept."""

    type_annotation_map: ClassVar = {
        bytes: LargeBinary,
        datetime: UtcMoment,
        Decimal: ExactDecimal,
        int: BigInteger,
        str: Words,
    }


class Progress(Row):
    """Who owns a partition: the epoch fences earlier owners."""

    __tablename__ = "progress"

    partition: Mapped[NumberKey]
    epoch: Mapped[int]
    owner: Mapped[str]
    claimed_at: Mapped[datetime]
    committed_at: Mapped[datetime | None]
    watermark_at: Mapped[datetime | None]  # event time up to which the partition is complete


class SnapshotPart(Row):
    """A part of a partition's latest snapshot: in parts, so that a commit rewrites only what has changed."""

    __tablename__ = "snapshot_parts"

    partition: Mapped[int] = mapped_column(ForeignKey("progress.partition"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    taken_at: Mapped[datetime]
    body: Mapped[bytes]


class Offset(Row):
    """Where reading of one topic goes on, as of the partition's snapshot."""

    __tablename__ = "offsets"

    partition: Mapped[int] = mapped_column(ForeignKey("progress.partition"), primary_key=True, autoincrement=False)
    topic: Mapped[Key]
    next_offset: Mapped[int]


class TopicId(Row):
    """Kafka's own id of the topic that the offset is of: a topic that is made anew under the same name has another."""

    __tablename__ = "topic_ids"

    partition: Mapped[int] = mapped_column(ForeignKey("progress.partition"), primary_key=True, autoincrement=False)
    topic: Mapped[Key]
    topic_id: Mapped[str]


class Gap(Row):
    """Messages that a topic no longer held when they were to be read; `ended_at` is null until others follow."""

    __tablename__ = "gaps"
    __table_args__ = (Index("gaps_by_time", "found_at"),)

    gap_id: Mapped[Key]
    source: Mapped[str]
    topic: Mapped[str]
    partition: Mapped[int]
    cause: Mapped[str]
    first_offset: Mapped[int]
    next_offset: Mapped[int]
    most_events: Mapped[int | None]
    found_at: Mapped[datetime]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    usd_per_hour: Mapped[float | None]
    incident_id: Mapped[str | None]


class Ledger(Row):
    """What one spend line of one workload cost in one UTC hour, in whole nano-dollars."""

    __tablename__ = "ledger"
    __table_args__ = (Index("ledger_by_workload", "workload", "hour"),)

    hour: Mapped[MomentKey]
    workload: Mapped[Key]
    line: Mapped[Key]
    team: Mapped[str | None]
    nano_usd: Mapped[int]
    gpu_s: Mapped[float]
    requests: Mapped[int]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    unpriced_tokens: Mapped[int]


class Workload(Row):
    """The team that a workload was last known to belong to."""

    __tablename__ = "workloads"

    workload: Mapped[Key]
    team: Mapped[str | None]
    seen_at: Mapped[datetime]


class Charge(Row):
    """A row of the bill in its latest version; `digest` stands for its identity, which an index can't hold whole."""

    __tablename__ = "charges"
    __table_args__ = (Index("charges_by_period", "period_start", "period_end"),)

    digest: Mapped[Key]
    identity: Mapped[str]
    at: Mapped[datetime]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    workload: Mapped[str | None]
    team: Mapped[str | None]
    provider: Mapped[str | None]
    sku: Mapped[str | None]
    category: Mapped[str]
    currency: Mapped[str]
    billed_cost: Mapped[Decimal]
    effective_cost: Mapped[Decimal]


class Change(Row):
    """Something people did."""

    __tablename__ = "changes"
    __table_args__ = (Index("changes_by_time", "at"),)

    event_id: Mapped[Key]
    at: Mapped[datetime]
    workload: Mapped[str]
    kind: Mapped[str]
    summary: Mapped[str]
    url: Mapped[str | None]


class Reject(Row):
    """An event that was set aside; `log_offset` and `place` are its record's offset and its index within."""

    __tablename__ = "rejects"
    __table_args__ = (Index("rejects_by_time", "at"),)

    topic: Mapped[Key]
    partition: Mapped[NumberKey]
    log_offset: Mapped[NumberKey]
    place: Mapped[NumberKey]
    reason: Mapped[str]
    payload: Mapped[bytes]
    at: Mapped[datetime]
    fault: Mapped[str] = mapped_column(Words, server_default="malformed")


class RejectCount(Row):
    """How many events of a partition went to the dead-letter topic in one hour for one fault."""

    __tablename__ = "reject_counts"

    hour: Mapped[MomentKey]
    partition: Mapped[NumberKey]
    fault: Mapped[Key]
    events: Mapped[int]


class Replayed(Row):
    """An event that was set aside and has been put back: it is not put back again unasked."""

    __tablename__ = "replayed"

    topic: Mapped[Key]
    partition: Mapped[NumberKey]
    log_offset: Mapped[NumberKey]
    place: Mapped[NumberKey]
    at: Mapped[datetime]
    by: Mapped[str]


class PartitionStop(Row):
    """The latest stop of a partition; it is stopped while `resumed_at` is null."""

    __tablename__ = "partition_stops"

    partition: Mapped[NumberKey]
    topic: Mapped[str]
    log_offset: Mapped[int]
    reason: Mapped[str]
    at: Mapped[datetime]
    incident_id: Mapped[str]
    resumed_at: Mapped[datetime | None]
    resumed_by: Mapped[str | None]
    allowance: Mapped[int]
    taken_up_at: Mapped[datetime | None]


class Status(Row):
    """A workload as its latest complete minute shows it."""

    __tablename__ = "statuses"

    workload: Mapped[Key]
    team: Mapped[str | None]
    at: Mapped[datetime]
    state: Mapped[str]
    usd_per_hour: Mapped[float]
    devices: Mapped[int]
    idle_devices: Mapped[int]
    gpu_model: Mapped[str | None]
    util_ratio: Mapped[float | None]
    power_w: Mapped[float | None]
    tokens_per_minute: Mapped[float | None]
    idle_since: Mapped[datetime | None]


class Device(Row):
    """Where an accelerator was seen last: with which workload, and when."""

    __tablename__ = "devices"
    __table_args__ = (Index("devices_by_workload", "workload", "at"),)

    device: Mapped[Key]
    workload: Mapped[str]
    at: Mapped[datetime]
    gpu_model: Mapped[str | None]


class Cold(Row):
    """A row that left a partition's panels; `body` is all that was known of it."""

    __tablename__ = "cold_rows"
    __table_args__ = (Index("cold_rows_by_time", "evicted_at"),)

    partition: Mapped[NumberKey]
    kind: Mapped[Key]
    key: Mapped[Key]
    body: Mapped[bytes]
    evicted_at: Mapped[datetime]


class Forecast(Row):
    """Spend of a whole period as foreseen at `issued_at`; the subject that does not apply is ''."""

    __tablename__ = "forecasts"
    __table_args__ = (Index("forecasts_by_time", "issued_at"),)

    workload: Mapped[Key]
    budget: Mapped[Key]
    period_start: Mapped[MomentKey]
    period_end: Mapped[MomentKey]
    issued_at: Mapped[MomentKey]
    p10_usd: Mapped[float]
    p50_usd: Mapped[float]
    p90_usd: Mapped[float]
    method: Mapped[str]


class Incident(Row):
    """An incident as it stands; `body` is the whole of it as JSON, less the acknowledgement. At most one is open
    for a fingerprint.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        CheckConstraint("resolved_at IS NULL OR resolved_at >= began_at", name="resolved_last"),
        Index(
            "one_open_incident",
            "fingerprint",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
            sqlite_where=text("resolved_at IS NULL"),
        ),
        Index("incidents_by_time", "detected_at"),
    )

    incident_id: Mapped[Key]
    fingerprint: Mapped[str]
    kind: Mapped[str]
    cause: Mapped[str]
    severity: Mapped[str]
    workload: Mapped[str | None]
    team: Mapped[str | None]
    began_at: Mapped[datetime]
    detected_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    transition: Mapped[int]
    usd_per_hour: Mapped[float]
    usd_so_far: Mapped[float]
    body: Mapped[str]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]


class Outbox(Row):
    """A notice and how far its sending has come; `settled_at` is null while there is something left to do."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_by_subject", "channel", "subject_id", "transition"),
        Index(
            "outbox_unsettled",
            "channel",
            "subject_id",
            "transition",
            "serial",
            postgresql_where=text("settled_at IS NULL"),
            sqlite_where=text("settled_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    serial: Mapped[Serial]
    notice_id: Mapped[str] = mapped_column(Words, unique=True)
    channel: Mapped[str]
    subject: Mapped[str]
    subject_id: Mapped[str]
    transition: Mapped[int]
    step: Mapped[str]
    reason: Mapped[str]
    title: Mapped[str]
    at: Mapped[datetime]
    body: Mapped[bytes]
    state: Mapped[str]
    attempts: Mapped[int]
    retry_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    reference: Mapped[str | None]
    detail: Mapped[str]
    settled_at: Mapped[datetime | None]


class Action(Row):
    """A scale-down as it stands; `body` is the whole of it as JSON."""

    __tablename__ = "actions"
    __table_args__ = (Index("actions_by_incident", "incident_id"), Index("actions_by_time", "at"))

    action_id: Mapped[Key]
    incident_id: Mapped[str]
    workload: Mapped[str]
    mode: Mapped[str]
    step: Mapped[str]
    at: Mapped[datetime]
    usd_per_hour: Mapped[float]
    transition: Mapped[int]
    body: Mapped[str]


class ActionStep(Row):
    """A step that an action took: when, why and by whom. Written once, never changed."""

    __tablename__ = "action_steps"
    __table_args__ = (UniqueConstraint("action_id", "step", name="once_per_step"), {"sqlite_autoincrement": True})

    serial: Mapped[Serial]
    action_id: Mapped[str] = mapped_column(ForeignKey("actions.action_id"))
    step: Mapped[str]
    at: Mapped[datetime]
    reason: Mapped[str]
    approved_by: Mapped[str | None]


class WouldStop(Row):
    """A stop that mode auto would have carried out while it was only observed; `body` is the whole of it as JSON."""

    __tablename__ = "would_stops"
    __table_args__ = (Index("would_stops_by_time", "at"), Index("would_stops_by_incident", "incident_id"))

    stop_id: Mapped[Key]
    incident_id: Mapped[str]
    workload: Mapped[str]
    at: Mapped[datetime]
    outcome: Mapped[str]
    ended_at: Mapped[datetime | None]
    body: Mapped[str]


class Inbox(Row):
    """A message that was accepted and is not yet part of a snapshot. Offsets are never used twice."""

    __tablename__ = "inbox"
    __table_args__ = ({"sqlite_autoincrement": True},)

    log_offset: Mapped[Serial]
    topic: Mapped[str]
    value: Mapped[bytes]
    arrived_at: Mapped[datetime]


class Lease(Row):
    """Who may do a duty, and until when."""

    __tablename__ = "leases"

    name: Mapped[Key]
    owner: Mapped[str]
    until: Mapped[datetime]


class DutyMark(Row):
    """A duty that has been done for a key, and is not to be done for it again."""

    __tablename__ = "duty_marks"

    duty: Mapped[Key]
    key: Mapped[Key]
    done_at: Mapped[datetime | None]


class Switch(Row):
    """A switch that people set, and who did."""

    __tablename__ = "switches"

    name: Mapped[Key]
    is_on: Mapped[bool]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
