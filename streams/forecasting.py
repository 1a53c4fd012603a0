"""The forecast duty: from the ledger's hours to forecasts for workloads and budgets, and to budget findings."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from detectors.budget import Budget, BudgetDetector, MonthForecast, matches, month_of
from detectors.findings import Finding
from detectors.forecast import WINDOW_DAYS, Challenger, Totals, backtest, forecast_totals
from detectors.prophet_challenger import MIN_DAYS, MIN_ORIGINS, promoted
from store.facts import ForecastRow
from streams.challenger import ProphetPool

SpendHour = tuple[datetime, str, str | None, float]  # UTC hour, workload, team, USD; rows of one hour add up
Period = tuple[datetime, datetime]

NEAR_HOURS = (24, 168)
CHALLENGED_WORKLOADS = 20  # the largest spenders of the last week get a second opinion
CHALLENGER_BUDGET_S = 60.0


def issue_forecasts(
    spend: Iterable[SpendHour],
    budgets: Sequence[Budget],
    now: datetime,
    pool: ProphetPool | None,
    odd_hours: Collection[tuple[datetime, str]] = (),
    challenger_budget_s: float = CHALLENGER_BUDGET_S,
) -> tuple[list[ForecastRow], list[Finding]]:
    """Forecast every workload and every budget from the full hours before `now`, and judge the budgets.

    Periods: the next 24 hours, the next 7 days, and the calendar month (UTC for workloads, the budget's own
    otherwise). A workload that has been seen and has no row in a later hour spent nothing in it. A budget is forecast
    from the sum of its workloads, never from the sum of their quantiles. `odd_hours` (hour, workload) count as spent
    but teach nothing.
    """
    issued = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    last_hour = hour_of(issued)
    seen = [(hour_of(at), name, team, usd) for at, name, team, usd in spend]
    rows = [row for row in seen if last_hour - WINDOW_DAYS * 24 <= row[0] < last_hour]
    if not rows:
        return [], []
    first_hour = min(row[0] for row in rows)
    n_hours = last_hour - first_hour

    names = sorted({row[1] for row in rows})
    history = matrix_of(((name, hour, usd) for hour, name, _, usd in rows), names, first_hour, n_hours)
    mask = mask_of(odd_hours, names, first_hour, n_hours)
    periods = [*near_periods(issued), month_of(issued)]
    challengers = challenge(history, names, first_hour, hour_of(periods[-1][1]), pool, challenger_budget_s)
    totals = forecast_totals(history, first_hour, in_hours(periods), mask, challengers)
    issues = [row for place, name in enumerate(names) for row in rows_of(totals, place, issued, periods, workload=name)]
    budget_issues, findings = issue_budgets(rows, budgets, issued, first_hour)
    return issues + budget_issues, findings


def issue_budgets(
    rows: Sequence[tuple[int, str, str | None, float]], budgets: Sequence[Budget], issued: datetime, first_hour: int
) -> tuple[list[ForecastRow], list[Finding]]:
    """The part for budgets; rows: (epoch hour, workload, team, USD). A budget that nothing matches has no forecast."""
    subjects = sorted({(name, team or "") for _, name, team, _ in rows})
    counts_for = {(name, team): [b.name for b in budgets if matches(b, name, team or None)] for name, team in subjects}
    matched = [(budget, hour, usd) for hour, name, team, usd in rows for budget in counts_for[name, team or ""]]
    named = {budget for budget, _, _ in matched}
    live = sorted((b for b in budgets if b.name in named), key=lambda b: b.name)
    if not live:
        return [], []
    sums = matrix_of(matched, [b.name for b in live], first_hour, hour_of(issued) - first_hour)
    months = {b.timezone: month_of(issued, b.timezone) for b in live}
    near = near_periods(issued)
    totals = forecast_totals(sums, first_hour, in_hours([*near, *months.values()]))
    issues: list[ForecastRow] = []
    findings: list[Finding] = []
    for place, budget in enumerate(live):
        column = len(near) + list(months).index(budget.timezone)
        month = months[budget.timezone]
        issues += rows_of(totals, place, issued, near, budget=budget.name)
        issues += rows_of(totals, place, issued, [month], budget=budget.name, first_column=column)
        finding = BudgetDetector().judge(budget, month_forecast(totals, place, column, sums, first_hour, issued, month))
        if finding is not None:
            findings.append(finding)
    return issues, findings


def hour_of(at: datetime) -> int:
    """Hours since 1970-01-01 UTC, rounded down."""
    return int(at.timestamp() // 3600)


def near_periods(issued: datetime) -> list[Period]:
    """The next day and the next week."""
    return [(issued, issued + timedelta(hours=hours)) for hours in NEAR_HOURS]


def in_hours(periods: Sequence[Period]) -> list[tuple[int, int]]:
    """Periods as epoch hours; where a timezone's month begins inside an hour, that hour belongs to the new month."""
    return [(hour_of(start), hour_of(end)) for start, end in periods]


def matrix_of(
    spend: Iterable[tuple[str, int, float]], names: Sequence[str], first_hour: int, n_hours: int
) -> NDArray[np.float64]:
    """USD by name and hour: (n_names, n_hours), NaN before a name's first hour, 0 in a later hour without a row."""
    place = {name: index for index, name in enumerate(names)}
    usd = np.zeros((len(names), n_hours))
    born = np.full(len(names), n_hours)
    for name, hour, amount in spend:
        row, column = place[name], hour - first_hour
        usd[row, column] += amount
        born[row] = min(born[row], column)
    return np.where(np.arange(n_hours)[None, :] < born[:, None], np.nan, usd)


def mask_of(
    odd_hours: Collection[tuple[datetime, str]], names: Sequence[str], first_hour: int, n_hours: int
) -> NDArray[np.bool_]:
    """True where an hour of a workload is not to be learnt from: (n_names, n_hours)."""
    place = {name: index for index, name in enumerate(names)}
    mask = np.zeros((len(names), n_hours), dtype=np.bool_)
    for at, name in odd_hours:
        column = hour_of(at) - first_hour
        if name in place and 0 <= column < n_hours:
            mask[place[name], column] = True
    return mask


def challenge(
    history: NDArray[np.float64],
    names: Sequence[str],
    first_hour: int,
    until_hour: int,
    pool: ProphetPool | None,
    budget_s: float,
) -> Mapping[int, Challenger]:
    """The challengers that have proved better, by row. Asks for the largest spenders with enough history only."""
    n_hours = history.shape[1]
    enough = np.isfinite(history).sum(axis=1) >= (MIN_DAYS + MIN_ORIGINS) * 24
    if pool is None or not enough.any():
        return {}
    lately = np.where(enough, np.nan_to_num(history[:, -168:]).sum(axis=1), -1.0)
    largest = [int(row) for row in np.argsort(-lately, kind="stable")[:CHALLENGED_WORKLOADS] if lately[row] > 0.0]
    horizon = max(NEAR_HOURS[-1], until_hour - first_hour - n_hours)
    results = pool.run({names[row]: history[row] for row in largest}, first_hour, horizon, budget_s)
    winners: dict[int, Challenger] = {}
    for row in largest:
        result = results.get(names[row])
        if result is None:
            continue
        block, ago = result.block_hours, result.origins_ago
        actual = [history[row, n_hours - back : n_hours - back + block] for back in ago]
        champion = backtest(history[row : row + 1], first_hour, ago, block)
        champion_errors = np.array([said[0] - true for said, true in zip(champion, actual, strict=True)])
        challenger_errors = np.array([said - true for said, true in zip(result.backtests, actual, strict=True)])
        if promoted(champion_errors, challenger_errors):
            winners[row] = Challenger("prophet", result.path, ago, result.backtests)
    return winners


def rows_of(
    totals: Totals,
    place: int,
    issued: datetime,
    periods: Sequence[Period],
    workload: str | None = None,
    budget: str | None = None,
    first_column: int = 0,
) -> list[ForecastRow]:
    """One row for each period; `first_column` is the place of the first of them in the totals."""
    return [
        ForecastRow(
            issued_at=issued,
            workload=workload,
            budget=budget,
            period_start=start.astimezone(UTC),
            period_end=end.astimezone(UTC),
            p10_usd=float(totals.p10[place, column]),
            p50_usd=float(totals.p50[place, column]),
            p90_usd=float(totals.p90[place, column]),
            method=totals.method[place],
        )
        for column, (start, end) in enumerate(periods, start=first_column)
    ]


def month_forecast(
    totals: Totals,
    place: int,
    column: int,
    sums: NDArray[np.float64],
    first_hour: int,
    issued: datetime,
    month: Period,
) -> MonthForecast:
    """What the budget detector needs to know of one budget and its month."""
    begin = max(hour_of(month[0]), first_hour)
    spent = np.nan_to_num(sums[place, begin - first_hour :])
    ahead = totals.path[place, : hour_of(month[1]) - hour_of(issued)]
    return MonthForecast(
        at=issued,
        month_start=month[0],
        month_end=month[1],
        spent_usd=float(spent.sum()),
        p10_usd=float(totals.p10[place, column]),
        p50_usd=float(totals.p50[place, column]),
        p90_usd=float(totals.p90[place, column]),
        history_days=float(totals.days[place]),
        first_hour_at=datetime.fromtimestamp(begin * 3600, UTC),
        path_usd=np.concatenate([spent, ahead]),
    )
