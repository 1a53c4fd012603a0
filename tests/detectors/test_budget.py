"""Budgets on written-out months."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.budget import Budget, BudgetDetector, MonthForecast, matches, month_of, probability_above
from detectors.findings import Cause, Finding, Kind
from detectors.panel import OVERFLOW

BUDGET = Budget(name="team-search", usd_per_month=1000.0, match={"team": "search"})
JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def month(
    p10: float, p50: float, p90: float, day: float = 20.0, spent: float = 600.0, history: float = 30.0
) -> MonthForecast:
    at = JANUARY + timedelta(days=day - 1)
    past, ahead = int((at - JANUARY) / timedelta(hours=1)), int((FEBRUARY - at) / timedelta(hours=1))
    path = np.concatenate([np.full(past, spent / max(past, 1)), np.full(ahead, (p50 - spent) / ahead)])
    return MonthForecast(
        at=at, month_start=JANUARY, month_end=FEBRUARY, spent_usd=spent, p10_usd=p10, p50_usd=p50, p90_usd=p90,
        history_days=history, first_hour_at=JANUARY, path_usd=path,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"team": "search"}, True),
        ({"team": "ads"}, False),
        ({"workload": "prod-*/llm/*"}, True),
        ({"workload": "prod-us/*"}, False),
        ({"cluster": "prod-eu", "namespace": "llm"}, True),
        ({"cluster": "prod-eu", "namespace": "risk"}, False),
        ({"team": "search", "workload": "*/chat"}, True),
        ({"owner": "x"}, False),
        ({"team": "sea*", "cluster": "prod-*", "namespace": "l?m"}, True),
        ({"team": "Search"}, False),
        ({}, True),
    ],
)
def test_all_parts_of_a_match_must_hold(match: dict[str, str], expected: bool):
    budget = Budget(name="b", usd_per_month=1.0, match=match)
    assert matches(budget, "prod-eu/llm/chat", "search") is expected


def test_workloads_that_share_the_overflow_row_are_of_no_cluster():
    assert not matches(Budget(name="b", usd_per_month=1.0, match={"cluster": "prod-eu"}), OVERFLOW, None)
    assert matches(Budget(name="b", usd_per_month=1.0, match={"workload": "*"}), OVERFLOW, None)


def test_a_workload_without_a_team_is_in_no_teams_budget():
    assert not matches(BUDGET, "prod-eu/llm/chat", None)
    assert not matches(Budget(name="b", usd_per_month=1.0, match={"team": "*"}), "prod-eu/llm/chat", None)


def test_a_month_is_the_budgets_own():
    now = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert month_of(now) == (JANUARY, FEBRUARY)
    start, end = month_of(now, "Europe/Berlin")
    assert (start.isoformat(), end.isoformat()) == ("2026-02-01T00:00:00+01:00", "2026-03-01T00:00:00+01:00")
    start, end = month_of(datetime(2026, 12, 5, tzinfo=UTC), "America/New_York")
    assert (start.isoformat(), end.isoformat()) == ("2026-12-01T00:00:00-05:00", "2027-01-01T00:00:00-05:00")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1000.0, 0.5), (1200.0, 0.1), (900.0, 0.9), (1400.0, 0.005), (0.0, 1.0)],
)
def test_the_chance_follows_the_quantiles_on_their_own_sides(limit: float, expected: float):
    assert probability_above(limit, 900.0, 1000.0, 1200.0) == pytest.approx(expected, abs=1e-3)


def test_a_sure_forecast_is_above_or_below():
    assert probability_above(10.0, 10.0, 10.0, 10.0) == 0.0
    assert probability_above(9.99, 10.0, 10.0, 10.0) == 1.0


def test_a_likely_breach_is_said_with_its_day():
    finding = BudgetDetector().judge(BUDGET, month(1150.0, 1250.0, 1350.0))

    assert finding is not None
    at = JANUARY + timedelta(days=19)
    assert finding == Finding(
        kind=Kind.BUDGET,
        cause=Cause.FORECAST_BREACH,
        at=at,
        began_at=at,
        budget="team-search",
        team="search",
        usd_per_hour=600.0 / 456.0,
        usd_so_far=600.0,
        usd_if_ignored=250.0,
        observed=1250.0,
        expected=1000.0,
        unit="usd",
        confidence=finding.confidence,
        evidence={
            "spent_usd": 600.0,
            "p10_usd": 1150.0,
            "p50_usd": 1250.0,
            "p90_usd": 1350.0,
            "budget_usd": 1000.0,
            "breach_probability_ratio": 0.9993,
            "breach_at_epoch_s": (at + timedelta(hours=178)).timestamp(),
        },
    )


def test_an_unsure_breach_says_nothing_and_an_unlikely_one_clears():
    detector = BudgetDetector()
    assert detector.judge(BUDGET, month(900.0, 1020.0, 1150.0)) is None
    cleared = detector.judge(BUDGET, month(700.0, 800.0, 900.0))
    assert cleared is not None
    assert (cleared.cleared, cleared.usd_if_ignored) == (True, 0.0)
    assert "breach_at_epoch_s" not in cleared.evidence


def test_a_budget_that_is_broken_needs_no_forecast():
    finding = BudgetDetector().judge(BUDGET, month(1050.0, 1050.0, 1050.0, spent=1040.0, history=0.5))
    assert finding is not None
    assert (finding.cleared, finding.confidence) == (False, 1.0)
    assert finding.evidence["breach_at_epoch_s"] <= finding.at.timestamp()


def test_with_less_than_two_days_of_history_nothing_is_said():
    assert BudgetDetector().judge(BUDGET, month(1100.0, 1200.0, 1300.0, history=1.9)) is None
    assert BudgetDetector().judge(BUDGET, month(100.0, 200.0, 300.0, history=1.9, spent=50.0)) is None


def test_a_new_month_drops_the_doubt_about_the_last_one():
    finding = BudgetDetector().judge(BUDGET, month(900.0, 1020.0, 1150.0, day=1.5, spent=10.0))
    assert finding is not None
    assert finding.cleared
