"""What was enqueued for the channels, without the bodies: for counting."""

from sqlalchemy import select

from alerts.hindsight import Message
from store import tables
from store.database import Part
from store.upsert import table_of

OUTBOX = table_of(tables.Outbox).c


class ToldPart(Part):
    """Counts notices."""

    def messages(self) -> list[Message]:
        """Return channel and event time of every notice, in the order they were written."""
        query = select(OUTBOX.channel, OUTBOX.at).order_by(OUTBOX.serial)
        with self._database.reading() as connection:
            return [Message(channel=channel, at=at) for channel, at in connection.execute(query)]
