"""The lines of the weekly digest: a team, a mover, a budget, something idle, a kind of incident."""

from msgspec import Struct

from alerts.regret import Regret


class Spend(Struct, frozen=True, kw_only=True):
    """What a team or a workload cost this week and the week before."""

    name: str
    team: str
    this_usd: float
    last_usd: float
    change_usd: float
    change_ratio: float | None  # None: there was nothing the week before


class BudgetLine(Struct, frozen=True, kw_only=True):
    """A budget's month so far, and where it is going."""

    name: str
    usd_per_month: float
    spent_usd: float
    p10_usd: float | None = None
    p50_usd: float | None = None
    p90_usd: float | None = None

    @property
    def outlook(self) -> str:
        """In a word or two: broken, will break, may break, within."""
        if self.spent_usd >= self.usd_per_month:
            return "broken"
        if self.p50_usd is not None and self.p50_usd > self.usd_per_month:
            return "will break"
        if self.p90_usd is not None and self.p90_usd > self.usd_per_month:
            return "may break"
        return "within"


class Outlook(Struct, frozen=True, kw_only=True):
    """The spend of the whole month that is expected, with its 80 percent interval."""

    p10_usd: float
    p50_usd: float
    p90_usd: float


class IdleLine(Struct, frozen=True, kw_only=True):
    """Something that was paid for and not used in this week."""

    incident_id: str
    workload: str
    team: str
    cause: str
    gpus: int
    usd: float  # of this week
    usd_per_hour: float
    open: bool


class KindLine(Struct, frozen=True, kw_only=True):
    """The incidents of one kind and what became of them; one may count under several."""

    kind: str
    incidents: int
    acknowledged: int
    acted_on: int
    resolved: int
    open: int
    usd: float  # of this week


class HeldLine(Struct, frozen=True, kw_only=True):
    """The incidents that were held back for one reason; one may count under several."""

    why: str
    incidents: int
    usd: float  # of this week


class Actions(Struct, frozen=True, kw_only=True):
    """What was done about idle accelerators, and what it brought in this week."""

    observed: int = 0  # would have been proposed, in mode observe
    waiting: int = 0  # proposed, and nobody has answered
    kept: int = 0
    verified: int = 0
    failed: int = 0
    undone: int = 0
    saved_usd: float = 0.0  # proved by the telemetry
    would_have_saved_usd: float = 0.0  # had that which was only observed been stopped when it would have been proposed
    regret: Regret | None = None  # of the week's stops that were only thought of; None: there was none


class Quality(Struct, frozen=True, kw_only=True):
    """How far the figures can be trusted."""

    gaps: int = 0  # times in which telemetry was lost
    rejects: int = 0  # events set aside
    unpriced_tokens: int = 0
    late_usd: float = 0.0  # counted after its minute had closed
    lost_events: int = 0  # messages gone from Kafka unread, at most, where that is known
    lost_usd: float = 0.0  # what may be missing for it, at the pace of the day before
