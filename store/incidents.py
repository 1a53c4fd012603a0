"""Incidents as they stand. At most one is open for a fingerprint, and what people acknowledged stays so."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import json
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, select, update

from alerts.incidents import Incident
from alerts.notices import Notice
from store import tables
from store.database import Part
from store.errors import AlreadyOpen
from store.outbox import write_notices
from store.types import storable
from store.upsert import table_of, upsert

INCIDENTS = table_of(tables.Incident).c
COLUMNS = tuple(name for name in Incident.__struct_fields__ if name in INCIDENTS)
KEPT = ("acknowledged_at", "acknowledged_by", "snoozed_until", "snoozed_by", "expected_at", "expected_by")
ASKED_AT_ONCE = 500  # ids in one question


def write_incidents(connection: Connection, incidents: Iterable[Incident]) -> None:
    """Write each incident as it stands now; what is older than the row that is kept changes nothing.

    A resolved incident stays resolved. Resolutions are written before openings. Raises AlreadyOpen where
    another incident of the same fingerprint would still be open.
    """
    latest: dict[str, Incident] = {}
    for incident in incidents:
        before = latest.get(incident.incident_id)
        if before is None or _follows(incident, before):
            latest[incident.incident_id] = incident
    kept = _kept(connection, list(latest))
    news = [one for one in latest.values() if one.incident_id not in kept or _follows(one, kept[one.incident_id])]
    upsert(connection, tables.Incident, (_row(one) for one in news if one.resolved_at is not None), keep=KEPT)
    openings = [one for one in news if one.resolved_at is None]
    _refuse_second(connection, openings)
    upsert(connection, tables.Incident, map(_row, openings), keep=KEPT)


def _follows(new: Incident, old: Incident) -> bool:
    reopens = old.resolved_at is not None and new.resolved_at is None
    return new.updated_at >= old.updated_at and new.transition >= old.transition and not reopens


def _kept(connection: Connection, ids: Sequence[str]) -> dict[str, Incident]:
    kept: dict[str, Incident] = {}
    for first in range(0, len(ids), ASKED_AT_ONCE):
        query = _incidents().where(INCIDENTS.incident_id.in_(ids[first : first + ASKED_AT_ONCE]))
        kept |= {one.incident_id: one for one in _fetch(connection, query)}
    return kept


def _refuse_second(connection: Connection, openings: Sequence[Incident]) -> None:
    opened: dict[str, Incident] = {}
    for one in openings:
        other = opened.setdefault(storable(one.fingerprint), one)
        if other is not one:
            raise _already_open(one, other.incident_id)
    prints = list(opened)
    for first in range(0, len(prints), ASKED_AT_ONCE):
        query = select(INCIDENTS.fingerprint, INCIDENTS.incident_id).where(
            INCIDENTS.resolved_at.is_(None), INCIDENTS.fingerprint.in_(prints[first : first + ASKED_AT_ONCE])
        )
        for fingerprint, open_id in connection.execute(query):
            if open_id != opened[fingerprint].incident_id:
                raise _already_open(opened[fingerprint], open_id)


def _already_open(new: Incident, other: str) -> AlreadyOpen:
    return AlreadyOpen(
        f"incident {new.incident_id} can't open: {other} is open for the same condition ({new.fingerprint}); "
        f"resolve {other} first, or in the same commit",
        other,
    )


def _row(incident: Incident) -> dict[str, Any]:
    body = json.encode(replace(incident, **dict.fromkeys(KEPT))).decode()
    return {**{name: getattr(incident, name) for name in COLUMNS}, "body": body}


def _incidents() -> Select[Any]:
    return select(INCIDENTS.body, *(INCIDENTS[name] for name in KEPT))


def _fetch(connection: Connection, query: Select[Any]) -> list[Incident]:
    return [
        replace(json.decode(body, type=Incident), **dict(zip(KEPT, kept, strict=True)))
        for body, *kept in connection.execute(query)
    ]


class IncidentsPart(Part):
    """Reads incidents, and takes acknowledgements."""

    def incident(self, incident_id: str) -> Incident | None:
        """Return the incident, None where there is none of that id."""
        with self._database.reading() as connection:
            return one_incident(connection, incident_id)

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that are not resolved, in order of detection."""
        return self._found_incidents(_incidents().where(INCIDENTS.resolved_at.is_(None)).order_by(*_by_time()))

    def incidents_between(self, start: datetime, end: datetime) -> list[Incident]:
        """Return the incidents that were open at any time in [start, end), in order of detection."""
        lasted = INCIDENTS.resolved_at.is_(None) | (INCIDENTS.resolved_at >= start)
        return self._found_incidents(_incidents().where(INCIDENTS.began_at < end, lasted).order_by(*_by_time()))

    def list_incidents(
        self, limit: int, state: Literal["open", "resolved"] | None = None, kind: str | None = None
    ) -> list[Incident]:
        """Return incidents of that state and kind, the newest first."""
        query = _incidents().order_by(INCIDENTS.detected_at.desc(), INCIDENTS.incident_id).limit(limit)
        if state == "open":
            query = query.where(INCIDENTS.resolved_at.is_(None))
        elif state == "resolved":
            query = query.where(INCIDENTS.resolved_at.is_not(None))
        if kind is not None:
            query = query.where(INCIDENTS.kind == kind)
        return self._found_incidents(query)

    def acknowledge(self, incident_id: str, by: str, at: datetime, notices: Sequence[Notice] = ()) -> Incident | None:
        """Note who looks after the incident and enqueue what is to be said; a second time changes nothing.

        Return the incident as it stands, None where there is none of that id.
        """
        first = (
            update(table_of(tables.Incident))
            .where(INCIDENTS.incident_id == incident_id, INCIDENTS.acknowledged_at.is_(None))
            .values(acknowledged_at=at, acknowledged_by=by)
            .returning(INCIDENTS.incident_id)
        )
        with self._database.writing() as connection:
            if connection.execute(first).first() is not None:
                write_notices(connection, notices)
            return one_incident(connection, incident_id)

    def _found_incidents(self, query: Select[Any]) -> list[Incident]:
        with self._database.reading() as connection:
            return _fetch(connection, query)


def one_incident(connection: Connection, incident_id: str) -> Incident | None:
    """Read one incident within a transaction."""
    return next(iter(_fetch(connection, _incidents().where(INCIDENTS.incident_id == incident_id))), None)


def _by_time() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return INCIDENTS.detected_at, INCIDENTS.incident_id
