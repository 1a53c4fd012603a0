"""What Kafka no longer held when it was to be read, and which topics the offsets are of."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Select, func, select

from store import tables
from store.database import Part
from store.facts import GapCause, GapRow, TopicIdRow
from store.upsert import table_of, upsert

GAPS = table_of(tables.Gap).c
TOPIC_IDS = table_of(tables.TopicId).c
LEDGER = table_of(tables.Ledger).c
PACE_OVER = timedelta(hours=24)
SHORTEST_PACE_S = 600.0


def write_gaps(connection: Connection, rows: Iterable[GapRow]) -> None:
    """Write each gap as it stands now."""
    upsert(connection, tables.Gap, map(asdict, rows))


def write_topic_ids(connection: Connection, rows: Iterable[TopicIdRow]) -> None:
    """Note which topic an offset is of."""
    upsert(connection, tables.TopicId, map(asdict, rows))


class GapsPart(Part):
    """Reads gaps and topic ids."""

    def gaps(self, limit: int) -> list[GapRow]:
        """Return gaps, those found last first."""
        return self._found_gaps(_gaps().order_by(GAPS.found_at.desc(), GAPS.gap_id).limit(limit))

    def gaps_between(self, start: datetime, end: datetime) -> list[GapRow]:
        """Return the gaps that reach into [start, end), in order of finding."""
        reach = GAPS.ended_at.is_(None) | (GAPS.ended_at >= start)
        return self._found_gaps(_gaps().where(GAPS.began_at < end, reach).order_by(GAPS.found_at, GAPS.gap_id))

    def open_gaps(self, partition: int) -> list[GapRow]:
        """Return the partition's gaps after which no message has come yet, in order of finding."""
        query = _gaps().where(GAPS.partition == partition, GAPS.ended_at.is_(None))
        return self._found_gaps(query.order_by(GAPS.found_at, GAPS.gap_id))

    def topic_ids(self, partition: int) -> dict[str, str]:
        """Return by topic Kafka's id of the topic that the partition's offset is of."""
        query = select(TOPIC_IDS.topic, TOPIC_IDS.topic_id).where(TOPIC_IDS.partition == partition)
        with self._database.reading() as connection:
            return {str(topic): str(topic_id) for topic, topic_id in connection.execute(query)}

    def pace_before(self, at: datetime, kind: str, partition: int) -> float | None:
        """USD per hour that a partition spent on one kind of line (`gpu`, `tokens`) in the day before `at`, or since
        it began; None where it spent nothing.
        """
        hour = at.replace(minute=0, second=0, microsecond=0)
        own = LEDGER.line.like(f"%|p{partition}") if partition else LEDGER.line.not_like("%|%|%|p%")
        query = select(func.min(LEDGER.hour), func.sum(LEDGER.nano_usd)).where(
            LEDGER.hour >= hour - PACE_OVER, LEDGER.hour <= hour, LEDGER.line.like(f"{kind}|%"), own
        )
        with self._database.reading() as connection:
            first, nano_usd = connection.execute(query).one()
        if not nano_usd:
            return None
        lasted_s: float = max((at - first).total_seconds(), SHORTEST_PACE_S)
        return float(nano_usd) / 1e9 / lasted_s * 3600.0

    def _found_gaps(self, query: Select[Any]) -> list[GapRow]:
        with self._database.reading() as connection:
            return [GapRow(**{**row, "cause": GapCause(row["cause"])}) for row in connection.execute(query).mappings()]


def _gaps() -> Select[Any]:
    return select(table_of(tables.Gap))
