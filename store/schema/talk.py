"""The tables of talking with people: what they asked to be spared of, and what they did."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from store.schema.row import Key, Row, Serial


class Silence(Row):
    """What is not to be told for a time; `matchers` is their JSON."""

    __tablename__ = "silences"
    __table_args__ = (Index("silences_by_end", "until"),)

    silence_id: Mapped[Key]
    matchers: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    every_s: Mapped[float | None]
    until: Mapped[datetime]
    comment: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expired_at: Mapped[datetime | None]
    expired_by: Mapped[str | None]


class Audit(Row):
    """What a person did. Each row holds the hash of the one before: none can be changed or taken out unnoticed."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_subject", "subject_id"), {"sqlite_autoincrement": True})

    serial: Mapped[Serial]
    at: Mapped[datetime]
    who: Mapped[str]
    what: Mapped[str]
    subject_id: Mapped[str]
    outcome: Mapped[str]
    previous: Mapped[str]
    digest: Mapped[str]


class Press(Row):
    """A request of Slack that was handled: the same again is answered, and does nothing."""

    __tablename__ = "presses"
    __table_args__ = (Index("presses_by_time", "at"),)

    press_id: Mapped[Key]
    at: Mapped[datetime]
