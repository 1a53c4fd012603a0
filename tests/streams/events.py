"""Events, records and a pipeline for the tests of `streams/`."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from alerts.incidents import SeverityPolicy
from alerts.messages import title
from alerts.routing import Router
from detectors.anomaly import AnomalyDetector
from detectors.data_gap import DataGapDetector
from detectors.idle import IdleDetector
from detectors.unpriced import UnpricedDetector
from store.facts import Facts, LedgerRow
from streams.attribution import Attribution, TeamRule
from streams.pipeline import Limits, Pipeline
from streams.pricing import GpuPrice, PriceBook, Pricer, TokenPrice
from streams.records import Record
from streams.status import Statuses

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CHAT = "prod/llm/chat"
NOTEBOOK = "lab/alice/notebook"
H100 = "NVIDIA H100 80GB HBM3"

BOOK = PriceBook(
    gpu=(GpuPrice(model="*H100*", usd_per_hour=Decimal("4.00"), since=NEW_YEAR),),
    tokens=(
        TokenPrice(
            provider="openai",
            model="gpt-5-mini",
            since=NEW_YEAR,
            input_usd_per_million=Decimal("0.25"),
            cache_read_usd_per_million=Decimal("0.025"),
            output_usd_per_million=Decimal("2.00"),
        ),
    ),
)


def stamp(at: datetime) -> str:
    """A moment as events bear it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def gpu(at: datetime = NOON, /, **fields: Any) -> dict[str, Any]:
    """A sample of a busy H100; a field that is None is left out."""
    values = {
        "type": "gpu_sample",
        "at": stamp(at),
        "span_s": 30,
        "workload": NOTEBOOK,
        "device": "GPU-1",
        "gpu_model": H100,
        "util_ratio": 0.8,
        "power_w": 500.0,
        "memory_used_bytes": 60_000_000_000,
        "memory_total_bytes": 80_000_000_000,
    }
    return {name: value for name, value in {**values, **fields}.items() if value is not None}


def idle_gpu(at: datetime = NOON, /, **fields: Any) -> dict[str, Any]:
    """A sample of an H100 that does nothing and holds its memory."""
    return gpu(at, **{"util_ratio": 0.0, "sm_active_ratio": 0.0, "power_w": 70.0, **fields})


def usage(at: datetime = NOON, /, **fields: Any) -> dict[str, Any]:
    """A window of 60 s with ten requests."""
    values = {
        "type": "token_usage",
        "event_id": f"u-{stamp(at)}",
        "at": stamp(at),
        "span_s": 60,
        "workload": CHAT,
        "provider": "openai",
        "model": "gpt-5-mini",
        "requests": 10,
        "input_tokens": 10_000,
        "output_tokens": 2_000,
    }
    return {name: value for name, value in {**values, **fields}.items() if value is not None}


def charge(at: datetime = NOON, /, **fields: Any) -> dict[str, Any]:
    """A day of 24 accelerator hours for 48 dollars."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    values = {
        "type": "charge",
        "at": stamp(at),
        "charge_period_start": stamp(day - timedelta(days=1)),
        "charge_period_end": stamp(day),
        "workload": NOTEBOOK,
        "service_provider_name": "Example Cloud",
        "resource_id": "i-1",
        "sku_id": "gpu",
        "charge_category": "Usage",
        "billed_cost": "48",
        "effective_cost": "48",
        "billing_currency": "USD",
        "consumed_quantity": "24",
        "consumed_unit": "Hours",
    }
    return {name: value for name, value in {**values, **fields}.items() if value is not None}


def change(at: datetime = NOON, /, **fields: Any) -> dict[str, Any]:
    """A deploy."""
    values = {
        "type": "change",
        "event_id": f"c-{stamp(at)}",
        "at": stamp(at),
        "workload": CHAT,
        "kind": "deploy",
        "summary": "chat v2",
    }
    return {**values, **fields}


TOPICS = {
    "gpu_sample": "gpu.samples",
    "token_usage": "token.usage",
    "charge": "billing.charges",
    "change": "ops.changes",
}


def encoded(value: Any) -> bytes:
    """A message's bytes."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


class Log:
    """Numbers messages by topic, as a partition would."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def record(self, value: Any, arrived_at: datetime | None = None, topic: str | None = None) -> Record:
        """One message: an event, a list of events, or bytes. It arrives a second after its newest event."""
        events = value if isinstance(value, list) else [value]
        known = [one for one in events if isinstance(one, dict)]
        topic = topic or (TOPICS[known[0]["type"]] if known else "gpu.samples")
        offset = self._next.get(topic, 0)
        self._next[topic] = offset + 1
        at = arrived_at or max((datetime.fromisoformat(one["at"]) for one in known), default=NOON) + SECOND
        return Record(topic, 0, offset, at, encoded(value))

    def records(self, values: Iterable[Any]) -> list[Record]:
        """Several messages."""
        return [self.record(value) for value in values]


def router() -> Router:
    """Everything goes to one channel."""
    return Router([], ("recorder",), title)


def pipeline(
    *, book: PriceBook = BOOK, rules: Sequence[TeamRule] = (), limits: Limits | None = None, partition: int = 0
) -> Pipeline:
    """A pipeline as the service builds it, with an impatient idle detector."""
    idle = IdleDetector(after_s=300.0)
    return Pipeline(
        partition=partition,
        detectors=(idle, DataGapDetector(), UnpricedDetector(), AnomalyDetector()),
        statuses=Statuses(idle),
        pricer=Pricer(book),
        attribution=Attribution(tuple(rules)),
        severity=SeverityPolicy(),
        route=router().decide,
        limits=limits or Limits(),
    )


def nano_usd(rows: Iterable[LedgerRow]) -> dict[tuple[datetime, str], int]:
    """The latest sum of each hour and workload, over its lines."""
    latest = {(row.hour, row.workload, row.line): row.nano_usd for row in rows}
    sums: dict[tuple[datetime, str], int] = {}
    for (hour, workload, _), amount in latest.items():
        sums[hour, workload] = sums.get((hour, workload), 0) + amount
    return sums


def observed(*values: Any, **how: Any) -> Facts:
    """What a new pipeline finds in these messages."""
    one = pipeline(**how)
    one.observe(Log().records(values))
    return one.drain()
