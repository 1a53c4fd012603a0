"""Rows that left a partition's panels, until they are asked for again or grow too old."""

from collections.abc import Iterable, Sequence

from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, select

from store import tables
from store.database import Part
from store.facts import ColdKey, ColdRow
from store.upsert import CHUNK_ROWS, table_of, upsert

COLD = table_of(tables.Cold).c


def write_cold(connection: Connection, rows: Iterable[ColdRow]) -> None:
    """Keep rows that left; of one key the latest counts."""
    upsert(connection, tables.Cold, map(asdict, rows))


def delete_cold(connection: Connection, keys: Sequence[ColdKey]) -> None:
    """Let go of rows that came back; those that are not there change nothing."""
    if not keys:
        return
    statement = delete(table_of(tables.Cold)).where(
        COLD.partition == bindparam("of_partition"), COLD.kind == bindparam("of_kind"), COLD.key == bindparam("of_key")
    )
    ordered = sorted((one.partition, one.kind, one.key) for one in keys)
    connection.execute(
        statement, [{"of_partition": partition, "of_kind": kind, "of_key": key} for partition, kind, key in ordered]
    )


class ColdPart(Part):
    """Reads rows that left the panels."""

    def read_cold(self, partition: int, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what was known of those of these keys that are cold, by key."""
        found: dict[str, bytes] = {}
        with self._database.reading() as connection:
            for start in range(0, len(keys), CHUNK_ROWS):
                query = select(COLD.key, COLD.body).where(
                    COLD.partition == partition, COLD.kind == kind, COLD.key.in_(keys[start : start + CHUNK_ROWS])
                )
                found.update({key: body for key, body in connection.execute(query)})  # noqa: C416
        return found
