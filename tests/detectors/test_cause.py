"""Which factor moved the dollars: written-out shapes of ten minutes before and now."""

import pytest

from detectors.cause import Shape, cause_of
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
