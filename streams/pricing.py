"""What usage costs, and which source said so (contract, section 2).

Money is exact: integers of nano-dollars. A model that no source knows is unpriced, never $0.
"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fnmatch import fnmatchcase
from math import inf

from genai_prices import Usage, calc_price
from genai_prices.types import ModelPrice, PriceCalculation, TieredPrices
from msgspec import Struct
from msgspec.structs import astuple

from detectors.events import Charge, TokenUsage

NANO = Decimal(10**9)
MOST_MODELS = 10_000  # remembered at a time
MOST_LEARNT = 100_000  # workloads whose rate is known from their charges
# Units of a bill in which an accelerator's time is counted; "GB-Hours" and the like are not its time.
HOUR_UNITS = frozenset(
    {"h", "hr", "hrs", "hour", "hours"}
    | {
        f"{what}{sep}{unit}"
        for what in ("gpu", "accelerator")
        for sep in " -"
        for unit in ("hr", "hrs", "hour", "hours")
    }
)


class GpuPrice(Struct, frozen=True, kw_only=True):
    """A row of the book for accelerators: the first glob that matches the model wins, of its rows the latest in force.

    A glob of which no row is in force yet is passed over.
    """

    model: str  # glob on gpu_model
    usd_per_hour: Decimal
    since: datetime  # `from` in the config


class TokenPrice(Struct, frozen=True, kw_only=True):
    """A row of the book for tokens: the latest in force at the event's time wins."""

    provider: str
    model: str
    since: datetime
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal | None = None  # absent: as input
    cache_write_usd_per_million: Decimal | None = None  # absent: as input


class PriceBook(Struct, frozen=True, kw_only=True):
    """The owner's prices."""

    gpu: tuple[GpuPrice, ...] = ()
    tokens: tuple[TokenPrice, ...] = ()


class Cost(Struct, frozen=True):
    """What one event costs, and who said so. `reference_nano_usd`: the same tokens at the model's first known price."""

    nano_usd: int
    source: str  # "book", "reported", "learnt", "genai-prices" or "shipped"
    reference_nano_usd: int = 0


# On-demand list prices of large clouds for one accelerator, USD an hour, as of 2026-01-01. The last resort: every
# figure that rests on it says "shipped".
SHIPPED_GPU_USD_PER_HOUR: tuple[tuple[str, str], ...] = (
    ("*GB200*", "10.50"),
    ("*B200*", "8.00"),
    ("*H200*", "5.00"),
    ("*H100*", "4.00"),
    ("*A100*80GB*", "3.40"),
    ("*A100*", "2.75"),
    ("*L40S*", "1.85"),
    ("*L4*", "0.80"),
    ("*A10G*", "1.00"),
    ("*V100*", "2.50"),
    ("*T4*", "0.53"),
    ("*MI300X*", "4.50"),
)


class Learnt(Struct, frozen=True):
    """What an accelerator of a workload cost, and the charge that said so."""

    period_end: datetime
    delivered_at: datetime
    usd_per_hour: Decimal


class Pricer:
    """Prices events by the order of the contract. Learns an accelerator's rate from its workload's own charges."""

    def __init__(self, book: PriceBook) -> None:
        """The owner's book comes before all but reported costs."""
        self.book = book
        self.learnt: dict[str, Learnt] = {}
        self._gpu: dict[str, list[tuple[datetime, int, str]]] = {}
        self._tokens: dict[tuple[str, str], list[TokenPrice]] = {}
        for row in sorted(book.tokens, key=lambda row: row.since):
            self._tokens.setdefault((row.provider, row.model), []).append(row)
        self._unknown: set[tuple[str, str]] = set()

    def gpu_rate(self, model: str | None, workload: str, at: datetime) -> tuple[int, str] | None:
        """Nano-dollars an hour of one accelerator at a moment, and the source; None where none knows it."""
        learnt = self.learnt.get(workload)
        for since, nano_usd_per_hour, source in self._rates(model or ""):
            if source == "shipped" and learnt is not None:
                break
            if since <= at:
                return nano_usd_per_hour, source
        return (_nano(learnt.usd_per_hour), "learnt") if learnt is not None else None

    def _rates(self, model: str) -> list[tuple[datetime, int, str]]:
        rates = self._gpu.get(model)
        if rates is None:
            fitting = [row for row in self.book.gpu if fnmatchcase(model, row.model)]
            globs = list(dict.fromkeys(row.model for row in fitting))
            fitting.sort(key=lambda row: (globs.index(row.model), -row.since.timestamp()))
            rates = [(row.since, _nano(row.usd_per_hour), "book") for row in fitting]
            if model:
                start = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
                rates += [
                    (start, _nano(Decimal(usd)), "shipped")
                    for glob, usd in SHIPPED_GPU_USD_PER_HOUR
                    if fnmatchcase(model, glob)
                ][:1]
            if len(self._gpu) >= MOST_MODELS:
                self._gpu.clear()
            self._gpu[model] = rates
        return rates

    def learn(self, charge: Charge) -> None:
        """Take the rate of a workload's accelerators from a charge that says how many hours it is for.

        Of a workload's charges the one for the latest period counts: an old one delivered again changes nothing.
        """
        quantity, unit = charge.consumed_quantity, (charge.consumed_unit or "").lower()
        usage = charge.charge_category == "Usage" and charge.charge_class is None and unit in HOUR_UNITS
        usage = usage and charge.billing_currency == "USD"  # all estimates are, and no rate of exchange is known
        if not usage or charge.workload is None or quantity is None or quantity <= 0:
            return
        rate = Learnt(charge.charge_period_end, charge.at, charge.effective_cost / quantity)
        known = self.learnt.get(charge.workload)
        if known is None and len(self.learnt) >= MOST_LEARNT:
            return
        if 0 < rate.usd_per_hour <= 1000 and (known is None or astuple(known) <= astuple(rate)):
            self.learnt[charge.workload] = rate

    def tokens(self, event: TokenUsage) -> Cost | None:
        """What a token event costs, None where no source knows its model."""
        begun_at = event.at - timedelta(seconds=event.span_s) if event.span_s else event.at
        rows = self._tokens.get((event.provider, event.model))
        if event.cost_usd is not None:
            nano = _nano(event.cost_usd)
            first = _from_book(rows[0], event) if rows else self._from_genai(event)
            return Cost(nano, "reported", nano if first is None else first)
        if rows:
            in_force = next((row for row in reversed(rows) if row.since <= begun_at), None)
            if in_force is not None:
                nano = _from_book(in_force, event)
                return Cost(nano, "book", nano if in_force is rows[0] else _from_book(rows[0], event))
        known = self._from_genai(event)
        return None if known is None else Cost(known, "genai-prices", known)

    def _from_genai(self, event: TokenUsage) -> int | None:
        key = (event.provider, event.model)
        if key in self._unknown:
            return None
        try:
            usd = _list_price(event)
        except LookupError:
            if len(self._unknown) < MOST_MODELS:
                self._unknown.add(key)
            return None
        return _nano(usd)


def _list_price(event: TokenUsage) -> Decimal:
    """What genai-prices asks for the event's tokens, by the request. Raises LookupError.

    Some list prices rise with the length of a request: an event that sums up many short ones is not one long one.
    """
    read, write = event.cache_read_tokens or 0, event.cache_write_tokens or 0
    counts = (event.input_tokens - read - write, read, write, event.output_tokens)
    whole = _calculated(event, _usage_of(*counts))
    if event.requests <= 1 or event.input_tokens <= _shortest_dear_request(whole.model_price):
        return Decimal(whole.total_price)
    even = _calculated(event, _usage_of(*(count // event.requests for count in counts)))
    rest = _calculated(event, _usage_of(*(count % event.requests for count in counts)))
    return Decimal(event.requests * even.total_price + rest.total_price)


def _calculated(event: TokenUsage, usage: Usage) -> PriceCalculation:
    return calc_price(usage, model_ref=event.model, provider_id=event.provider, genai_request_timestamp=event.at)


def _shortest_dear_request(price: ModelPrice) -> float:
    """Input tokens above which a request is dearer by the token; infinite where none is."""
    tiered = (value for value in vars(price).values() if isinstance(value, TieredPrices))
    return min((tier.start for value in tiered for tier in value.tiers), default=inf)


def _usage_of(fresh: int, read: int, write: int, output: int) -> Usage:
    return Usage(
        input_tokens=fresh + read + write, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write
    )


def _from_book(row: TokenPrice, event: TokenUsage) -> int:
    read, write = event.cache_read_tokens or 0, event.cache_write_tokens or 0
    usd_per_million = row.input_usd_per_million
    read_price, write_price = row.cache_read_usd_per_million, row.cache_write_usd_per_million
    millionths = (
        (event.input_tokens - read - write) * usd_per_million
        + read * (usd_per_million if read_price is None else read_price)
        + write * (usd_per_million if write_price is None else write_price)
        + event.output_tokens * row.output_usd_per_million
    )
    return int((millionths * 1000).to_integral_value(ROUND_HALF_EVEN))


def _nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value(ROUND_HALF_EVEN))
