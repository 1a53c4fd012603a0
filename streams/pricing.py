"""What usage costs, and which source said so (contract, section 2).

Money is exact: integers of nano-dollars. A model that no source knows is unpriced, never $0.
"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fnmatch import fnmatchcase
from math import inf

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices
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


class Rate(Struct, frozen=True):
    """What one accelerator costs in a stretch of time, and who said so; `nano_usd_per_hour` None: nobody knows."""

    nano_usd_per_hour: int | None
    source: str
    from_ms: float  # epoch milliseconds, this one included
    until_ms: float  # this one not included


class _Linear:
    """Prices that rise evenly with the tokens, as whole numbers: exact, and quick to multiply."""

    __slots__ = ("input", "output", "read", "scale", "write")

    def __init__(self, per_million_usd: tuple[Decimal, Decimal, Decimal, Decimal]) -> None:
        """Fresh input, cache reads, cache writes and output, each in USD for a million tokens."""
        nano = [usd * 1000 for usd in per_million_usd]
        places = max(0, *(-int(price.as_tuple().exponent) for price in nano))
        self.scale = 10**places
        self.input, self.read, self.write, self.output = (int(price * self.scale) for price in nano)

    def nano_usd(self, event: TokenUsage) -> int:
        """What an event's tokens cost, rounded half to even."""
        read, write = event.cache_read_tokens or 0, event.cache_write_tokens or 0
        total = event.output_tokens * self.output + (event.input_tokens - read - write) * self.input
        total += read * self.read + write * self.write
        nano: int = total // self.scale
        rest: int = total % self.scale
        return nano + int(2 * rest > self.scale or (2 * rest == self.scale and nano % 2 == 1))


class Pricer:
    """Prices events by the order of the contract. Learns an accelerator's rate from its workload's own charges."""

    def __init__(self, book: PriceBook) -> None:
        """The owner's book comes before all but reported costs."""
        self.book = book
        self.learnt: dict[str, Learnt] = {}
        self._gpu: dict[str, list[tuple[datetime, int, str]]] = {}
        self._tokens: dict[tuple[str, str], list[tuple[datetime, _Linear]]] = {}
        for row in sorted(book.tokens, key=lambda row: row.since):
            self._tokens.setdefault((row.provider, row.model), []).append((row.since, _of_row(row)))
        self._unknown: set[tuple[str, str]] = set()
        self._lists: dict[int, tuple[ModelPrice, _Linear | None]] = {}  # list prices by identity
        self.lessons = 0  # how often a learnt rate has changed

    def gpu_rate(self, model: str | None, workload: str, at: datetime) -> tuple[int, str] | None:
        """Nano-dollars an hour of one accelerator at a moment, and the source; None where none knows it."""
        rate = self.rate(model, workload, at.timestamp() * 1000)
        return None if rate.nano_usd_per_hour is None else (rate.nano_usd_per_hour, rate.source)

    def rate(self, model: str | None, workload: str, at_ms: float) -> Rate:
        """What one accelerator costs at a moment, and from when until when that is so, as far as is known now."""
        learnt = self.learnt.get(workload)
        until_ms = inf
        for since, nano_usd_per_hour, source in self._rates(model or ""):
            if source == "shipped" and learnt is not None:
                break
            since_ms = since.timestamp() * 1000
            if since_ms <= at_ms:
                return Rate(nano_usd_per_hour, source, since_ms, until_ms)
            until_ms = min(until_ms, since_ms)
        if learnt is None:
            return Rate(None, "unpriced", -inf, until_ms)
        return Rate(_nano(learnt.usd_per_hour), "learnt", -inf, until_ms)

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
            self.lessons += known != rate

    def tokens(self, event: TokenUsage) -> Cost | None:
        """What a token event costs, None where no source knows its model."""
        rows = self._tokens.get((event.provider, event.model))
        if event.cost_usd is not None:
            nano = _nano(event.cost_usd)
            first = rows[0][1].nano_usd(event) if rows else self._from_list(event)
            return Cost(nano, "reported", nano if first is None else first)
        if rows:
            begun_at = event.at - timedelta(seconds=event.span_s) if event.span_s else event.at
            in_force = next((prices for since, prices in reversed(rows) if since <= begun_at), None)
            if in_force is not None:
                nano = in_force.nano_usd(event)
                return Cost(nano, "book", nano if in_force is rows[0][1] else rows[0][1].nano_usd(event))
        known = self._from_list(event)
        return None if known is None else Cost(known, "genai-prices", known)

    def _from_list(self, event: TokenUsage) -> int | None:
        """What genai-prices asks for the event's tokens; None where it does not know the model."""
        key = (event.provider, event.model)
        if key in self._unknown:
            return None
        try:
            _, model = get_snapshot().find_provider_model(event.model, None, event.provider, None)
            prices = model.get_prices(event.at)
            linear = self._linear(prices)
            return _nano(_by_request(prices, event)) if linear is None else linear.nano_usd(event)
        except LookupError:
            if len(self._unknown) < MOST_MODELS:
                self._unknown.add(key)
            return None

    def _linear(self, prices: ModelPrice) -> _Linear | None:
        """A list price as whole numbers; None where it depends on the length of a request."""
        known = self._lists.get(id(prices))
        if known is None or known[0] is not prices:
            if len(self._lists) >= MOST_MODELS:
                self._lists.clear()
            known = self._lists[id(prices)] = prices, _even(prices)
        return known[1]


def _of_row(row: TokenPrice) -> _Linear:
    read, write = row.cache_read_usd_per_million, row.cache_write_usd_per_million
    fresh = row.input_usd_per_million
    return _Linear(
        (
            fresh,
            fresh if read is None else read,
            fresh if write is None else write,
            row.output_usd_per_million,
        )
    )


def _even(prices: ModelPrice) -> _Linear | None:
    if _shortest_dear_request(prices) < inf:
        return None
    million = 10**6
    fresh, read, write, output = (
        _total(prices, _usage_of(*(million * (place == kind) for place in range(4)))) for kind in range(4)
    )
    return _Linear((fresh, read, write, output))


def _by_request(prices: ModelPrice, event: TokenUsage) -> Decimal:
    """What tokens cost, by the request, at a price that rises with the length of a request.

    An event that sums up many short ones is not one long one.
    """
    read, write = event.cache_read_tokens or 0, event.cache_write_tokens or 0
    counts = (event.input_tokens - read - write, read, write, event.output_tokens)
    if event.requests <= 1 or event.input_tokens <= _shortest_dear_request(prices):
        return _total(prices, _usage_of(*counts))
    even = _total(prices, _usage_of(*(count // event.requests for count in counts)))
    rest = _total(prices, _usage_of(*(count % event.requests for count in counts)))
    return event.requests * even + rest


def _total(prices: ModelPrice, usage: Usage) -> Decimal:
    return Decimal(prices.calc_price(usage)["total_price"])


def _shortest_dear_request(price: ModelPrice) -> float:
    """Input tokens above which a request is dearer by the token; infinite where none is."""
    tiered = (value for value in vars(price).values() if isinstance(value, TieredPrices))
    return min((tier.start for value in tiered for tier in value.tiers), default=inf)


def _usage_of(fresh: int, read: int, write: int, output: int) -> Usage:
    return Usage(
        input_tokens=fresh + read + write, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write
    )


def _nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value(ROUND_HALF_EVEN))
