"""What the ledger must come to, reckoned anew from the events: fractions and integers, nothing of the product's own.

Known by heart here: the price book of the laws' config, the shipped prices of two accelerators, and the rules of the
contract (first delivery counts, a span is split over its hours in proportion, sums are floored to the nano-dollar).
"""

from collections import defaultdict
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from math import floor
from typing import Any

from tests.properties.world import PRICE_CHANGE, Message

HOUR_MS = 3_600_000
NANO = 10**9
FIELDS = ("nano_usd", "gpu_ms", "requests", "input_tokens", "output_tokens", "unpriced_tokens")
Key = tuple[datetime, str, str]


def ledger_of(messages: Sequence[Message], set_aside: Container[tuple[str, int, int]]) -> dict[Key, tuple[int, ...]]:
    """Nano-dollars, accelerator milliseconds, requests and tokens by hour, workload and line."""
    sums: dict[Key, list[int]] = defaultdict(lambda: [0] * len(FIELDS))
    seen: set[tuple[str, str, str]] = set()
    learnt: dict[str, tuple[str, str, Fraction]] = {}
    offsets: dict[str, int] = {}
    for message in messages:
        offset = offsets.get(message.topic, 0)
        offsets[message.topic] = offset + 1
        for index, event in enumerate(message.events):
            if (message.topic, offset, index) in set_aside:
                continue
            if event["type"] == "charge":
                _learn(learnt, event)
            if event["type"] not in ("gpu_sample", "token_usage"):
                continue
            identity = (event["type"], event.get("device") or event["event_id"], event["at"])
            if identity in seen:
                continue
            seen.add(identity)
            end_ms = _ms(event["at"])
            span_ms = round(Fraction(str(event["span_s"])) * 1000)
            line, amounts = (_gpu if event["type"] == "gpu_sample" else _tokens)(
                event, end_ms - span_ms, span_ms, learnt
            )
            for hour_ms, shares in _split(end_ms, span_ms, amounts):
                row = sums[datetime.fromtimestamp(hour_ms / 1000, UTC), event["workload"], line]
                for place, share in enumerate(shares):
                    row[place] += share
    return {key: tuple(row) for key, row in sums.items()}


def _ms(stamp: str) -> int:
    at = datetime.fromisoformat(stamp)
    return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000


def _half_even(value: Fraction) -> int:
    return round(value)  # Python rounds fractions half to even


def _learn(learnt: dict[str, tuple[str, str, Fraction]], event: dict[str, Any]) -> None:
    if event["charge_category"] != "Usage" or "charge_class" in event or event["billing_currency"] != "USD":
        return
    rate = Fraction(event["effective_cost"]) / Fraction(event["consumed_quantity"])
    news = (event["charge_period_end"], event["at"], rate)
    known = learnt.get(event["workload"])
    if known is None or _newer(news, known):
        learnt[event["workload"]] = news


def _newer(news: tuple[str, str, Fraction], known: tuple[str, str, Fraction]) -> bool:
    return (_ms(news[0]), _ms(news[1]), news[2]) >= (_ms(known[0]), _ms(known[1]), known[2])


def _gpu(event: dict[str, Any], begin_ms: int, span_ms: int, learnt: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    model = event.get("gpu_model")
    own = learnt.get(event["workload"])
    rate: int | None
    if model is not None and "H100" in model:
        later = begin_ms >= PRICE_CHANGE.timestamp() * 1000
        rate, source = (4_000_000_007 if later else 3_990_000_000), "book"
    elif own is not None:
        rate, source = _half_even(own[2] * NANO), "learnt"
    elif model is not None and "A100" in model:
        rate, source = 3_400_000_000, "shipped"
    else:
        rate, source = None, "unpriced"
    nano_usd = 0 if rate is None else floor(Fraction(rate * span_ms, HOUR_MS))
    return f"gpu|{model or 'unknown'}|{source}", (nano_usd, span_ms, 0, 0, 0, 0)


def _tokens(event: dict[str, Any], begin_ms: int, span_ms: int, learnt: object) -> tuple[str, tuple[int, ...]]:
    into, out = event["input_tokens"], event["output_tokens"]
    read, write = event.get("cache_read_tokens", 0), event.get("cache_write_tokens", 0)
    fresh = into - read - write
    if "cost_usd" in event:
        nano_usd, source = _half_even(Fraction(event["cost_usd"]) * NANO), "reported"
    elif event["model"] == "mystery":
        nano_usd, source = 0, "unpriced"
    elif begin_ms >= PRICE_CHANGE.timestamp() * 1000:
        nano_usd, source = _half_even(into * Fraction(350) + out * 3000), "book"
    else:
        dear = fresh * Fraction(250) + read * Fraction(25) + write * Fraction("312.5") + out * Fraction("2000.5")
        nano_usd, source = _half_even(dear), "book"
    unpriced = into + out if source == "unpriced" else 0
    line = f"tokens|{event['provider']}/{event['model']}|{source}"
    return line, (nano_usd, 0, event["requests"], into, out, unpriced)


def _split(end_ms: int, span_ms: int, amounts: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """Each hour's part: what has accrued by its end, floored, less what had accrued by its beginning."""
    begin_ms = end_ms - span_ms
    if span_ms == 0:
        return [(end_ms // HOUR_MS * HOUR_MS, amounts)]
    parts = []
    hour_ms = begin_ms // HOUR_MS * HOUR_MS
    while hour_ms < end_ms:
        before, after = max(hour_ms, begin_ms) - begin_ms, min(hour_ms + HOUR_MS, end_ms) - begin_ms
        shares = tuple(
            floor(Fraction(amount * after, span_ms)) - floor(Fraction(amount * before, span_ms)) for amount in amounts
        )
        parts.append((hour_ms, shares))
        hour_ms += HOUR_MS
    return parts
