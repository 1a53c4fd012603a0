"""Partitions that were stopped because too much of them was unusable, until a person lets them go on."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, select, update

from alerts.incidents import Incident
from alerts.notices import Notice
from store import tables
from store.database import Part
from store.facts import AllowanceRow, StopRow
from store.incidents import write_incidents
from store.outbox import write_notices
from store.upsert import table_of, upsert

STOPS = table_of(tables.PartitionStop).c


def write_stops(connection: Connection, rows: Iterable[StopRow]) -> None:
    """Write each stop over the partition's earlier one."""
    upsert(connection, tables.PartitionStop, map(_row, rows))


def stop_of(connection: Connection, partition: int) -> StopRow | None:
    """The latest stop of a partition, whether it goes on since or not."""
    found = connection.execute(select(table_of(tables.PartitionStop)).where(STOPS.partition == partition))
    row = found.mappings().first()
    return None if row is None else _stop(row)


def write_allowances(connection: Connection, rows: Iterable[AllowanceRow]) -> None:
    """Write how much is left of what was let through; it never grows."""
    for row in rows:
        connection.execute(
            update(table_of(tables.PartitionStop))
            .where(STOPS.partition == row.partition, STOPS.resumed_at.is_not(None), STOPS.allowance > row.left)
            .values(allowance=row.left)
        )


def take_up(connection: Connection, stop: StopRow, now: datetime) -> int:
    """Note that the owner of a partition that was resumed reads on; returns how many bad messages may still pass."""
    if stop.taken_up_at is None:
        connection.execute(
            update(table_of(tables.PartitionStop)).where(STOPS.partition == stop.partition).values(taken_up_at=now)
        )
    return stop.allowance


def _row(stop: StopRow) -> dict[str, Any]:
    row = asdict(stop)
    row["log_offset"] = row.pop("offset")
    return row


def _stop(row: Any) -> StopRow:
    values = {name: row["log_offset" if name == "offset" else name] for name in StopRow.__struct_fields__}
    return StopRow(**values)


class StopsPart(Part):
    """Reads stops, and lets partitions go on."""

    def stops(self) -> list[StopRow]:
        """Return the partitions that are stopped now, in order."""
        query = select(table_of(tables.PartitionStop)).where(STOPS.resumed_at.is_(None)).order_by(STOPS.partition)
        with self._database.reading() as connection:
            return [_stop(row) for row in connection.execute(query).mappings()]

    def resume(
        self,
        partition: int,
        by: str,
        at: datetime,
        *,
        allowance: int = 0,
        incidents: Sequence[Incident] = (),
        notices: Sequence[Notice] = (),
    ) -> bool:
        """Let a stopped partition go on and say so, in one transaction; False, and nothing, where it is not stopped."""
        first = (
            update(table_of(tables.PartitionStop))
            .where(STOPS.partition == partition, STOPS.resumed_at.is_(None))
            .values(resumed_at=at, resumed_by=by, allowance=allowance)
            .returning(STOPS.partition)
        )
        with self._database.writing() as connection:
            if connection.execute(first).first() is None:
                return False
            write_incidents(connection, incidents)
            write_notices(connection, notices)
            return True

    def take_up_resumed(self, partition: int, now: datetime) -> int | None:
        """None while the partition is stopped; else how many bad messages may still pass as it goes on."""
        with self._database.reading() as connection:
            stop = stop_of(connection, partition)
        if stop is None:
            return 0
        if stop.resumed_at is None:
            return None
        with self._database.writing() as connection:
            return take_up(connection, stop, now)
