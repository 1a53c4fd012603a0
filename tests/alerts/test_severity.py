from datetime import UTC, datetime

import pytest

from alerts.severity import Severity, SeverityPolicy
from detectors.findings import Cause, Finding, Kind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def finding(kind: Kind = Kind.IDLE, cause: Cause = Cause.MEMORY_HELD, **figures: object) -> Finding:
    return Finding(kind=kind, cause=cause, at=NOON, began_at=NOON, workload="prod/llm/chat", **figures)


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        (finding(usd_per_hour=100.0, confidence=0.9), Severity.PAGE),
        (finding(usd_per_hour=99.9, usd_so_far=1000.0, confidence=0.9), Severity.PAGE),
        (finding(usd_per_hour=5000.0, confidence=0.89), Severity.WARN),
        (finding(usd_per_hour=99.9, usd_so_far=999.0), Severity.WARN),
        (finding(usd_per_hour=0.5), Severity.WARN),
        (finding(usd_per_hour=0.49, usd_so_far=2.0), Severity.WARN),
        (finding(usd_per_hour=0.49, usd_so_far=1.99), Severity.INFO),
        (finding(usd_per_hour=float("nan")), Severity.INFO),
    ],
)
def test_dollars_and_confidence_decide(given, severity):
    assert SeverityPolicy().of(given) is severity


@pytest.mark.parametrize("kind", [Kind.DATA_GAP, Kind.UNPRICED])
def test_what_the_service_cannot_see_is_told_whatever_it_costs(kind):
    assert SeverityPolicy().of(finding(kind, Cause.UNKNOWN)) is Severity.WARN
    assert SeverityPolicy().of(finding(kind, Cause.UNKNOWN, usd_per_hour=1e6)) is Severity.WARN


@pytest.mark.parametrize("kind", [Kind.DRIFT, Kind.RECONCILIATION])
def test_what_a_night_does_not_make_worse_wakes_nobody(kind):
    assert SeverityPolicy().of(finding(kind, Cause.UNKNOWN, usd_per_hour=1e6)) is Severity.WARN
    assert SeverityPolicy().of(finding(kind, Cause.UNKNOWN)) is Severity.INFO


def test_a_budget_is_told_when_its_breach_is_likely_and_pages_never():
    likely = finding(Kind.BUDGET, Cause.FORECAST_BREACH, confidence=0.8, usd_so_far=1e6)
    doubtful = finding(Kind.BUDGET, Cause.FORECAST_BREACH, confidence=0.79, usd_so_far=1e6)

    assert [SeverityPolicy().of(one) for one in (likely, doubtful)] == [Severity.WARN, Severity.INFO]


def test_a_step_of_the_level_that_a_change_explains_is_for_the_digest():
    explained = finding(Kind.ANOMALY, Cause.LEVEL_STEP, usd_per_hour=500.0, changes=("deploy of chat v2",))
    unexplained = finding(Kind.ANOMALY, Cause.LEVEL_STEP, usd_per_hour=500.0)
    other_cause = finding(Kind.ANOMALY, Cause.REQUEST_RATE, usd_per_hour=500.0, changes=("deploy of chat v2",))

    policy = SeverityPolicy()

    assert [policy.of(one) for one in (explained, unexplained, other_cause)] == [
        Severity.INFO,
        Severity.PAGE,
        Severity.PAGE,
    ]
