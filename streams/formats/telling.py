"""What is known of one accelerator or server at a moment, told as one of the contract's events."""

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct

from detectors.events import GpuSample, TokenUsage
from streams.formats.aliases import INFINITE, Slot
from streams.formats.owners import Who
from streams.formats.series import Series, is_ratio

SPAN_MS = 30_000  # of a thing's first event, and after a silence
LONGEST_SPAN_MS = 300_000
LONGEST_USE_MS = 7 * 86_400_000
MOST_COST_USD = 1e9
UTIL, ENGINE, SM, TENSOR, DRAM, USED, TOTAL, FREE, RESERVED, POWER = range(10)  # as in Slot, which is slow to look up
COUNTED = frozenset({*range(Slot.REQUESTS, Slot.COST + 1), int(Slot.INPUT_EVENTS)})
Base = tuple[float, int, int]  # of a counter: value, when, start


class Thing(Struct, array_like=True):
    """What is known of an accelerator or of a server."""

    who: Who
    rank: int  # of the source that is believed
    rank_ms: int = 0  # when that one spoke last
    at_ms: int = 0  # of the event that is being gathered; 0: none
    told_ms: int = 0  # of the last event
    got: int = 0  # how many values are there
    expected: int = 0  # how many were there last time
    values: dict[int, float] = {}
    bases: dict[str, Base] = {}
    model: str | None = None

    def copy(self) -> "Thing":
        """One that may be changed."""
        return Thing(
            self.who, self.rank, self.rank_ms, self.at_ms, self.told_ms, self.got, self.expected,
            self.values.copy(), self.bases.copy(), self.model,
        )  # fmt: skip


def moment(at_ms: int) -> datetime:
    """Epoch milliseconds as a moment in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _span_ms(thing: Thing, most_ms: int) -> int:
    span_ms = thing.at_ms - thing.told_ms
    return span_ms if 0 < span_ms <= most_ms and thing.told_ms else SPAN_MS


def sample(thing: Thing) -> GpuSample | None:
    """What an accelerator said at one moment; None where it said nothing."""
    values, who = thing.values, thing.who
    if not values:
        return None
    get = values.get
    used, total = get(USED), get(TOTAL)
    if total is None and used is not None and FREE in values:
        total = used + values[FREE] + get(RESERVED, 0.0)
    return GpuSample(
        at=moment(thing.at_ms),
        workload=who.workload,
        device=who.thing[4:],
        span_s=_span_ms(thing, LONGEST_SPAN_MS) / 1000,
        team=who.team,
        node=who.node,
        labels=who.labels,
        gpu_model=who.model or thing.model,
        util_ratio=_ratio(get(UTIL)),
        engine_active_ratio=_ratio(get(ENGINE)),
        sm_active_ratio=_ratio(get(SM)),
        tensor_active_ratio=_ratio(get(TENSOR)),
        dram_active_ratio=_ratio(get(DRAM)),
        memory_used_bytes=None if used is None else int(used),
        memory_total_bytes=None if total is None else int(total),
        power_w=get(POWER),
    )


def _ratio(value: float | None) -> float | None:
    return value if value is None or value <= 1.0 else 1.0


def usage(thing: Thing) -> TokenUsage | None:
    """What a server did since it spoke last; None where nothing is known of that yet."""
    values, who = thing.values, thing.who
    if COUNTED.isdisjoint(values):  # no counter has two values yet
        return None
    read, written = _whole(values, Slot.CACHE_READ), _whole(values, Slot.CACHE_WRITE)
    entered, left = _whole(values, Slot.INPUT) or 0, _whole(values, Slot.OUTPUT) or 0
    thought = _whole(values, Slot.REASONING)
    fits = (read or 0) + (written or 0) <= entered  # counters are read one after the other
    requests = _whole(values, Slot.REQUESTS)
    if requests is None:
        requests = _whole(values, Slot.INPUT_EVENTS)
    cost = values.get(Slot.COST)
    told = cost is not None and (cost > 0 or not entered + left)  # a gateway says 0 of a model that it can't price
    identity = blake2b(who.thing.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return TokenUsage(
        event_id=f"{identity}-{thing.at_ms}",
        at=moment(thing.at_ms),
        workload=who.workload,
        provider=who.provider or "unknown",
        model=thing.model or (who.labels or {}).get("requested_model") or "unknown",
        span_s=_span_ms(thing, LONGEST_USE_MS) / 1000,
        team=who.team,
        labels=who.labels,
        requests=requests or 0,
        errors=_whole(values, Slot.ERRORS),
        input_tokens=entered,
        output_tokens=left,
        cache_read_tokens=read if fits else None,
        cache_write_tokens=written if fits else None,
        reasoning_tokens=thought if thought is None or thought <= left else None,
        requests_running=values.get(Slot.RUNNING),
        requests_waiting=values.get(Slot.WAITING),
        cost_usd=Decimal(repr(round(cost, 9))) if told and cost is not None and cost <= MOST_COST_USD else None,
    )


def _whole(values: dict[int, float], slot: int) -> int | None:
    value = values.get(slot)
    return None if value is None else round(value)


def beyond(series: Series, value: float) -> str:
    """What is wrong with a value that can't be one."""
    if not -INFINITE < value < INFINITE:
        return f"the value is {value}"
    hint = "; is it percent, and not a ratio?" if is_ratio(series) and series.most < value * series.scale <= 100 else ""
    return f"the value {value:g} is beyond what it can be (0 to {series.most / series.scale:g} in its unit){hint}"
