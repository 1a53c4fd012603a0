"""The store: everything that must not be lost, as one object to hand to others."""

from datetime import datetime

from sqlalchemy import delete, select

from store import tables
from store.actions import ActionsPart
from store.audit import AuditPart
from store.changes import ChangesPart
from store.charges import ChargesPart
from store.cold import ColdPart
from store.database import Database
from store.devices import DevicesPart
from store.gaps import GapsPart
from store.inbox import InboxPart
from store.incidents import IncidentsPart
from store.leases import LeasesPart
from store.ledger import LedgerPart
from store.outbox import OutboxPart
from store.progress import ProgressPart
from store.rejects import RejectsPart
from store.silences import SilencesPart
from store.status import StatusPart
from store.stops import StopsPart
from store.talks import TalksPart
from store.told import ToldPart
from store.upsert import table_of
from store.would_stops import WouldStopsPart


class Store(
    ProgressPart,
    LedgerPart,
    ChargesPart,
    ChangesPart,
    RejectsPart,
    StopsPart,
    StatusPart,
    DevicesPart,
    IncidentsPart,
    OutboxPart,
    ActionsPart,
    InboxPart,
    LeasesPart,
    ColdPart,
    GapsPart,
    SilencesPart,
    AuditPart,
    TalksPart,
    WouldStopsPart,
    ToldPart,
):
    """Takes and returns domain structs; each method is one transaction, and any thread may call it.

    Every method raises StoreUnavailable where the database can't be used just now: nothing was written then.
    """

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open `sqlite:///path`, `sqlite://` (in memory) or `postgresql://...`, and bring its schema up to date.

        Makes a SQLite file and its folder. Raises StoreError for a schema that this version does not know.
        """
        return cls(Database.open(url))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def prune(self, before: datetime) -> None:
        """Forget what is settled and older: rejects, statuses, accelerators, gaps, rows that left the panels, and
        notices of subjects that are not open.

        `before` must lie well before every partition's snapshot: what is read again would be told again.
        """
        rejects, statuses = table_of(tables.Reject), table_of(tables.Status)
        devices, counts, replayed = map(table_of, (tables.Device, tables.RejectCount, tables.Replayed))
        cold = table_of(tables.Cold)
        gaps = table_of(tables.Gap)
        outbox, incidents = table_of(tables.Outbox), table_of(tables.Incident)
        self.forget_presses(before)
        still_open = select(incidents.c.incident_id).where(incidents.c.resolved_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(delete(rejects).where(rejects.c.at < before))
            connection.execute(delete(counts).where(counts.c.hour < before))
            connection.execute(delete(replayed).where(replayed.c.at < before))
            connection.execute(delete(statuses).where(statuses.c.at < before))
            connection.execute(delete(devices).where(devices.c.at < before))
            connection.execute(delete(cold).where(cold.c.evicted_at < before))
            connection.execute(delete(gaps).where(gaps.c.ended_at < before))
            connection.execute(
                delete(outbox).where(outbox.c.settled_at < before, outbox.c.subject_id.not_in(still_open))
            )
