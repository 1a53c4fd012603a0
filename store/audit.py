"""The log of what people did: each row bears the hash of the one before it, so that none goes missing unnoticed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from msgspec import Struct, json
from sqlalchemy import Connection, delete, select, text

from store import tables
from store.database import Part
from store.types import storable
from store.upsert import insert_into, table_of

AUDIT = table_of(tables.Audit).c
PRESSES = table_of(tables.Press).c
FIRST = "0" * 64
LOCK = 5_305_417  # of one who appends, on PostgreSQL: the next hash needs the row before


class AuditRow(Struct, frozen=True, kw_only=True):
    """What a person did, to what, and what came of it."""

    serial: int
    at: datetime
    who: str
    what: str
    subject_id: str
    outcome: str
    previous: str
    digest: str


def digest_of(previous: str, at: datetime, who: str, what: str, subject_id: str, outcome: str) -> str:
    """SHA-256 over the hash before and the row's own words."""
    return sha256(json.encode([previous, at.isoformat(), who, what, subject_id, outcome])).hexdigest()


def append(connection: Connection, at: datetime, who: str, what: str, subject_id: str, outcome: str) -> None:
    """Write a row at the end of the log, in the transaction of what it tells."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    previous = connection.scalar(select(AUDIT.digest).order_by(AUDIT.serial.desc()).limit(1)) or FIRST
    words = [storable(one) for one in (who, what, subject_id, outcome)]
    connection.execute(
        table_of(tables.Audit).insert(),
        {
            "at": at,
            **dict(zip(("who", "what", "subject_id", "outcome"), words, strict=True)),
            "previous": previous,
            "digest": digest_of(previous, _utc(at), *words),
        },
    )


def first_broken(rows: Sequence[AuditRow]) -> AuditRow | None:
    """The first row that does not follow from the one before it, None where the chain holds."""
    previous = FIRST
    for row in rows:
        words = (row.who, row.what, row.subject_id, row.outcome)
        if row.previous != previous or row.digest != digest_of(previous, _utc(row.at), *words):
            return row
        previous = row.digest
    return None


class AuditPart(Part):
    """Appends to the log and reads it; remembers which requests were handled."""

    def audit(self, at: datetime, who: str, what: str, subject_id: str, outcome: str) -> None:
        """Note what a person did or tried to."""
        with self._database.writing() as connection:
            append(connection, at, who, what, subject_id, outcome)

    def audit_log(self, limit: int | None = None, subject_id: str | None = None) -> list[AuditRow]:
        """Return the log in order, or its latest rows."""
        query = select(table_of(tables.Audit)).order_by(AUDIT.serial.desc())
        query = query if limit is None else query.limit(limit)
        if subject_id is not None:
            query = query.where(AUDIT.subject_id == subject_id)
        with self._database.reading() as connection:
            return [AuditRow(**row) for row in connection.execute(query).mappings()][::-1]

    def audit_fault(self) -> AuditRow | None:
        """Return the first row of the log that was tampered with, None where the chain holds."""
        return first_broken(self.audit_log())

    def first_press(self, press_id: str, at: datetime) -> bool:
        """Say whether this request is new, and remember it."""
        with self._database.writing() as connection:
            taken = insert_into(connection, tables.Press).values(press_id=press_id, at=at)
            new = taken.on_conflict_do_nothing(index_elements=["press_id"]).returning(PRESSES.press_id)
            return connection.execute(new).first() is not None

    def forget_presses(self, before: datetime) -> None:
        """Forget requests so old that their signature would be refused anyway."""
        with self._database.writing() as connection:
            connection.execute(delete(table_of(tables.Press)).where(PRESSES.at < before))


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
