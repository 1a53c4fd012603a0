"""What a detector has to say: a finding, its kind and its cause, in dollars and with the figures behind it."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What sort of thing was found (contract, section 3)."""

    IDLE = "idle"
    WASTE = "waste"
    ANOMALY = "anomaly"
    DRIFT = "drift"
    BUDGET = "budget"
    DATA_GAP = "data_gap"
    UNPRICED = "unpriced"
    RECONCILIATION = "reconciliation"


class Cause(StrEnum):
    """Why, as far as the data tell (contract, section 3)."""

    MEMORY_HELD = "memory_held"
    UNALLOCATED = "unallocated"
    NO_TRAFFIC = "no_traffic"
    BUSY_NO_OUTPUT = "busy_no_output"
    SCALE_OUT_NOT_REVERSED = "scale_out_not_reversed"
    REQUEST_RATE = "request_rate"
    TOKENS_PER_REQUEST = "tokens_per_request"
    MODEL_MIX = "model_mix"
    PRICE = "price"
    GPU_HOURS = "gpu_hours"
    LEVEL_STEP = "level_step"
    SLOW_GROWTH = "slow_growth"
    UTILIZATION = "utilization"
    TELEMETRY_LOST = "telemetry_lost"
    POISON = "poison"
    UNKNOWN_MODEL = "unknown_model"
    FORECAST_BREACH = "forecast_breach"
    ESTIMATE_OFF = "estimate_off"
    UNKNOWN = "unknown"
    UNLIKE_PEERS = "unlike_peers"  # last: states hold a cause by its place


class Finding(Struct, frozen=True, kw_only=True):
    """One subject's condition at the end of one minute: it holds (`cleared` false) or it has ended.

    `workload`, `model`, `budget` name the subject; what does not apply is None. Dollars are USD.
    """

    kind: Kind
    cause: Cause
    at: datetime  # end of the minute that was judged
    began_at: datetime  # when the condition began in the data
    workload: str | None = None
    team: str | None = None
    model: str | None = None
    budget: str | None = None
    source: str | None = None  # of lost messages: topic, partition and offsets, as `gpu.samples/3@120-180`
    devices: tuple[str, ...] = ()
    cleared: bool = False
    ended_at: datetime | None = None  # of a cleared finding: when the condition ended in the data
    usd_per_hour: float = 0.0
    usd_so_far: float = 0.0
    usd_if_ignored: float | None = None  # to the end of the budget's month
    observed: float | None = None
    expected: float | None = None
    unit: str = "usd_per_hour"
    confidence: float = 1.0  # 0 to 1
    evidence: dict[str, float] = {}
    changes: tuple[str, ...] = ()  # change events near in time, in words

    @property
    def fingerprint(self) -> str:
        """Identity of the condition: two findings with one fingerprint are one incident while it lasts."""
        apart = self.kind is Kind.WASTE or (self.kind is Kind.ANOMALY and self.cause is Cause.PRICE)
        model = self.model if self.kind is Kind.UNPRICED else None
        which = self.source or model or (self.cause if apart else "")
        return "|".join((self.kind, self.workload or "", which, self.budget or ""))
