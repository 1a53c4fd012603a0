"""What people did, and when: the changes that explain a spend."""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import asdict
from sqlalchemy import Connection, select

from store import tables
from store.database import Part
from store.facts import ChangeRow
from store.upsert import table_of, upsert

CHANGES = table_of(tables.Change).c


def write_changes(connection: Connection, rows: Iterable[ChangeRow]) -> None:
    """Write each change once; told again, the later telling counts."""
    upsert(connection, tables.Change, map(asdict, rows))


class ChangesPart(Part):
    """Reads changes."""

    def changes_between(self, start: datetime, end: datetime, workload: str | None = None) -> list[ChangeRow]:
        """Return the changes at or after `start` and before `end`, in order of time."""
        query = (
            select(table_of(tables.Change))
            .where(CHANGES.at >= start, CHANGES.at < end)
            .order_by(CHANGES.at, CHANGES.event_id)
        )
        if workload is not None:
            query = query.where(CHANGES.workload == workload)
        with self._database.reading() as connection:
            return [ChangeRow(**row) for row in connection.execute(query).mappings()]
