"""What the world tells us: one struct for each kind of event.

Every quantity bears its unit in its name. Moments are aware and in UTC. Absent means unknown, never zero.
Limits live in the types: once decoded, a value is right and nobody checks it again.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Moment = Annotated[datetime, Meta(tz=True)]
Ratio = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Tokens = Annotated[int, Meta(ge=0, le=10**12)]  # of one event: more is a wrong unit, and no price of it would be one
Name = Annotated[str, Meta(min_length=1, max_length=256)]
WORKLOAD_PATTERN = r"^[^/\x00-\x1f]+/[^/\x00-\x1f]*/[^/\x00-\x1f]*\Z"
WorkloadName = Annotated[str, Meta(min_length=3, max_length=512, pattern=WORKLOAD_PATTERN)]
Labels = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=256)]],
    Meta(max_length=32),
]
Power = Annotated[float, Meta(ge=0.0, le=5000.0)]  # watts
Gauge = Annotated[float, Meta(ge=0.0, le=1e9)]
SpanS = Annotated[float, Meta(ge=0.0, le=7 * 86400.0)]
FIRST_YEAR, LAST_YEAR = 1970, 2999
LONGEST_PERIOD = timedelta(days=3660)  # of a charge
MOST_DECIMALS = 40  # of an amount on a bill


class GpuSample(Struct, frozen=True, kw_only=True, tag="gpu_sample"):
    """How busy one accelerator was over the `span_s` seconds that end at `at`."""

    at: Moment
    workload: WorkloadName  # cluster/namespace/name; cluster// is given to nobody
    device: Name  # GPU UUID, with /gi-N for a MIG instance
    span_s: Annotated[float, Meta(gt=0.0, le=86400.0)] = 30.0
    event_id: Annotated[str, Meta(max_length=128)] | None = None
    team: Annotated[str, Meta(max_length=256)] | None = None
    node: Annotated[str, Meta(max_length=256)] | None = None
    labels: Labels | None = None
    gpu_model: Annotated[str, Meta(max_length=256)] | None = None
    util_ratio: Ratio | None = None  # share of the span in which any kernel was resident
    engine_active_ratio: Ratio | None = None
    sm_active_ratio: Ratio | None = None
    tensor_active_ratio: Ratio | None = None
    dram_active_ratio: Ratio | None = None
    memory_used_bytes: Count | None = None
    memory_total_bytes: Count | None = None
    power_w: Power | None = None


class TokenUsage(Struct, frozen=True, kw_only=True, tag="token_usage"):
    """Requests and tokens of one workload and model over the `span_s` seconds that end at `at`; 0 is one request."""

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    at: Moment
    workload: WorkloadName
    provider: Name
    model: Name
    requests: Count
    input_tokens: Tokens  # cache reads and writes included
    output_tokens: Tokens  # reasoning included
    span_s: SpanS = 0.0
    team: Annotated[str, Meta(max_length=256)] | None = None
    labels: Labels | None = None
    errors: Count | None = None
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    requests_running: Gauge | None = None
    requests_waiting: Gauge | None = None
    cost_usd: Decimal | None = None  # reported by the gateway or provider: wins over every price book

    def __post_init__(self) -> None:
        """Subsets must fit into their whole, and money be finite and not negative."""
        if (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0) > self.input_tokens:
            raise ValueError("cache_read_tokens + cache_write_tokens must not exceed input_tokens")
        if (self.reasoning_tokens or 0) > self.output_tokens:
            raise ValueError("reasoning_tokens must not exceed output_tokens")
        if self.cost_usd is not None and not (self.cost_usd.is_finite() and 0 <= self.cost_usd <= 10**9):
            raise ValueError(f"cost_usd must lie between 0 and 1000000000, got {self.cost_usd}")


class Charge(Struct, frozen=True, kw_only=True, tag="charge"):
    """One row of a bill, as delivered at `at`; a row delivered again replaces the earlier one.

    Amounts have at most 40 decimals; the period lies in 1970 to 2999 and is no longer than ten years.
    """

    at: Moment
    charge_period_start: Moment
    charge_period_end: Moment
    charge_category: Literal["Usage", "Purchase", "Tax", "Credit", "Adjustment"]
    billed_cost: Decimal
    effective_cost: Decimal
    billing_currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    event_id: Annotated[str, Meta(max_length=128)] | None = None
    workload: WorkloadName | None = None
    team: Annotated[str, Meta(max_length=256)] | None = None
    service_provider_name: Annotated[str, Meta(max_length=256)] | None = None
    service_name: Annotated[str, Meta(max_length=256)] | None = None
    resource_id: Annotated[str, Meta(max_length=2048)] | None = None
    sku_id: Annotated[str, Meta(max_length=256)] | None = None
    region_id: Annotated[str, Meta(max_length=256)] | None = None
    charge_class: Literal["Correction"] | None = None
    list_cost: Decimal | None = None
    consumed_quantity: Decimal | None = None
    consumed_unit: Annotated[str, Meta(max_length=64)] | None = None
    tags: dict[str, str] | None = None

    def __post_init__(self) -> None:
        """A period has a length and a limit, and amounts are finite."""
        if self.charge_period_end <= self.charge_period_start:
            raise ValueError("charge_period_end must lie after charge_period_start")
        if self.charge_period_start.year < FIRST_YEAR or self.charge_period_end.year > LAST_YEAR:
            raise ValueError(f"the charge period must lie in the years {FIRST_YEAR} to {LAST_YEAR}")
        if self.charge_period_end - self.charge_period_start > LONGEST_PERIOD:
            raise ValueError(f"the charge period must not be longer than {LONGEST_PERIOD.days} days")
        for name, most in (("billed_cost", 9), ("effective_cost", 9), ("list_cost", 9), ("consumed_quantity", 15)):
            value: Decimal | None = getattr(self, name)
            if value is not None and not _plain(value, most):
                raise ValueError(
                    f"{name} must be a finite amount up to 1e{most} with at most {MOST_DECIMALS} decimals, got {value}"
                )

    @property
    def identity(self) -> str:
        """What a redelivered or restated row has in common with the row that it replaces."""
        return self.event_id or "|".join(
            (
                self.service_provider_name or "",
                self.resource_id or "",
                self.sku_id or "",
                self.charge_period_start.isoformat(),
                self.charge_period_end.isoformat(),
                self.charge_category,
            )
        )


class Change(Struct, frozen=True, kw_only=True, tag="change"):
    """Something that people did: a deploy, a scale-out, a config or price change."""

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    at: Moment
    workload: WorkloadName
    kind: Literal["deploy", "scale", "config", "price", "other"]
    summary: Annotated[str, Meta(max_length=2048)]
    url: Annotated[str, Meta(max_length=2048)] | None = None


def _plain(value: Decimal, digits: int) -> bool:
    """Whether a decimal can be reckoned with: finite, up to 10**digits either way, and not endlessly small."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MOST_DECIMALS and abs(value) <= 10**digits


Event = GpuSample | TokenUsage | Charge | Change
