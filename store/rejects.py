"""What was set aside: with its bytes, its place and the reason, or, where a topic holds these, as a count."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, delete, insert, select, tuple_
from sqlalchemy import func as sql

from store import tables
from store.database import Part
from store.facts import RejectCount, RejectRow
from store.inbox import lock_inbox
from store.upsert import Columns, insert_or_ignore, table_of, upsert

REJECTS = table_of(tables.Reject).c
COUNTS = table_of(tables.RejectCount).c
REPLAYED = table_of(tables.Replayed).c
ASKED_AT_ONCE = 200  # places in one question


def _more(new: Columns, old: Columns) -> ColumnElement[bool]:
    """Counts only grow."""
    newer: ColumnElement[bool] = new.events >= old.events
    return newer


class Place(Struct, frozen=True, order=True):
    """Where an event stood: topic, partition, offset, and its index in the message."""

    topic: str
    partition: int
    offset: int
    index: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}/{self.index}"


def write_rejects(connection: Connection, rows: Iterable[RejectRow]) -> None:
    """Keep each event that was set aside; its place is its key, and the first telling stays."""
    insert_or_ignore(connection, tables.Reject, map(_row, rows))


def write_reject_counts(connection: Connection, rows: Iterable[RejectCount]) -> None:
    """Write how many there were in all; a count never falls."""
    upsert(connection, tables.RejectCount, map(asdict, rows), guard=_more)


def reject_counts_since(connection: Connection, partition: int, hour: datetime) -> list[RejectCount]:
    """The counts of a partition from this hour on."""
    query = select(table_of(tables.RejectCount)).where(COUNTS.partition == partition, COUNTS.hour >= hour)
    return [RejectCount(**row) for row in connection.execute(query).mappings()]


def _row(reject: RejectRow) -> dict[str, Any]:
    row = asdict(reject)
    row["log_offset"], row["place"] = row.pop("offset"), row.pop("index")
    del row["key"]
    return row


def _reject(row: Any) -> RejectRow:
    return RejectRow(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["log_offset"],
        index=row["place"],
        reason=row["reason"],
        payload=row["payload"],
        at=row["at"],
        fault=row["fault"],
    )


class RejectsPart(Part):
    """Reads what was set aside, and notes what was put back."""

    def reject_counts(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, int]:
        """Return how many events each reason has set aside, the commonest first; of those in [start, end), if given.

        Of those that lie in the dead-letter topic the reason is the fault, and the time is that of the hour.
        """
        count, total = sql.count().label("events"), sql.sum(COUNTS.events).label("events")
        kept = select(REJECTS.reason, count).where(*_within(REJECTS.at, start, end)).group_by(REJECTS.reason)
        sent = select(COUNTS.fault, total).where(*_within(COUNTS.hour, start, end)).group_by(COUNTS.fault)
        counts: dict[str, int] = {}
        with self._database.reading() as connection:
            rows: list[Any] = [*connection.execute(kept), *connection.execute(sent)]
        for reason, events in rows:
            counts[reason] = counts.get(reason, 0) + int(events)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def rejects(
        self,
        limit: int | None,
        *,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        since: datetime | None = None,
    ) -> list[RejectRow]:
        """Return what was set aside, the newest first."""
        query = select(table_of(tables.Reject)).where(*_within(REJECTS.at, since, None))
        for column, wanted in ((REJECTS.topic, topic), (REJECTS.partition, partition), (REJECTS.log_offset, offset)):
            if wanted is not None:
                query = query.where(column == wanted)
        query = query.order_by(
            REJECTS.at.desc(), REJECTS.topic, REJECTS.partition, REJECTS.log_offset, REJECTS.place
        ).limit(limit)
        with self._database.reading() as connection:
            return [_reject(row) for row in connection.execute(query).mappings()]

    def bound_rejects(self, most: int, most_bytes: int) -> int:
        """Keep the newest rejects, `most` of them with `most_bytes` of payload; forget the others, and say how many."""
        key = (REJECTS.topic, REJECTS.partition, REJECTS.log_offset, REJECTS.place)
        newest = (REJECTS.at.desc(), REJECTS.log_offset.desc(), *key)
        ranked = select(
            *key,
            sql.row_number().over(order_by=newest).label("rank"),
            sql.sum(sql.length(REJECTS.payload)).over(order_by=newest, rows=(None, 0)).label("bytes"),
        ).subquery()
        beyond = select(*(ranked.c[column.name] for column in key)).where(
            (ranked.c.rank > most) | (ranked.c.bytes > most_bytes)
        )
        with self._database.writing() as connection:
            return connection.execute(delete(table_of(tables.Reject)).where(tuple_(*key).in_(beyond))).rowcount

    def replayed(self, places: Sequence[Place]) -> set[Place]:
        """Return which of these have been put back before."""
        key = tuple_(REPLAYED.topic, REPLAYED.partition, REPLAYED.log_offset, REPLAYED.place)
        columns = (REPLAYED.topic, REPLAYED.partition, REPLAYED.log_offset, REPLAYED.place)
        found: set[Place] = set()
        with self._database.reading() as connection:
            for first in range(0, len(places), ASKED_AT_ONCE):
                wanted = [(p.topic, p.partition, p.offset, p.index) for p in places[first : first + ASKED_AT_ONCE]]
                found |= {Place(*row) for row in connection.execute(select(*columns).where(key.in_(wanted)))}
        return found

    def mark_replayed(self, places: Sequence[Place], by: str, at: datetime) -> None:
        """Note that these have been put back."""
        with self._database.writing() as connection:
            _mark(connection, places, by, at)

    def replay_rejects(self, rows: Sequence[RejectRow], by: str, at: datetime) -> None:
        """Put events back into the inbox as they came, each a message of its own, and note it: all, or none."""
        inbox = [{"topic": row.topic, "value": row.payload, "arrived_at": at} for row in rows]
        with self._database.writing() as connection:
            lock_inbox(connection)
            if inbox:
                connection.execute(insert(table_of(tables.Inbox)), inbox)
            _mark(connection, [Place(row.topic, row.partition, row.offset, row.index) for row in rows], by, at)


def _mark(connection: Connection, places: Sequence[Place], by: str, at: datetime) -> None:
    rows = (
        {"topic": p.topic, "partition": p.partition, "log_offset": p.offset, "place": p.index, "at": at, "by": by}
        for p in places
    )
    upsert(connection, tables.Replayed, rows)


def _within(column: Any, start: datetime | None, end: datetime | None) -> list[ColumnElement[bool]]:
    limits = [] if start is None else [column >= start]
    return limits if end is None else [*limits, column < end]
