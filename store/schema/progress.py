"""How far reading has come, and what was left on the way."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.schema.row import Key, NumberKey, Row


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


class Cold(Row):
    """A row that left a partition's panels; `body` is all that was known of it."""

    __tablename__ = "cold_rows"
    __table_args__ = (Index("cold_rows_by_time", "evicted_at"),)

    partition: Mapped[NumberKey]
    kind: Mapped[Key]
    key: Mapped[Key]
    body: Mapped[bytes]
    evicted_at: Mapped[datetime]
