"""The forecast duty on a written-out ledger."""

from datetime import UTC, datetime, timedelta

import numpy as np

from detectors.budget import Budget
from store.facts import ForecastRow
from streams.forecasting import SpendHour, issue_forecasts

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 1, 25, 0, 40, tzinfo=UTC)
ISSUED = datetime(2026, 1, 25, tzinfo=UTC)
JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
CHAT, BATCH = "prod-eu/llm/chat", "prod-eu/llm/batch"


def ledger(usd: dict[str, float], until: datetime = NOW, team: str = "search") -> list[SpendHour]:
    hours = int((until - START) / timedelta(hours=1)) + 1
    return [
        (START + timedelta(hours=hour), workload, team, amount)
        for hour in range(hours)
        for workload, amount in usd.items()
    ]


def test_a_workload_is_forecast_for_a_day_a_week_and_the_month_that_begins_with_the_data():
    rows, findings = issue_forecasts(ledger({CHAT: 2.0}), [], NOW, None)

    assert findings == []
    assert [(row.workload, row.budget, row.period_start, row.period_end) for row in rows] == [
        (CHAT, None, ISSUED, ISSUED + timedelta(hours=24)),
        (CHAT, None, ISSUED, ISSUED + timedelta(hours=168)),
        (CHAT, None, JANUARY, FEBRUARY),
    ]
    assert all(row.issued_at == ISSUED and row.method == "weighed_median" for row in rows)
    np.testing.assert_allclose([row.p50_usd for row in rows], [48.0, 336.0, 2.0 * 24 * 27], rtol=1e-9)
    assert all(row.p10_usd < row.p50_usd < row.p90_usd for row in rows)
    assert rows[2].p10_usd >= 2.0 * 24 * 20


def test_the_hour_that_is_not_over_is_not_looked_at():
    spend = ledger({CHAT: 2.0})
    torn = [*spend, (ISSUED, CHAT, "search", 500.0), (ISSUED + timedelta(hours=5), CHAT, "search", 500.0)]
    assert issue_forecasts(torn, [], NOW, None) == issue_forecasts(spend, [], NOW, None)


def test_a_workload_without_rows_in_later_hours_spends_nothing_there():
    spend = ledger({CHAT: 2.0}, until=START + timedelta(days=12)) + ledger({BATCH: 1.0})
    rows, _ = issue_forecasts(spend, [], NOW, None)
    by_name = {row.workload: row for row in rows if row.period_end == FEBRUARY}
    np.testing.assert_allclose(by_name[CHAT].p50_usd, 2.0 * 289, rtol=1e-9)


def test_a_budget_is_forecast_from_the_sum_and_its_breach_foreseen():
    budget = Budget(name="team-search", usd_per_month=1500.0, match={"team": "search"})
    other = Budget(name="other", usd_per_month=1.0, match={"team": "nobody"})

    rows, findings = issue_forecasts(ledger({CHAT: 2.0, BATCH: 1.0}), [other, budget], NOW, None)

    budget_rows = [row for row in rows if row.budget]
    assert {type(row) for row in budget_rows} == {ForecastRow}
    assert [(row.budget, row.workload, row.period_start, row.period_end) for row in budget_rows] == [
        ("team-search", None, ISSUED, ISSUED + timedelta(hours=24)),
        ("team-search", None, ISSUED, ISSUED + timedelta(hours=168)),
        ("team-search", None, JANUARY, FEBRUARY),
    ]
    np.testing.assert_allclose(budget_rows[2].p50_usd, 3.0 * 24 * 27, rtol=1e-9)
    (finding,) = findings
    assert (finding.budget, finding.team, finding.cleared, finding.at) == ("team-search", "search", False, ISSUED)
    assert finding.evidence["spent_usd"] == 1440.0
    assert finding.evidence["breach_at_epoch_s"] == (ISSUED + timedelta(hours=21)).timestamp()
    np.testing.assert_allclose(finding.usd_if_ignored, 444.0, rtol=1e-9)


def test_a_budget_in_another_timezone_has_its_own_month():
    budget = Budget(name="b", usd_per_month=9999.0, match={"cluster": "prod-eu"}, timezone="Asia/Tokyo")
    rows, findings = issue_forecasts(ledger({CHAT: 2.0}), [budget], NOW, None)

    month = [row for row in rows if row.budget][2]
    assert (month.period_start, month.period_end) == (JANUARY - timedelta(hours=9), FEBRUARY - timedelta(hours=9))
    np.testing.assert_allclose(month.p50_usd, 2.0 * (24 * 27 - 9), rtol=1e-9)
    assert [finding.cleared for finding in findings] == [True]


def test_an_odd_hour_counts_as_spent_and_teaches_nothing():
    spend = ledger({CHAT: 2.0})
    odd = ISSUED - timedelta(hours=3)
    spend.append((odd, CHAT, "search", 1000.0))

    rows, _ = issue_forecasts(spend, [], NOW, None, odd_hours={(odd, CHAT), (odd, "prod/x/unseen")})

    np.testing.assert_allclose([row.p50_usd for row in rows], [48.0, 336.0, 1000.0 + 2.0 * 24 * 27], rtol=1e-9)


def test_an_empty_ledger_has_no_forecast():
    assert issue_forecasts([], [], NOW, None) == ([], [])
    assert issue_forecasts([(NOW, CHAT, None, 1.0)], [], NOW, None) == ([], [])


def test_an_outburst_that_is_over_is_spent_by_the_budget_and_not_expected_again():
    budget = Budget(name="b", usd_per_month=9999.0, match={"workload": "*"})
    spend = ledger({CHAT: 2.0, BATCH: 1.0})
    odd = [(ISSUED - timedelta(hours=back), CHAT) for back in range(1, 31)]
    burst = [(at, name, team, usd * (50.0 if (at, name) in odd else 1.0)) for at, name, team, usd in spend]

    calm, _ = issue_forecasts(spend, [budget], NOW, None)
    rows, _ = issue_forecasts(burst, [budget], NOW, None, odd)

    for before, after in zip(calm, rows, strict=True):
        extra = 30 * 98.0 if after.period_start == JANUARY and after.workload != BATCH else 0.0
        np.testing.assert_allclose(after.p50_usd - before.p50_usd, extra, atol=1e-6)


def test_the_order_of_workloads_changes_no_forecast():
    random = np.random.default_rng(4)
    spend = [
        (START + timedelta(hours=n), f"a/b/w{name}", None, float(random.lognormal(0.0, 0.5)) * (name + 1))
        for n in range(300)
        for name in range(6)
    ]
    now = START + timedelta(hours=300)

    forward, _ = issue_forecasts(spend, [], now, None)
    backward, _ = issue_forecasts(spend[::-1], [], now, None)

    assert forward == backward
