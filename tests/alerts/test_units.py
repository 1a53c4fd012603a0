import pytest

from alerts.messages import sentence
from alerts.titles import title
from alerts.units import suspicion
from detectors.findings import Cause, Kind
from tests.store.samples import incident

USD = {"kind": Kind.ANOMALY, "unit": "usd_per_hour", "expected": 4.0}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cause": Cause.PRICE, "evidence": {"price_ratio": 100.0}, "observed": 9.0}, "100 times the usual: cost_usd"),
        ({"cause": Cause.TOKENS_PER_REQUEST, "evidence": {"size_ratio": 1000.0}, "observed": 9.0}, "1,000 times the"),
        ({"cause": Cause.GPU_HOURS, "evidence": {}, "observed": 4000.0}, "1,000 times the usual: span_s"),
        ({"cause": Cause.LEVEL_STEP, "evidence": {}, "observed": 400.0}, "100 times the usual: a cost or a count"),
    ],
)  # fmt: skip
def test_a_rise_as_between_units_is_told_with_the_doubt(fields, words):
    one = incident(**{**USD, **fields})

    assert words in suspicion(one)
    assert "(unit suspect)" in title(one)
    assert f"A unit may be wrong: {words}" in sentence(one)


@pytest.mark.parametrize(
    "fields",
    [
        {"cause": Cause.PRICE, "evidence": {"price_ratio": 28.0}, "observed": 4000.0},
        {"cause": Cause.REQUEST_RATE, "evidence": {}, "observed": 4000.0},
        {"cause": Cause.LEVEL_STEP, "evidence": {}, "observed": 119.0},
        {"cause": Cause.LEVEL_STEP, "evidence": {}, "observed": 119.0, "expected": 0.0},
        {"cause": Cause.LEVEL_STEP, "evidence": {}, "observed": None},
        {"kind": Kind.DRIFT, "cause": Cause.GPU_HOURS, "evidence": {}, "observed": 4000.0},
    ],
)
def test_any_other_rise_is_told_without_it(fields):
    one = incident(**{**USD, **fields})

    assert suspicion(one) is None
    assert "unit" not in title(one)
