"""A worker as incidents know it, an outbox that dies midway, and what incidents there must have been, by hand."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.incidents import Book, Incident, SeverityPolicy
from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Notice
from alerts.routing import Route, Router
from detectors.findings import Cause, Finding, Kind
from store.facts import Facts
from store.store import Store
from tests.properties.channel import Died

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = SeverityPolicy()
SUBJECTS = ((Kind.IDLE, "lab/alice/notebook"), (Kind.IDLE, "prod/llm/chat"), (Kind.DATA_GAP, "prod/llm/chat"))
PAGER = Route(match=(Matcher(label="severity", op=Op.EQUAL, value="page"),), to=("pager",), continue_=True)
CAUSES = (Cause.UNKNOWN, Cause.UNKNOWN, Cause.MODEL_MIX, Cause.PRICE)
MIXED = Route(match=(Matcher(label="cause", op=Op.EQUAL, value="model_mix"),), to=("pager",), continue_=True)
ROUTER = Router([PAGER, MIXED, Route(to=("slack",))], (), title)
DOLLARS = (5_000.0, 300.0, 30.0, 0.0)


class Worker:
    """The memory of the process that owns the partition: gone with it."""

    def __init__(self, store: Store, now: datetime) -> None:
        claim = store.claim_partition(0, "worker", now)
        self.epoch, self.offset = claim.epoch, claim.offsets.get("findings", 0)
        self.book = Book(POLICY) if claim.snapshot is None else Book.from_bytes(claim.snapshot["book"], POLICY)
        self.incidents: list[Incident] = []
        self.notices: list[Notice] = []

    def take(self, findings: list[Finding]) -> None:
        for finding in findings:
            transition = self.book.apply(finding)
            if transition is not None:
                self.notices += ROUTER.decide(transition)
            self.offset += 1
        self.incidents += self.book.drain()

    def facts(self) -> Facts:
        facts = Facts(incidents=self.incidents, notices=self.notices)
        self.incidents, self.notices = [], []
        return facts


class DyingOutbox:
    """The store's outbox; the process can die before or after what it writes there, or stand still with a claim."""

    def __init__(self, store: Store, stand_still: Callable[[], None]) -> None:
        self.store, self.stand_still, self.dies = store, stand_still, ""

    def claim_notices(self, *how: Any) -> Any:
        claimed = self.store.claim_notices(*how)
        self._die("claimed")
        if self.dies == "stands still":
            self.stand_still()
        return claimed

    def settle_notice(self, *how: Any) -> bool:
        self._die("unsettled")
        settled = self.store.settle_notice(*how)
        self._die("settled")
        return settled

    def _die(self, where: str) -> None:
        if self.dies == where:
            self.dies = ""
            raise Died


def by_hand(log: list[Finding]) -> set[tuple[Kind, str | None, datetime, bool]]:
    """Which incidents there must have been, opened when, and whether they ended: by the plain rule."""
    incidents: dict[tuple[Kind, str | None], list[list[Any]]] = {}
    for one in log:
        rows = incidents.setdefault((one.kind, one.workload), [])
        if rows and rows[-1][2] is None:  # one is open
            if one.at >= rows[-1][1]:
                rows[-1][1] = one.at
                rows[-1][2] = one.at if one.cleared else None
        elif not one.cleared and (not rows or one.at > rows[-1][2]):
            rows.append([one.at, one.at, None])
    return {(*subject, row[0], row[2] is not None) for subject, rows in incidents.items() for row in rows}
