"""Progress: a partition's snapshot, its offsets and its facts, in one transaction, fenced by the owner's epoch."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from store import tables
from store.changes import write_changes
from store.charges import write_charges
from store.cold import delete_cold, write_cold
from store.database import Part
from store.devices import write_devices
from store.errors import Fenced
from store.facts import Facts, RejectCount, StopRow
from store.failpoints import Point, reach
from store.gaps import write_gaps, write_topic_ids
from store.incidents import write_incidents
from store.ledger import write_ledger, write_teams
from store.outbox import write_notices
from store.rejects import reject_counts_since, write_reject_counts, write_rejects
from store.status import write_forecasts, write_statuses
from store.stops import stop_of, take_up, write_allowances, write_stops
from store.upsert import insert_into, table_of, upsert

PROGRESS = table_of(tables.Progress).c
PARTS = table_of(tables.SnapshotPart).c
OFFSETS = table_of(tables.Offset).c
COUNTS_KNOWN = timedelta(hours=2)  # the hours whose counts can still grow
FROZEN_S = 15.0  # a transaction that stands still for so long is a frozen process's
DUTIES_PARTITION = -1  # no topic's: keeps the state of duties that the whole service does once


Parts = Mapping[str, bytes | memoryview | None]
"""Parts of a snapshot by name; None takes one away."""


class Claim(Struct, frozen=True, kw_only=True):
    """A partition as its new owner finds it: go on from `offsets` (topic to next offset) with `snapshot`."""

    epoch: int
    snapshot: dict[str, bytes] | None  # its parts by name; None where there is none yet
    offsets: dict[str, int]
    reject_counts: list[RejectCount] = []  # of the hour before and since
    stop: StopRow | None = None  # where it is stopped
    allowance: int = 0  # bad messages that may still pass: someone has resumed it since


def _write_parts(connection: Connection, partition: int, parts: Parts, now: datetime) -> None:
    """Set each part; take away those that are None."""
    gone = [{"gone": name} for name, body in parts.items() if body is None]
    if gone:
        connection.execute(
            delete(table_of(tables.SnapshotPart)).where(PARTS.partition == partition, PARTS.name == bindparam("gone")),
            gone,
        )
    kept = [
        {"partition": partition, "name": name, "taken_at": now, "body": body}
        for name, body in parts.items()
        if body is not None
    ]
    upsert(connection, tables.SnapshotPart, kept)


def _fence(connection: Connection, partition: int, epoch: int, now: datetime, watermark: datetime | None) -> None:
    """Lock the partition's row until the transaction ends. Raises Fenced where the epoch is no longer ours."""
    mine = (
        update(table_of(tables.Progress))
        .where(PROGRESS.partition == partition, PROGRESS.epoch == epoch)
        .values(committed_at=now, **({} if watermark is None else {"watermark_at": watermark}))
        .returning(PROGRESS.epoch)
    )
    if connection.execute(mine).first() is None:
        raise Fenced(f"partition {partition} has another owner since epoch {epoch}; nothing was written")


def end_frozen(connection: Connection, idle_s: float) -> int:
    """End our role's other transactions in this PostgreSQL database that have stood open, idle, for so long.

    A process that is frozen in a commit holds its partition's row. The server's own limit on that has been seen not to
    strike. Returns how many there were.
    """
    ended = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
        "AND usename = current_user AND application_name = 'emberwatch' AND pid <> pg_backend_pid() "
        "AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - make_interval(secs => :idle_s)"
    )
    return int(connection.execute(ended, {"idle_s": idle_s}).scalar_one())


class ProgressPart(Part):
    """Claims partitions and commits what was found in them."""

    def claim_partition(self, partition: int, owner: str, now: datetime) -> Claim:
        """Become the partition's owner. Whoever claimed it before is fenced: their next commit raises Fenced."""
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                end_frozen(connection, FROZEN_S)
                connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            statement = insert_into(connection, tables.Progress).values(
                partition=partition, epoch=1, owner=owner, claimed_at=now
            )
            statement = statement.on_conflict_do_update(
                index_elements=["partition"],
                set_={"epoch": PROGRESS.epoch + 1, "owner": owner, "claimed_at": now},
            )
            epoch = connection.execute(statement.returning(PROGRESS.epoch)).scalar_one()
            parts = select(PARTS.name, PARTS.body).where(PARTS.partition == partition).order_by(PARTS.name)
            snapshot = {name: body for name, body in connection.execute(parts)}  # noqa: C416
            query = select(OFFSETS.topic, OFFSETS.next_offset).where(OFFSETS.partition == partition)
            offsets = {topic: offset for topic, offset in connection.execute(query.order_by(OFFSETS.topic))}  # noqa: C416
            stop = stop_of(connection, partition)
            stopped = stop is not None and stop.resumed_at is None
            return Claim(
                epoch=epoch,
                snapshot=snapshot or None,
                offsets=offsets,
                reject_counts=reject_counts_since(connection, partition, now - COUNTS_KNOWN),
                stop=stop if stopped else None,
                allowance=0 if stop is None or stopped else take_up(connection, stop, now),
            )

    def commit(
        self,
        partition: int,
        epoch: int,
        facts: Facts,
        *,
        snapshot: Parts | None,
        offsets: Mapping[str, int],
        now: datetime,
        watermark: datetime | None = None,
    ) -> None:
        """Write the parts of the snapshot that changed (None for a part that is no more), the offsets and the facts.

        All, or nothing. Facts are absolute, so that writing them again changes nothing. Raises Fenced where the
        partition has a newer owner, AlreadyOpen where a second incident would open for a condition, and
        StoreUnavailable.
        """
        reach(Point.BEFORE_COMMIT)
        with self._database.writing() as connection:
            _fence(connection, partition, epoch, now, watermark)
            if snapshot is not None:
                _write_parts(connection, partition, snapshot, now)
            upsert(
                connection,
                tables.Offset,
                [{"partition": partition, "topic": topic, "next_offset": at} for topic, at in offsets.items()],
            )
            write_ledger(connection, facts.ledger)
            write_teams(connection, facts.ledger, facts.statuses)
            write_charges(connection, facts.charges)
            write_changes(connection, facts.changes)
            write_rejects(connection, facts.rejects)
            write_reject_counts(connection, facts.reject_counts)
            write_allowances(connection, facts.allowances)
            write_stops(connection, facts.stops)
            write_statuses(connection, facts.statuses)
            write_devices(connection, facts.devices)
            write_forecasts(connection, facts.forecasts)
            write_incidents(connection, facts.incidents)
            write_notices(connection, facts.notices)
            delete_cold(connection, facts.warmed)
            write_cold(connection, facts.cold)
            write_gaps(connection, facts.gaps)
            write_topic_ids(connection, facts.topic_ids)
            reach(Point.IN_COMMIT)
        reach(Point.AFTER_COMMIT)

    def low_watermark(self) -> datetime | None:
        """Event time up to which every partition is complete; None while one has not begun."""
        query = select(PROGRESS.watermark_at).where(PROGRESS.partition >= 0)
        with self._database.reading() as connection:
            found: list[datetime | None] = list(connection.scalars(query))
        known = [at for at in found if at is not None]
        return min(known) if known and len(known) == len(found) else None

    def high_watermark(self) -> datetime | None:
        """Event time up to which the furthest partition is complete; None while none has begun."""
        query = select(func.max(PROGRESS.watermark_at)).where(PROGRESS.partition >= 0)
        with self._database.reading() as connection:
            high: datetime | None = connection.execute(query).scalar_one()
            return high
