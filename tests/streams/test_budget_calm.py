"""A budget's incident through a month in which the forecast moves about: said once, worse once, over once."""

from datetime import UTC, datetime, timedelta

import numpy as np

from alerts.incidents import Book, SeverityPolicy
from detectors.budget import Budget, BudgetDetector, MonthForecast

BUDGET = Budget(name="search", usd_per_month=1000.0, match={"team": "search"})
JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def month(day: float, p50: float, half: float = 40.0, spent: float = 600.0) -> MonthForecast:
    at = JANUARY + timedelta(days=day)
    return MonthForecast(
        at=at, month_start=JANUARY, month_end=FEBRUARY, spent_usd=spent, p10_usd=p50 - half, p50_usd=p50,
        p90_usd=p50 + half, history_days=20.0, first_hour_at=JANUARY, path_usd=np.full(744, p50 / 744),
    )  # fmt: skip


def transitions(forecasts: list[float]) -> list[str]:
    book, said = Book(SeverityPolicy()), []
    for place, p50 in enumerate(forecasts):
        finding = BudgetDetector().judge(BUDGET, month(10.0 + place * 0.25, p50))
        if finding is not None and (transition := book.apply(finding)) is not None:
            said.append(f"{transition.reason}")
    return said


def test_a_forecast_that_wobbles_around_the_line_opens_one_incident_and_closes_none():
    assert len(transitions([990.0, 1005.0, 1030.0, 1010.0, 1028.0, 998.0, 1035.0, 1003.0, 1031.0])) == 1


def test_a_forecast_that_falls_well_below_takes_it_back_once():
    assert len(transitions([1030.0, 1032.0, 1010.0, 960.0, 950.0, 940.0])) == 2


def test_a_forecast_that_is_unsure_of_a_breach_says_nothing():
    assert transitions([1005.0, 1010.0, 1015.0, 1008.0]) == []
