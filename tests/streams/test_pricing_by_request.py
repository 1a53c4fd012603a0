"""List prices that rise with the length of a request are asked by the request, however events sum requests up."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from detectors.events import TokenUsage
from streams.pricing import Cost, PriceBook, Pricer

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def usage(requests: int, input_tokens: int, output_tokens: int, cache_read_tokens: int | None = None) -> TokenUsage:
    return TokenUsage(
        event_id="one", at=NOON, span_s=600.0, workload="prod/chat/api", provider="anthropic",
        model="claude-sonnet-4-5",
        requests=requests, input_tokens=input_tokens, output_tokens=output_tokens,
        cache_read_tokens=cache_read_tokens,
    )  # fmt: skip


@pytest.mark.parametrize("requests", [1, 28, 280, 5_000])
def test_many_short_requests_cost_as_many_times_one(requests: int):
    cost = Pricer(PriceBook()).tokens(usage(requests, 3_900 * requests, 610 * requests))

    one_usd = Decimal(3_900) * 3 / 10**6 + Decimal(610) * 15 / 10**6
    assert cost == Cost(int(requests * one_usd * 10**9), "genai-prices", int(requests * one_usd * 10**9))


def test_one_long_request_costs_the_dearer_price():
    cost = Pricer(PriceBook()).tokens(usage(1, 280_000, 1_000))

    usd = Decimal(280_000) * 6 / 10**6 + Decimal(1_000) * Decimal("22.5") / 10**6
    assert cost == Cost(int(usd * 10**9), "genai-prices", int(usd * 10**9))


def test_tokens_that_requests_do_not_share_evenly_are_all_paid_for():
    cost = Pricer(PriceBook()).tokens(usage(3, 1_000, 100))

    usd = Decimal(1_000) * 3 / 10**6 + Decimal(100) * 15 / 10**6
    assert cost == Cost(int(usd * 10**9), "genai-prices", int(usd * 10**9))


def test_tokens_read_from_a_cache_are_shared_out_as_well():
    cost = Pricer(PriceBook()).tokens(usage(4, 12, 0, cache_read_tokens=11))

    nano_usd = 1 * 3_000 + 11 * 300
    assert cost == Cost(nano_usd, "genai-prices", nano_usd)
