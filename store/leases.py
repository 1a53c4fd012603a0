"""Who may do a duty, and what has been done once and for all."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from alerts.notices import Notice
from store import tables
from store.database import Part
from store.failpoints import Point, reach
from store.outbox import write_notices
from store.upsert import insert_into, table_of

LEASES = table_of(tables.Lease).c
MARKS = table_of(tables.DutyMark).c
DIGEST = "digest"
CLOCKS_APART_S = 60.0  # of the machines that share a store, at most


def _mark(connection: Connection, duty: str, key: str, at: datetime | None) -> bool:
    statement = (
        insert_into(connection, tables.DutyMark)
        .values(duty=duty, key=key, done_at=at)
        .on_conflict_do_nothing(index_elements=["duty", "key"])
        .returning(MARKS.key)
    )
    return connection.execute(statement).first() is not None


class LeasesPart(Part):
    """Gives leases, and marks duties as done."""

    def acquire_lease(self, name: str, owner: str, now: datetime, ttl_s: float) -> bool:
        """Take or renew the lease for `ttl_s` seconds; False while another owner's has not run out.

        One that would run for longer than any that could be given now is of a clock that was set back, and is taken.
        """
        with self._database.writing() as connection:
            statement = insert_into(connection, tables.Lease).values(
                name=name, owner=owner, until=now + timedelta(seconds=ttl_s)
            )
            new = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"owner": new.owner, "until": new.until},
                where=(LEASES.owner == owner)
                | (LEASES.until <= now)
                | (LEASES.until > now + timedelta(seconds=ttl_s + CLOCKS_APART_S)),
            )
            return connection.execute(statement.returning(LEASES.name)).first() is not None

    def release_lease(self, name: str, owner: str) -> None:
        """Give the lease back, where it is this owner's."""
        with self._database.writing() as connection:
            connection.execute(delete(table_of(tables.Lease)).where(LEASES.name == name, LEASES.owner == owner))

    def mark_done(self, duty: str, key: str, now: datetime) -> bool:
        """Mark the duty as done for the key; True the first time only."""
        with self._database.writing() as connection:
            return _mark(connection, duty, key, now)

    def digest_enqueued(self, week: str) -> bool:
        """Return whether the week's digest was enqueued already."""
        query = select(MARKS.key).where(MARKS.duty == DIGEST, MARKS.key == week)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def digest_enqueue(self, week: str, notices: Sequence[Notice]) -> bool:
        """Enqueue the week's digest and mark the week as done, together; False where it was done before."""
        with self._database.writing() as connection:
            first = _mark(connection, DIGEST, week, notices[0].at if notices else None)
            if first:
                reach(Point.IN_DIGEST)
                write_notices(connection, notices)
            return first
