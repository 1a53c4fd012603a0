"""What the service has found out and must not lose: the values that go into the store in one transaction.

All amounts are absolute, all ids deterministic: writing a fact again changes nothing.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from alerts.incidents import Incident
from alerts.notices import Notice


class LedgerRow(Struct, frozen=True, kw_only=True, gc=False):
    """What one spend line of one workload cost in one UTC hour. Key: hour, workload, line."""

    hour: datetime
    workload: str
    line: str  # "gpu|<model>|<price source>" or "tokens|<provider>/<model>|<price source>"
    team: str | None
    nano_usd: int
    gpu_s: float = 0.0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced_tokens: int = 0


class ChargeRow(Struct, frozen=True, kw_only=True):
    """A row of the bill in its latest version. Key: identity."""

    identity: str
    at: datetime
    period_start: datetime
    period_end: datetime
    workload: str | None
    team: str | None
    provider: str | None
    sku: str | None
    category: str
    currency: str
    billed_cost: Decimal
    effective_cost: Decimal


class ChangeRow(Struct, frozen=True, kw_only=True):
    """Something people did. Key: event_id."""

    event_id: str
    at: datetime
    workload: str
    kind: str
    summary: str
    url: str | None = None


UNREADABLE = "unreadable"
"""The fault of messages that the log holds and nobody can read: nothing of them is kept that could be put back."""


class RejectRow(Struct, frozen=True, kw_only=True):
    """An event that was set aside. Key: topic, partition, offset, index (its place in the envelope).

    `fault` is one of a few words: `malformed`, `in_the_future`, `too_old`, `too_late`, `unreadable` (messages
    of which no byte can be had). The key is its message's, where that is known; only the dead-letter topic keeps it.
    """

    topic: str
    partition: int
    offset: int
    index: int
    reason: str
    payload: bytes
    at: datetime  # arrival
    fault: str = "malformed"
    key: bytes | None = None


class RejectCount(Struct, frozen=True, kw_only=True):
    """How many events of a partition were set aside in one hour for one fault, in all. Key: hour, partition, fault."""

    hour: datetime  # in which they were set aside
    partition: int
    fault: str
    events: int


class StopRow(Struct, frozen=True, kw_only=True):
    """A partition that was stopped because too much of it was unusable, and how it went on. Key: partition."""

    partition: int
    topic: str
    offset: int  # of the message that passed the limit
    reason: str
    at: datetime
    incident_id: str
    resumed_at: datetime | None = None
    resumed_by: str | None = None
    allowance: int = 0  # bad messages that whoever resumed it lets through: how many of them are left
    taken_up_at: datetime | None = None  # when its owner read on


class AllowanceRow(Struct, frozen=True, kw_only=True):
    """How many bad messages of a partition that was let go on may still pass uncounted. Key: partition."""

    partition: int
    left: int


class WorkloadState(StrEnum):
    """What a workload's accelerators do; unknown is not idle."""

    BUSY = "busy"
    IDLE = "idle"
    UNKNOWN = "unknown"


class StatusRow(Struct, frozen=True, kw_only=True, gc=False):
    """A workload as its latest complete minute shows it. Key: workload."""

    workload: str
    team: str | None
    at: datetime
    state: WorkloadState
    usd_per_hour: float
    devices: int = 0
    idle_devices: int = 0
    gpu_model: str | None = None
    util_ratio: float | None = None
    power_w: float | None = None
    tokens_per_minute: float | None = None
    idle_since: datetime | None = None


class DeviceRow(Struct, frozen=True, kw_only=True, gc=False):
    """Where an accelerator was seen last. Key: device; it has one owner in the whole service."""

    device: str
    workload: str
    at: datetime  # end of the minute
    gpu_model: str | None = None


class ColdKey(Struct, frozen=True, kw_only=True):
    """A row of a partition's panels that is kept apart from its snapshot. Key: partition, kind, key."""

    partition: int
    kind: str  # "workload" or "device"
    key: str


class ColdRow(ColdKey, frozen=True, kw_only=True):
    """What was known of a row when it was evicted."""

    body: bytes
    evicted_at: datetime  # event time


class ForecastRow(Struct, frozen=True, kw_only=True):
    """Spend of a whole period, what is already spent included. Key: issued_at, workload, budget, period."""

    issued_at: datetime
    workload: str | None
    budget: str | None
    period_start: datetime
    period_end: datetime
    p10_usd: float
    p50_usd: float
    p90_usd: float
    method: str


class GapCause(StrEnum):
    """Why Kafka no longer held messages that were still to be read."""

    EXPIRED = "expired"  # its retention passed them
    RECREATED = "recreated"  # the topic was deleted and made anew
    SHORTENED = "shortened"  # the log has lost its end


class GapRow(Struct, frozen=True, kw_only=True):
    """Messages of one topic and partition that were gone when they were to be read. Key: gap_id."""

    gap_id: str
    source: str  # its place and offsets, as an incident names them
    topic: str  # logical
    partition: int
    cause: GapCause
    first_offset: int  # the first that was not read
    next_offset: int  # where reading went on, in a log that may be another one
    most_events: int | None  # at most so many messages are missing; None: that can't be known
    found_at: datetime
    began_at: datetime  # event time up to which the topic had been read
    ended_at: datetime | None = None  # arrival of the first message after them; None while none has come
    usd_per_hour: float | None = None  # what the partition spent by this topic before; None: not known
    incident_id: str | None = None

    def usd(self, now: datetime) -> float | None:
        """The dollars that may be missing from the sums: the rate before, for as long as nothing was read."""
        lasted_s = max(((self.ended_at or now) - self.began_at).total_seconds(), 0.0)
        return None if self.usd_per_hour is None else self.usd_per_hour * lasted_s / 3600.0


class TopicIdRow(Struct, frozen=True, kw_only=True):
    """Kafka's own id of the topic that an offset is of. Key: partition, topic."""

    partition: int
    topic: str
    topic_id: str


class Facts(Struct, kw_only=True):
    """Everything that one commit writes beside progress."""

    ledger: list[LedgerRow] = []
    charges: list[ChargeRow] = []
    changes: list[ChangeRow] = []
    rejects: list[RejectRow] = []
    statuses: list[StatusRow] = []
    devices: list[DeviceRow] = []
    forecasts: list[ForecastRow] = []
    incidents: list[Incident] = []
    notices: list[Notice] = []
    reject_counts: list[RejectCount] = []
    allowances: list[AllowanceRow] = []  # as of before any of `stops`
    stops: list[StopRow] = []
    cold: list[ColdRow] = []  # rows that left the panels
    warmed: list[ColdKey] = []  # rows that came back before any of `cold` left
    gaps: list[GapRow] = []
    topic_ids: list[TopicIdRow] = []

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)
