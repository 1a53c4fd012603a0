"""The inbox: the embedded runner's durable log. What was accepted is on disk before its sender is answered."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, text

from store import tables
from store.database import Part
from store.upsert import table_of

INBOX = table_of(tables.Inbox).c
LOCK_KEY = 0x696E6278  # PostgreSQL: one appender at a time, so that offsets appear in order


class InboxRow(Struct, frozen=True, kw_only=True):
    """A message and its place in the inbox."""

    offset: int
    topic: str
    value: bytes
    arrived_at: datetime


def lock_inbox(connection: Connection) -> None:
    """Let nobody else append until the transaction ends. SQLite has one writer at a time, and needs no lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})


class InboxPart(Part):
    """Appends to the inbox, reads and prunes it."""

    def inbox_append(self, topic: str, values: Sequence[bytes], arrived_at: datetime) -> int:
        """Write messages in order; durable when it returns. Return the offset of the last, 0 where there is none.

        Offsets rise, are the same for all topics, and are never used twice.
        """
        return self.inbox_append_all([(topic, value) for value in values], arrived_at)

    def inbox_append_all(self, messages: Sequence[tuple[str, bytes]], arrived_at: datetime) -> int:
        """Write messages of any topics, each (topic, value), all or none; otherwise as `inbox_append`."""
        last = 0
        with self._database.writing() as connection:
            lock_inbox(connection)
            if messages:
                rows = [{"topic": topic, "value": value, "arrived_at": arrived_at} for topic, value in messages]
                connection.execute(insert(table_of(tables.Inbox)), rows)
                last = connection.execute(select(func.max(INBOX.log_offset))).scalar_one()
        return last

    def inbox_read(self, after_offset: int, limit: int, most_bytes: int | None = None) -> list[InboxRow]:
        """Return up to `limit` messages whose offset is greater, in order; `most_bytes` of them, but one at least."""
        following = INBOX.log_offset > after_offset
        sizes = select(INBOX.log_offset, func.length(INBOX.value)).where(following).order_by(INBOX.log_offset)
        query = select(table_of(tables.Inbox)).where(following).order_by(INBOX.log_offset).limit(limit)
        with self._database.reading() as connection:
            if most_bytes is not None:
                query = query.where(
                    INBOX.log_offset <= _last_within(connection.execute(sizes.limit(limit)), most_bytes)
                )
            return [
                InboxRow(offset=row["log_offset"], topic=row["topic"], value=row["value"], arrived_at=row["arrived_at"])
                for row in connection.execute(query).mappings()
            ]

    def inbox_prune(self, before_offset: int) -> None:
        """Forget the messages whose offset is smaller: they are part of a snapshot."""
        with self._database.writing() as connection:
            connection.execute(delete(table_of(tables.Inbox)).where(INBOX.log_offset < before_offset))

    def inbox_size(self, from_offset: int = 0) -> tuple[int, int]:
        """Return how many messages the inbox holds from this offset on, and their bytes."""
        query = select(func.count(), func.coalesce(func.sum(func.length(INBOX.value)), 0))
        with self._database.reading() as connection:
            messages, size_bytes = connection.execute(query.where(INBOX.log_offset >= from_offset)).one()
            return int(messages), int(size_bytes)

    def inbox_depth(self) -> int:
        """Return how many messages the inbox holds."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(table_of(tables.Inbox))).scalar_one()


def _last_within(sizes: Iterable[Any], most_bytes: int) -> int:
    """The last offset up to which the messages fit, the first where not even it does; -1 where there is none."""
    last, total_bytes = -1, 0
    for offset, size_bytes in sizes:
        total_bytes += size_bytes
        if last >= 0 and total_bytes > most_bytes:
            break
        last = offset
    return last
