"""What was set aside, with its bytes, its place and the reason."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, func, select, tuple_

from store import tables
from store.database import Part
from store.facts import RejectRow
from store.upsert import insert_or_ignore, table_of

REJECTS = table_of(tables.Reject).c


def write_rejects(connection: Connection, rows: Iterable[RejectRow]) -> None:
    """Keep each event that was set aside; its place is its key, and the first telling stays."""
    insert_or_ignore(connection, tables.Reject, map(_row, rows))


def _row(reject: RejectRow) -> dict[str, Any]:
    row = asdict(reject)
    row["log_offset"], row["place"] = row.pop("offset"), row.pop("index")
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
    )


class RejectsPart(Part):
    """Reads what was set aside."""

    def reject_counts(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, int]:
        """Return how many events each reason has set aside, the commonest first; of those in [start, end), if given."""
        count = func.count().label("count")
        query = select(REJECTS.reason, count).group_by(REJECTS.reason).order_by(count.desc(), REJECTS.reason)
        if start is not None:
            query = query.where(REJECTS.at >= start)
        if end is not None:
            query = query.where(REJECTS.at < end)
        with self._database.reading() as connection:
            return {reason: int(n) for reason, n in connection.execute(query)}

    def rejects(self, limit: int) -> list[RejectRow]:
        """Return what was set aside, the newest first."""
        query = (
            select(table_of(tables.Reject))
            .order_by(REJECTS.at.desc(), REJECTS.topic, REJECTS.partition, REJECTS.log_offset, REJECTS.place)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_reject(row) for row in connection.execute(query).mappings()]

    def bound_rejects(self, most: int, most_bytes: int) -> int:
        """Keep the newest rejects, `most` of them with `most_bytes` of payload; forget the others, and say how many."""
        key = (REJECTS.topic, REJECTS.partition, REJECTS.log_offset, REJECTS.place)
        newest = (REJECTS.at.desc(), REJECTS.log_offset.desc(), *key)
        ranked = select(
            *key,
            func.row_number().over(order_by=newest).label("rank"),
            func.sum(func.length(REJECTS.payload)).over(order_by=newest, rows=(None, 0)).label("bytes"),
        ).subquery()
        beyond = select(*(ranked.c[column.name] for column in key)).where(
            (ranked.c.rank > most) | (ranked.c.bytes > most_bytes)
        )
        with self._database.writing() as connection:
            return connection.execute(delete(table_of(tables.Reject)).where(tuple_(*key).in_(beyond))).rowcount
