"""Stops that mode auto would have carried out while it was only observed, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import json
from sqlalchemy import Select, select

from alerts.would_stop import WouldStop
from store import tables
from store.database import Part
from store.upsert import table_of, upsert

STOPS = table_of(tables.WouldStop).c
COLUMNS = tuple(name for name in WouldStop.__struct_fields__ if name in STOPS)


def _row(stop: WouldStop) -> dict[str, Any]:
    return {**{name: getattr(stop, name) for name in COLUMNS}, "body": json.encode(stop).decode()}


class WouldStopsPart(Part):
    """Writes and reads them."""

    def save_would_stops(self, stops: Sequence[WouldStop]) -> None:
        """Write each as it stands now."""
        if not stops:
            return
        with self._database.writing() as connection:
            upsert(connection, tables.WouldStop, map(_row, stops))

    def open_would_stops(self) -> list[WouldStop]:
        """Return those of which the workload does nothing still, in order of time."""
        return self._found_stops(select(STOPS.body).where(STOPS.ended_at.is_(None)))

    def would_stops_between(self, start: datetime, end: datetime) -> list[WouldStop]:
        """Return those that would have happened in [start, end), in order of time."""
        return self._found_stops(select(STOPS.body).where(STOPS.at >= start, STOPS.at < end))

    def would_stops_for(self, incident_id: str) -> list[WouldStop]:
        """Return those of one incident, in order of time."""
        return self._found_stops(select(STOPS.body).where(STOPS.incident_id == incident_id))

    def _found_stops(self, query: Select[Any]) -> list[WouldStop]:
        with self._database.reading() as connection:
            bodies = connection.scalars(query.order_by(STOPS.at, STOPS.stop_id))
            return [json.decode(body, type=WouldStop) for body in bodies]
