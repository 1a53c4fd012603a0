"""Which factor moved the dollars: written-out shapes of ten minutes before and now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.cause import Shape, cause_of, shares_usd
from detectors.findings import Cause

# 100 requests of 1000 tokens at 10 USD a million tokens, first price 10 USD a million
TOKENS = Shape(usd=1.0, gpu_usd=0.0, requests=100.0, tokens=100_000.0, reference_usd=1.0)
# the same served on accelerators of its own, without a price for tokens
SERVED = Shape(usd=4.0, gpu_usd=4.0, requests=100.0, tokens=100_000.0, reference_usd=0.0)


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (TOKENS, Shape(3.0, 0.0, 300.0, 300_000.0, 3.0), Cause.REQUEST_RATE),
        (TOKENS, Shape(3.0, 0.0, 100.0, 300_000.0, 3.0), Cause.TOKENS_PER_REQUEST),
        (TOKENS, Shape(3.0, 0.0, 100.0, 100_000.0, 3.0), Cause.MODEL_MIX),
        (TOKENS, Shape(3.0, 0.0, 100.0, 100_000.0, 1.0), Cause.PRICE),
        (TOKENS, Shape(6.0, 0.0, 150.0, 600_000.0, 6.0), Cause.TOKENS_PER_REQUEST),
        (SERVED, Shape(8.0, 8.0, 100.0, 100_000.0, 0.0), Cause.GPU_HOURS),
        (SERVED, Shape(8.0, 8.0, 900.0, 900_000.0, 0.0), Cause.GPU_HOURS),
        (Shape(5.0, 4.0, 100.0, 100_000.0, 1.0), Shape(7.0, 4.0, 300.0, 300_000.0, 3.0), Cause.REQUEST_RATE),
        (Shape(0.0, 0.0, 0.0, 0.0, 0.0), Shape(3.0, 0.0, 300.0, 300_000.0, 3.0), Cause.UNKNOWN),
        (TOKENS, TOKENS, Cause.UNKNOWN),
        (TOKENS, Shape(0.5, 0.0, 50.0, 50_000.0, 0.5), Cause.UNKNOWN),
        (TOKENS, Shape(3.0, 0.0, 0.0, 0.0, 0.0), Cause.UNKNOWN),
    ],
)
def test_the_factor_that_grew_most_is_the_cause(before: Shape, now: Shape, cause: Cause):
    assert cause_of(before, now) is cause


@pytest.mark.parametrize(
    ("before", "now", "shares"),
    [
        (TOKENS, Shape(2.0, 0.0, 200.0, 200_000.0, 2.0), {Cause.REQUEST_RATE: 1.0}),
        (TOKENS, Shape(4.0, 0.0, 200.0, 400_000.0, 4.0), {Cause.REQUEST_RATE: 1.5, Cause.TOKENS_PER_REQUEST: 1.5}),
        (
            Shape(5.0, 4.0, 100.0, 100_000.0, 1.0),
            Shape(8.0, 6.0, 100.0, 100_000.0, 1.0),
            {Cause.GPU_HOURS: 2.0, Cause.PRICE: 1.0},
        ),
        (TOKENS, Shape(2.0, 0.0, 50.0, 100_000.0, 2.0), {
            Cause.REQUEST_RATE: -1.0, Cause.TOKENS_PER_REQUEST: 1.0, Cause.MODEL_MIX: 1.0
        }),
        (Shape(0.0, 0.0, 0.0, 0.0, 0.0), Shape(3.0, 0.0, 300.0, 300_000.0, 3.0), {Cause.UNKNOWN: 3.0}),
        (TOKENS, Shape(3.0, 0.0, 0.0, 0.0, 0.0), {Cause.UNKNOWN: 2.0}),
        (TOKENS, TOKENS, {}),
    ],
)  # fmt: skip
def test_a_rise_in_dollars_by_factor(before: Shape, now: Shape, shares: dict[Cause, float]):
    assert shares_usd(before, now) == pytest.approx(shares)


@given(st.lists(st.floats(1e-3, 1e6), min_size=10, max_size=10))
def test_the_shares_add_up_to_the_rise(figures: list[float]):
    before, now = (Shape(usd + gpu, gpu, *rest) for usd, gpu, *rest in (figures[:5], figures[5:]))
    rise = now.usd - before.usd

    assert sum(shares_usd(before, now).values()) == pytest.approx(rise, rel=1e-4, abs=1e-6 * (now.usd + before.usd))
