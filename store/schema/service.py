"""What keeps the service itself going: what came in, who does which duty, what is switched on."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from store.schema.row import Key, Row, Serial


class Inbox(Row):
    """A message that was accepted and is not yet part of a snapshot. Offsets are never used twice."""

    __tablename__ = "inbox"
    __table_args__ = ({"sqlite_autoincrement": True},)

    log_offset: Mapped[Serial]
    topic: Mapped[str]
    value: Mapped[bytes]
    arrived_at: Mapped[datetime]


class Lease(Row):
    """Who may do a duty, and until when."""

    __tablename__ = "leases"

    name: Mapped[Key]
    owner: Mapped[str]
    until: Mapped[datetime]


class DutyMark(Row):
    """A duty that has been done for a key, and is not to be done for it again."""

    __tablename__ = "duty_marks"

    duty: Mapped[Key]
    key: Mapped[Key]
    done_at: Mapped[datetime | None]


class Switch(Row):
    """A switch that people set, and who did."""

    __tablename__ = "switches"

    name: Mapped[Key]
    is_on: Mapped[bool]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
