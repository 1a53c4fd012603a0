"""What was set aside, and the partitions that were stopped because of it."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from store.schema.row import Key, MomentKey, NumberKey, Row
from store.types import Words


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
