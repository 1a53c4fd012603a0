"""A producer that changes to another unit: refused where the unit shows, told with the doubt where it can't."""

from functools import cache
from typing import Any

import pytest

from alerts.units import SUSPECT
from detectors.findings import Kind
from store.facts import Facts
from tests.streams.events import MINUTE, NOON, Log, gpu, pipeline, usage

HISTORY_MINUTES, AFTER_MINUTES = 60 * 60, 150


@cache
def days_of_the_right_unit() -> tuple[dict[str, bytes], dict[str, int]]:
    """The state and the offsets after them."""
    one = pipeline()
    past = [NOON + minute * MINUTE for minute in range(HISTORY_MINUTES)]
    one.observe(Log().records(made for at in past for made in (gpu(at, span_s=60), usage(at, cost_usd="0.0065"))))
    assert one.drain().incidents == []
    return one.snapshot(), one.offsets


def after_days_of_the_right_unit(sample: dict[str, Any], use: dict[str, Any]) -> Facts:
    """What is found in the hours in which the producer uses another unit."""
    one, log = pipeline(), Log()
    parts, offsets = days_of_the_right_unit()
    one.load(parts, offsets)
    log._next = dict(offsets)
    event, window = {"span_s": 60, **sample}, {"cost_usd": "0.0065", **use}
    later = [NOON + minute * MINUTE for minute in range(HISTORY_MINUTES, HISTORY_MINUTES + AFTER_MINUTES)]
    one.observe(log.records(made for at in later for made in (gpu(at, **event), usage(at, **window))))
    one.finish()
    return one.drain()


@pytest.mark.parametrize(
    ("sample", "use"),
    [
        ({}, {"cost_usd": "0.65"}),  # cents
        ({"span_s": 60_000}, {}),  # milliseconds
        ({}, {"cost_usd": None, "input_tokens": 10_000_000, "output_tokens": 2_000_000}),  # tokens for thousands
    ],
    ids=["cents", "milliseconds", "thousands"],
)
def test_whoever_is_told_first_of_a_hundredfold_spend_is_told_of_the_doubt(sample, use):
    facts = after_days_of_the_right_unit(sample, use)

    told = [notice.title for notice in facts.notices if "above normal" in notice.title]
    assert SUSPECT in told[0]


def test_percent_for_a_share_is_refused_and_lost_telemetry_is_not_idle():
    facts = after_days_of_the_right_unit({"util_ratio": 93}, {})

    assert len(facts.rejects) == AFTER_MINUTES
    assert {row.reason for row in facts.rejects} == {"Expected `float` <= 1.0 - at `$.util_ratio`"}
    assert [incident.kind for incident in facts.incidents] == [Kind.DATA_GAP]
