"""The outbox: what is to be told, in order, and how far the telling has come.

A notice is settled when there is nothing left to do for it: delivered, refused, superseded or hushed. Of one subject on
one channel, a notice waits until every notice before it is settled; subjects don't wait for each other.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.reasons import Hush
from store import tables
from store.database import Part
from store.upsert import Columns, insert_or_ignore, table_of

OUTBOX = table_of(tables.Outbox).c
LONGEST_WAIT = timedelta(hours=1)  # of a notice that is tried again: channels honour no longer Retry-After
LONGEST_LEASE = timedelta(minutes=15)


class State(StrEnum):
    """How far the sending of a notice has come."""

    PENDING = "pending"
    SENDING = "sending"  # someone holds a lease; when it runs out, the notice may have been delivered
    AMBIGUOUS = "ambiguous"
    DELIVERED = "delivered"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    HUSHED = "hushed"


SETTLED = {Outcome.DELIVERED: State.DELIVERED, Outcome.REFUSED: State.REFUSED}


class ClaimedNotice(Struct, frozen=True, kw_only=True):
    """A notice to send now. `attempts` counts this claim too.

    `was_ambiguous`: an earlier attempt may have delivered it. `reference` is that of the subject's first
    delivered notice on the channel.
    """

    notice: Notice
    attempts: int
    was_ambiguous: bool
    reference: str | None


class OutboxEntry(Struct, frozen=True, kw_only=True):
    """A notice and what became of it."""

    notice: Notice
    state: State
    attempts: int
    retry_at: datetime | None
    reference: str | None
    detail: str
    settled_at: datetime | None
    hushed: Hush | None = None
    summary: str | None = None


def write_notices(connection: Connection, notices: Iterable[Notice]) -> None:
    """Enqueue each notice whose id is new; what is there already stays as it is."""
    insert_or_ignore(connection, tables.Outbox, map(_row, notices), key=("notice_id",))


def _row(notice: Notice) -> dict[str, Any]:
    return {**asdict(notice), "state": State.PENDING, "attempts": 0, "detail": ""}


def notice_of_row(row: Any) -> Notice:
    """Read a notice from its row."""
    values = {name: row[name] for name in Notice.__struct_fields__}
    return Notice(**{**values, "reason": Reason(row["reason"])})


def _due(row: Columns, now: datetime) -> ColumnElement[bool]:
    """What has waited for long enough, or for longer than anything may: then the clock was set back."""
    waited = row.retry_at.is_(None) | (row.retry_at <= now) | (row.retry_at > now + LONGEST_WAIT)
    waiting = row.state.in_((State.PENDING, State.AMBIGUOUS)) & waited
    abandoned = (row.state == State.SENDING) & ((row.lease_until <= now) | (row.lease_until > now + LONGEST_LEASE))
    return cast(ColumnElement[bool], waiting | abandoned)


def _next_serials(connection: Connection, channel: str, now: datetime, limit: int) -> list[int]:
    """Find, of each subject's unsettled notices, the one that goes first, where it is due.

    It stays the first until it is settled, so that it can be locked in a second step.
    """
    rank = func.row_number().over(partition_by=OUTBOX.subject_id, order_by=(OUTBOX.transition, OUTBOX.serial))
    queue = select(OUTBOX.serial, OUTBOX.state, OUTBOX.retry_at, OUTBOX.lease_until, rank.label("rank"))
    queued = queue.where(OUTBOX.channel == channel, OUTBOX.settled_at.is_(None)).subquery().c
    query = select(queued.serial).where(queued.rank == 1, _due(queued, now)).order_by(queued.serial).limit(limit)
    return list(connection.scalars(query))


def _locked(serials: Sequence[int], now: datetime) -> Select[Any]:
    """Lock those that no one has taken meanwhile. SQLite has one writer at a time, and needs no lock on rows."""
    return (
        select(table_of(tables.Outbox))
        .where(OUTBOX.serial.in_(serials), OUTBOX.settled_at.is_(None), _due(OUTBOX, now))
        .order_by(OUTBOX.serial)
        .with_for_update(skip_locked=True)
    )


def _references(connection: Connection, channel: str, subject_id: str) -> list[str]:
    query = (
        select(OUTBOX.reference)
        .where(
            OUTBOX.channel == channel,
            OUTBOX.subject_id == subject_id,
            OUTBOX.state == State.DELIVERED,
            OUTBOX.reference.is_not(None),
        )
        .order_by(OUTBOX.transition, OUTBOX.serial)
    )
    return list(connection.scalars(query))


class OutboxPart(Part):
    """Claims, settles and shows notices."""

    def enqueue(self, notices: Sequence[Notice]) -> None:
        """Write notices on their own."""
        with self._database.writing() as connection:
            write_notices(connection, notices)

    def claim_notices(self, channel: str, owner: str, now: datetime, lease_s: float, limit: int) -> list[ClaimedNotice]:
        """Take up to `limit` notices that are due on the channel, for `lease_s` seconds; no one else gets them."""
        take = update(table_of(tables.Outbox)).values(
            state=State.SENDING,
            attempts=OUTBOX.attempts + 1,
            lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_s),
        )
        claimed = []
        with self._database.writing() as connection:
            serials = _next_serials(connection, channel, now, limit)
            rows = connection.execute(_locked(serials, now)).mappings().all() if serials else []
            if rows:
                connection.execute(take.where(OUTBOX.serial.in_([row["serial"] for row in rows])))
            for row in rows:
                references = _references(connection, channel, row["subject_id"])
                claimed.append(
                    ClaimedNotice(
                        notice=notice_of_row(row),
                        attempts=row["attempts"] + 1,
                        was_ambiguous=row["state"] != State.PENDING,
                        reference=references[0] if references else None,
                    )
                )
        return claimed

    def settle_notice(
        self,
        notice_id: str,
        receipt: Receipt,
        now: datetime,
        retry_at: datetime | None = None,
        owner: str | None = None,
    ) -> bool:
        """Write what became of an attempt; say whether it counted.

        A settled notice stays as it is. With `owner`, an answer that settles nothing counts only while that
        owner's claim is the latest, so that a late RETRY does not free what another is sending.
        """
        settles = receipt.outcome in SETTLED
        state = SETTLED.get(receipt.outcome)
        if state is None:
            state = State.AMBIGUOUS if receipt.outcome is Outcome.AMBIGUOUS else State.PENDING
        change = (
            update(table_of(tables.Outbox))
            .where(OUTBOX.notice_id == notice_id, OUTBOX.settled_at.is_(None))
            .values(
                state=state,
                retry_at=None if settles else retry_at,
                lease_owner=None,
                lease_until=None,
                reference=receipt.reference if settles else OUTBOX.reference,
                detail=receipt.detail,
                settled_at=now if settles else None,
            )
        )
        if owner is not None and not settles:
            change = change.where(OUTBOX.state == State.SENDING, OUTBOX.lease_owner == owner)
        with self._database.writing() as connection:
            return connection.execute(change.returning(OUTBOX.serial)).first() is not None

    def supersede_notices(self, channel: str, subject_id: str, before_transition: int, now: datetime) -> int:
        """Settle, unsent, the subject's pending notices before that transition; return how many there were."""
        change = (
            update(table_of(tables.Outbox))
            .where(
                OUTBOX.channel == channel,
                OUTBOX.subject_id == subject_id,
                OUTBOX.state == State.PENDING,
                OUTBOX.transition < before_transition,
            )
            .values(state=State.SUPERSEDED, retry_at=None, settled_at=now)
            .returning(OUTBOX.serial)
        )
        with self._database.writing() as connection:
            return len(connection.execute(change).all())

    def pending_counts(self) -> dict[str, int]:
        """Return, for each channel that has any, how many notices are not settled."""
        query = (
            select(OUTBOX.channel, func.count())
            .where(OUTBOX.settled_at.is_(None))
            .group_by(OUTBOX.channel)
            .order_by(OUTBOX.channel)
        )
        with self._database.reading() as connection:
            return {channel: int(count) for channel, count in connection.execute(query)}

    def oldest_pending_at(self) -> datetime | None:
        """Return the event time of the oldest notice that is not settled, None where there is none."""
        with self._database.reading() as connection:
            oldest: datetime | None = connection.scalar(select(func.min(OUTBOX.at)).where(OUTBOX.settled_at.is_(None)))
            return oldest

    def delivered_references(self, channel: str, subject_id: str) -> list[str]:
        """Return the references of the subject's delivered notices on the channel, in order."""
        with self._database.reading() as connection:
            return _references(connection, channel, subject_id)

    def notices(self, limit: int, channel: str | None = None, subject_id: str | None = None) -> list[OutboxEntry]:
        """Return notices and what became of them, the newest first."""
        query = select(table_of(tables.Outbox)).order_by(OUTBOX.serial.desc()).limit(limit)
        if channel is not None:
            query = query.where(OUTBOX.channel == channel)
        if subject_id is not None:
            query = query.where(OUTBOX.subject_id == subject_id)
        with self._database.reading() as connection:
            return [
                OutboxEntry(
                    notice=notice_of_row(row),
                    state=State(row["state"]),
                    attempts=row["attempts"],
                    retry_at=row["retry_at"],
                    reference=row["reference"],
                    detail=row["detail"],
                    settled_at=row["settled_at"],
                    hushed=None if row["hushed"] is None else Hush(row["hushed"]),
                    summary=row["summary"],
                )
                for row in connection.execute(query).mappings()
            ]
