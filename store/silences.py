"""Silences and maintenance windows, and what people set on an incident."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import json
from sqlalchemy import select, update

from alerts.incidents import Incident
from alerts.matching import Matcher
from alerts.notices import Notice
from alerts.silences import Silence
from store import tables
from store.audit import append
from store.database import Part
from store.incidents import INCIDENTS, one_incident
from store.outbox import write_notices
from store.upsert import insert_or_ignore, table_of

SILENCES = table_of(tables.Silence).c


class SilencesPart(Part):
    """Writes and reads silences, snoozes and what was expected."""

    def add_silence(self, silence: Silence) -> None:
        """Write a new silence; one that is there already stays as it is."""
        row = {name: getattr(silence, name) for name in Silence.__struct_fields__}
        row["matchers"] = json.encode(silence.matchers).decode()
        with self._database.writing() as connection:
            insert_or_ignore(connection, tables.Silence, [row])
            words = f"{', '.join(map(str, silence.matchers))} until {silence.until.isoformat()}"
            append(connection, silence.created_at, silence.created_by, "silence", silence.silence_id, words)

    def expire_silence(self, silence_id: str, by: str, at: datetime) -> Silence | None:
        """End a silence now; one that is over already stays as it is. None where there is none of that id."""
        ending = (
            update(table_of(tables.Silence))
            .where(SILENCES.silence_id == silence_id, SILENCES.expired_at.is_(None), SILENCES.until > at)
            .values(expired_at=at, expired_by=by)
            .returning(SILENCES.silence_id)
        )
        with self._database.writing() as connection:
            if connection.execute(ending).first() is not None:
                append(connection, at, by, "expire", silence_id, "expired")
        return next((one for one in self.silences() if one.silence_id == silence_id), None)

    def silences(self, not_over_at: datetime | None = None) -> list[Silence]:
        """Return the silences in order of beginning, all of them or those that are not over at that moment."""
        query = select(table_of(tables.Silence)).order_by(SILENCES.starts_at, SILENCES.silence_id)
        if not_over_at is not None:
            query = query.where(SILENCES.until > not_over_at, SILENCES.expired_at.is_(None))
        with self._database.reading() as connection:
            return [_silence(row) for row in connection.execute(query).mappings()]

    def snooze(
        self, incident_id: str, until: datetime, by: str, at: datetime, notices: Sequence[Notice] = ()
    ) -> Incident | None:
        """Note until when an open incident is not to be told, and enqueue what is to be said of that.

        Return the incident as it stands, None where there is none of that id. The same again changes nothing.
        """
        values = {"snoozed_until": until, "snoozed_by": by}
        return self._set(
            incident_id, values, INCIDENTS.snoozed_until.is_distinct_from(until), "snooze", by, at, notices
        )

    def expect(self, incident_id: str, by: str, at: datetime, notices: Sequence[Notice] = ()) -> Incident | None:
        """Note that an incident was to be expected; a second time changes nothing.

        Return the incident as it stands, None where there is none of that id.
        """
        values = {"expected_at": at, "expected_by": by}
        return self._set(incident_id, values, INCIDENTS.expected_at.is_(None), "expected", by, at, notices)

    def _set(
        self, incident_id: str, values: dict[str, Any], new: Any, what: str, by: str, at: datetime,
        notices: Sequence[Notice],
    ) -> Incident | None:  # fmt: skip
        change = (
            update(table_of(tables.Incident))
            .where(INCIDENTS.incident_id == incident_id, INCIDENTS.resolved_at.is_(None), new)
            .values(**values)
            .returning(INCIDENTS.incident_id)
        )
        with self._database.writing() as connection:
            if connection.execute(change).first() is not None:
                write_notices(connection, notices)
                append(connection, at, by, what, incident_id, "done")
            return one_incident(connection, incident_id)


def _silence(row: Any) -> Silence:
    values = {name: row[name] for name in Silence.__struct_fields__}
    return Silence(**{**values, "matchers": json.decode(row["matchers"], type=tuple[Matcher, ...])})
