"""The inbox: the embedded runner's durable log. What was accepted is on disk before its sender is answered."""

from collections.abc import Sequence
from datetime import datetime

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

    def inbox_read(self, after_offset: int, limit: int) -> list[InboxRow]:
        """Return up to `limit` messages whose offset is greater, in order."""
        query = (
            select(table_of(tables.Inbox))
            .where(INBOX.log_offset > after_offset)
            .order_by(INBOX.log_offset)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                InboxRow(offset=row["log_offset"], topic=row["topic"], value=row["value"], arrived_at=row["arrived_at"])
                for row in connection.execute(query).mappings()
            ]

    def inbox_prune(self, before_offset: int) -> None:
        """Forget the messages whose offset is smaller: they are part of a snapshot."""
        with self._database.writing() as connection:
            connection.execute(delete(table_of(tables.Inbox)).where(INBOX.log_offset < before_offset))

    def inbox_depth(self) -> int:
        """Return how many messages the inbox holds."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(table_of(tables.Inbox))).scalar_one()
