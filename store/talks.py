"""What each channel was told and what was held back from it: the ground for deciding whether to speak."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, case, func, select, update

from alerts.incidents import Step
from alerts.notices import Notice
from alerts.reasons import Hush, Reason
from alerts.speaking import PASSING
from store import tables
from store.database import Part
from store.incidents import INCIDENTS
from store.outbox import OUTBOX, State, notice_of_row, write_notices
from store.upsert import table_of

INCIDENT = "incident"
ACTION = "action"
SUMMARY = "summary"
WAITS_FOR_SUMMARY = ""


class Told(Struct, frozen=True, kw_only=True):
    """What a channel was told of one subject so far."""

    spoken: bool = False  # in a message of its own
    hushed: Hush | None = None  # why the latest that was held back was
    summed: Hush | None = None  # why it was left to a summary, where it was


class Held(Struct, frozen=True, kw_only=True):
    """A notice that was held back, and the place in the outbox that it has."""

    serial: int
    notice: Notice
    hushed: Hush
    settled_at: datetime


class Talk(Struct, frozen=True, kw_only=True):
    """How far the talk with a channel about an open incident has come."""

    channel: str
    incident_id: str
    told_at: datetime | None  # when it was told of it last
    hushed_at: datetime | None  # when something was held back last, for a reason that passes
    hushes: int  # how often that was
    repeats: int  # how often it was told that nothing had changed
    waiting: int  # notices that are not settled


class TalksPart(Part):
    """Holds notices back, with a reason, and knows what was said."""

    def told(self, channel: str, subject_id: str) -> Told:
        """Return what the channel was told of the subject."""
        query = (
            select(OUTBOX.state, OUTBOX.hushed, OUTBOX.summary)
            .where(OUTBOX.channel == channel, OUTBOX.subject_id == subject_id, OUTBOX.settled_at.is_not(None))
            .order_by(OUTBOX.transition, OUTBOX.serial)
        )
        spoken, hushed, summed = False, None, None
        with self._database.reading() as connection:
            for state, why, summary in connection.execute(query):
                spoken = spoken or state == State.DELIVERED
                hushed = Hush(why) if why is not None else hushed
                summed = Hush(why) if why is not None and summary is not None else summed
        return Told(spoken=spoken, hushed=hushed, summed=summed)

    def incident_at(self, channel: str, reference: str) -> str | None:
        """Return the id of the incident that a channel's message tells of, None where there is no such message."""
        query = (
            select(OUTBOX.subject, OUTBOX.subject_id)
            .where(OUTBOX.reference == reference, OUTBOX.channel == channel, OUTBOX.state == State.DELIVERED)
            .where(OUTBOX.subject.in_((INCIDENT, ACTION)))
            .order_by(OUTBOX.serial)
        )
        actions = table_of(tables.Action).c
        with self._database.reading() as connection:
            found = connection.execute(query).all()
            own = next((subject_id for subject, subject_id in found if subject == INCIDENT), None)
            if own is not None or not found:
                return own
            return connection.scalar(select(actions.incident_id).where(actions.action_id == found[0].subject_id))

    def hush_notice(self, notice_id: str, hush: Hush, now: datetime, *, summed: bool = False) -> bool:
        """Settle a notice unsaid, with the reason; `summed`: a summary tells it instead. Say whether that was done."""
        return self._settle_unsaid([OUTBOX.notice_id == notice_id], State.HUSHED, now, hush, summed) > 0

    def overtaken(self, notice: Notice, now: datetime) -> bool:
        """Settle a notice of an incident unsaid where a later one waits already; say whether that was so."""
        later = select(OUTBOX.serial).where(
            OUTBOX.channel == notice.channel,
            OUTBOX.subject_id == notice.subject_id,
            OUTBOX.settled_at.is_(None),
            OUTBOX.notice_id != notice.notice_id,
            OUTBOX.transition >= notice.transition,
        )
        return self._settle_unsaid([OUTBOX.notice_id == notice.notice_id, later.exists()], State.SUPERSEDED, now) > 0

    def waiting_first_words(self, channel: str, limit: int) -> list[Notice]:
        """Return the notices that wait for the channel, of incidents that it was never told of in a message."""
        waiting = self._never_told(channel).with_only_columns(func.count())
        with self._database.reading() as connection:
            if (connection.scalar(waiting) or 0) <= limit:
                return []
            rows = connection.execute(self._never_told(channel).order_by(OUTBOX.serial)).mappings()
            return [notice_of_row(row) for row in rows]

    def collapse(self, channel: str, keep: Sequence[str], now: datetime) -> int:
        """Leave what waits for a channel to a summary, but for the incidents to `keep`; return how many notices."""
        serials = self._never_told(channel).with_only_columns(OUTBOX.serial)
        wanted = [OUTBOX.serial.in_(serials), OUTBOX.subject_id.not_in(keep)]
        return self._settle_unsaid(wanted, State.HUSHED, now, Hush.COLLAPSED, True)

    def unsummed(self, channel: str) -> list[Held]:
        """Return what was held back from a channel for a summary that has not been written yet, in order."""
        query = (
            select(table_of(tables.Outbox))
            .where(OUTBOX.channel == channel, OUTBOX.summary == WAITS_FOR_SUMMARY)
            .order_by(OUTBOX.serial)
        )
        with self._database.reading() as connection:
            return [
                Held(
                    serial=row["serial"],
                    notice=notice_of_row(row),
                    hushed=Hush(row["hushed"]),
                    settled_at=row["settled_at"],
                )
                for row in connection.execute(query).mappings()
            ]

    def latest_summary(self, channel: str, prefix: str) -> Notice | None:
        """Return the newest notice of a summary whose id begins so, None where there is none."""
        query = (
            select(table_of(tables.Outbox))
            .where(
                OUTBOX.channel == channel,
                OUTBOX.subject == SUMMARY,
                OUTBOX.subject_id.startswith(prefix, autoescape=True),
            )
            .order_by(OUTBOX.serial.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else notice_of_row(row)

    def write_summary(self, notice: Notice, held: Iterable[Held]) -> None:
        """Enqueue a summary, and note which of those held back it tells."""
        serials = [one.serial for one in held]
        with self._database.writing() as connection:
            write_notices(connection, [notice])
            for first in range(0, len(serials), 500):
                connection.execute(
                    update(table_of(tables.Outbox))
                    .where(OUTBOX.serial.in_(serials[first : first + 500]))
                    .values(summary=notice.subject_id)
                )

    def said_since(self, since: datetime, channels: Sequence[str] | None = None) -> list[tuple[datetime, Notice]]:
        """Return what the channels were told of incidents since then, and when, in that order."""
        query = (
            select(table_of(tables.Outbox))
            .where(OUTBOX.subject == INCIDENT, OUTBOX.state == State.DELIVERED, OUTBOX.settled_at > since)
            .order_by(OUTBOX.settled_at, OUTBOX.serial)
        )
        if channels is not None:
            query = query.where(OUTBOX.channel.in_(channels))
        with self._database.reading() as connection:
            return [(row["settled_at"], notice_of_row(row)) for row in connection.execute(query).mappings()]

    def held_between(self, start: datetime, end: datetime) -> list[tuple[Hush, str]]:
        """Return why each incident was held back in [start, end), each pair of reason and incident once, in order."""
        query = (
            select(OUTBOX.hushed, OUTBOX.subject_id)
            .where(OUTBOX.hushed.is_not(None), OUTBOX.subject == INCIDENT, OUTBOX.at >= start, OUTBOX.at < end)
            .where(OUTBOX.hushed != Hush.NEVER_TOLD)
            .group_by(OUTBOX.hushed, OUTBOX.subject_id)
            .order_by(OUTBOX.hushed, OUTBOX.subject_id)
        )
        with self._database.reading() as connection:
            return [(Hush(why), subject_id) for why, subject_id in connection.execute(query)]

    def talks_of_open(self) -> list[Talk]:
        """Return how far the talk with each channel about each open incident has come."""
        delivered, hushed = OUTBOX.state == State.DELIVERED, OUTBOX.hushed.in_(sorted(PASSING))
        still_open = select(INCIDENTS.incident_id).where(INCIDENTS.resolved_at.is_(None))
        query = (
            select(
                OUTBOX.channel,
                OUTBOX.subject_id,
                func.max(case((delivered, OUTBOX.settled_at))).label("told_at"),
                func.max(case((hushed, OUTBOX.settled_at))).label("hushed_at"),
                func.count(case((hushed, 1))).label("hushes"),
                func.count(case((OUTBOX.reason == Reason.STILL_OPEN, 1))).label("repeats"),
                func.count(case((OUTBOX.settled_at.is_(None), 1))).label("waiting"),
            )
            .where(OUTBOX.subject == INCIDENT, OUTBOX.subject_id.in_(still_open))
            .group_by(OUTBOX.channel, OUTBOX.subject_id)
            .order_by(OUTBOX.subject_id, OUTBOX.channel)
        )
        with self._database.reading() as connection:
            return [
                Talk(
                    channel=row["channel"],
                    incident_id=row["subject_id"],
                    told_at=row["told_at"],
                    hushed_at=row["hushed_at"],
                    hushes=row["hushes"],
                    repeats=row["repeats"],
                    waiting=row["waiting"],
                )
                for row in connection.execute(query).mappings()
            ]

    def escalated_and_over(self) -> list[tuple[str, str]]:
        """Return each channel that an incident was escalated to, and the incident, where the end is not told there."""
        other = table_of(tables.Outbox).alias().c
        told = select(other.serial).where(
            other.channel == OUTBOX.channel, other.subject_id == OUTBOX.subject_id, other.step == Step.RESOLVED
        )
        over = select(INCIDENTS.incident_id).where(INCIDENTS.resolved_at.is_not(None))
        query = (
            select(OUTBOX.channel, OUTBOX.subject_id)
            .where(OUTBOX.reason == Reason.NOT_ACKNOWLEDGED, OUTBOX.subject_id.in_(over), ~told.exists())
            .order_by(OUTBOX.serial)
        )
        with self._database.reading() as connection:
            return [(channel, incident_id) for channel, incident_id in connection.execute(query)]

    def _never_told(self, channel: str) -> Select[Any]:
        other = table_of(tables.Outbox).alias().c
        told = select(other.serial).where(
            other.channel == channel, other.subject_id == OUTBOX.subject_id, other.state == State.DELIVERED
        )
        return select(table_of(tables.Outbox)).where(
            OUTBOX.channel == channel,
            OUTBOX.subject == INCIDENT,
            OUTBOX.settled_at.is_(None),
            OUTBOX.state == State.PENDING,
            ~told.exists(),
        )

    def _settle_unsaid(
        self,
        where: Sequence[ColumnElement[bool]],
        state: State,
        now: datetime,
        hush: Hush | None = None,
        summed: bool = False,
    ) -> int:
        change = (
            update(table_of(tables.Outbox))
            .where(OUTBOX.settled_at.is_(None), *where)
            .values(
                state=state,
                retry_at=None,
                lease_owner=None,
                lease_until=None,
                settled_at=now,
                hushed=hush,
                summary=WAITS_FOR_SUMMARY if summed else None,
            )
        )
        with self._database.writing() as connection:
            return connection.execute(change).rowcount
