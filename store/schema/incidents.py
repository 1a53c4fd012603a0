"""Incidents, what is said of them, and what is done about them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from store.schema.row import Key, Row, Serial
from store.types import Words


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
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None]
    expected_at: Mapped[datetime | None]
    expected_by: Mapped[str | None]


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
        Index(
            "outbox_unsummed",
            "channel",
            "serial",
            postgresql_where=text("summary = ''"),
            sqlite_where=text("summary = ''"),
        ),
        Index(
            "outbox_by_reference",
            "reference",
            postgresql_where=text("reference IS NOT NULL"),
            sqlite_where=text("reference IS NOT NULL"),
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
    hushed: Mapped[str | None]  # why it was held back
    summary: Mapped[str | None]  # the summary that tells it; '' while it waits for one


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
