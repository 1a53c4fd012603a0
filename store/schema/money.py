"""What was spent, billed and foreseen, and what people changed."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from store.schema.row import Key, MomentKey, Row


class Ledger(Row):
    """What one spend line of one workload cost in one UTC hour, in whole nano-dollars."""

    __tablename__ = "ledger"
    __table_args__ = (Index("ledger_by_workload", "workload", "hour"),)

    hour: Mapped[MomentKey]
    workload: Mapped[Key]
    line: Mapped[Key]
    team: Mapped[str | None]
    nano_usd: Mapped[int]
    gpu_s: Mapped[float]
    requests: Mapped[int]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    unpriced_tokens: Mapped[int]


class Charge(Row):
    """A row of the bill in its latest version; `digest` stands for its identity, which an index can't hold whole."""

    __tablename__ = "charges"
    __table_args__ = (Index("charges_by_period", "period_start", "period_end"),)

    digest: Mapped[Key]
    identity: Mapped[str]
    at: Mapped[datetime]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    workload: Mapped[str | None]
    team: Mapped[str | None]
    provider: Mapped[str | None]
    sku: Mapped[str | None]
    category: Mapped[str]
    currency: Mapped[str]
    billed_cost: Mapped[Decimal]
    effective_cost: Mapped[Decimal]


class Forecast(Row):
    """Spend of a whole period as foreseen at `issued_at`; the subject that does not apply is ''."""

    __tablename__ = "forecasts"
    __table_args__ = (Index("forecasts_by_time", "issued_at"),)

    workload: Mapped[Key]
    budget: Mapped[Key]
    period_start: Mapped[MomentKey]
    period_end: Mapped[MomentKey]
    issued_at: Mapped[MomentKey]
    p10_usd: Mapped[float]
    p50_usd: Mapped[float]
    p90_usd: Mapped[float]
    method: Mapped[str]


class Change(Row):
    """Something people did."""

    __tablename__ = "changes"
    __table_args__ = (Index("changes_by_time", "at"),)

    event_id: Mapped[Key]
    at: Mapped[datetime]
    workload: Mapped[str]
    kind: Mapped[str]
    summary: Mapped[str]
    url: Mapped[str | None]
