"""Usage that no price source knows: said, counted, estimated, and over when it stops."""

import pytest

from detectors.findings import Cause, Finding, Kind
from detectors.panel import Fleet
from detectors.unpriced import UnpricedDetector
from tests.detectors.minutes import Unpriced, Use, Watch, at, clearings, openings

MODEL = Unpriced(tokens=600.0)


def test_tokens_without_a_price_are_said_once_there_are_enough():
    watch = Watch(UnpricedDetector())

    assert watch.see(MODEL) == []
    assert watch.see(MODEL) == [
        Finding(
            kind=Kind.UNPRICED,
            cause=Cause.UNKNOWN_MODEL,
            at=at(2),
            began_at=at(0),
            workload="prod/llm/chat",
            team="llm",
            model="new-model",
            observed=1200.0,
            expected=0.0,
            unit="unpriced_tokens",
            evidence={"unpriced_tokens": 1200.0},
        )
    ]


def test_the_estimate_is_what_the_workloads_other_tokens_cost():
    watch = Watch(UnpricedDetector())
    watch.see(Use(tokens=1000.0, usd=0.01), minutes=10)
    (finding,) = watch.see(Use(tokens=4000.0, usd=0.01), Unpriced(tokens=3000.0))  # 1000 of these have a price
    assert (finding.usd_so_far, finding.usd_per_hour) == (0.03, 0.03)
    assert finding.evidence == {"unpriced_tokens": 3000.0, "estimated_usd": 0.03}


def test_the_estimate_by_the_hour_spreads_over_the_hours_since_it_began():
    watch = Watch(UnpricedDetector())
    findings = watch.see(Use(tokens=2000.0, usd=0.01), Unpriced(tokens=1000.0), minutes=120)
    assert (findings[-1].usd_so_far, findings[-1].usd_per_hour) == (1.2, 0.6)


def test_a_minute_without_any_priced_token_teaches_no_price():
    watch = Watch(UnpricedDetector())
    (finding,) = watch.see(Use(tokens=3000.0, usd=0.0), Unpriced(tokens=3000.0))
    assert (finding.usd_so_far, finding.evidence) == (0.0, {"unpriced_tokens": 3000.0})


def test_accelerators_without_a_price_are_counted_in_seconds():
    (finding,) = Watch(UnpricedDetector()).see(Unpriced(model="Z9", gpu_s=120.0))
    assert (finding.model, finding.observed, finding.unit, finding.evidence) == (
        "Z9",
        120.0,
        "unpriced_gpu_s",
        {"unpriced_gpu_s": 120.0},
    )


def test_it_ends_when_none_has_come_for_two_hours_and_begins_anew():
    watch = Watch(UnpricedDetector())
    watch.see(MODEL, minutes=4)

    findings = watch.see(minutes=200)

    assert [(one.at, one.began_at, one.ended_at, one.observed) for one in findings] == [(at(125), at(0), at(4), 2400.0)]
    assert clearings(findings) == findings
    assert watch.see(MODEL) == []
    (again,) = watch.see(MODEL)
    assert (again.began_at, again.observed) == (at(204), 1200.0)


def test_each_model_is_a_condition_of_its_own():
    watch = Watch(UnpricedDetector())
    findings = watch.see(Unpriced(model="a", tokens=1000.0), Unpriced(model="b", tokens=5000.0), minutes=3)
    assert [(one.model, one.observed) for one in openings(findings)] == [("a", 1000.0), ("b", 5000.0)]


def test_models_that_share_the_overflow_row_belong_to_no_workload():
    watch = Watch(UnpricedDetector(), fleet=Fleet(max_workloads=2))
    one, two = Unpriced(model="a", tokens=1000.0), Unpriced(model="b", tokens=1000.0)
    other = Unpriced(workload="prod/llm/other", model="c", tokens=1000.0)
    findings = watch.see(one, two) + watch.see(other) + watch.see(minutes=200)
    assert [(one.workload, one.model, one.cleared, one.observed) for one in findings] == [
        ("prod/llm/chat", "a", False, 1000.0),
        (None, None, False, 1000.0),
        (None, None, False, 2000.0),
        ("prod/llm/chat", "a", True, 1000.0),
        (None, None, True, 2000.0),
    ]


@pytest.mark.parametrize("use", [Unpriced(tokens=0.0, gpu_s=0.0), Unpriced(tokens=999.0), Unpriced(gpu_s=59.0)])
def test_a_trifle_is_not_said(use: Unpriced):
    assert Watch(UnpricedDetector()).see(use) == []
