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
from streams.price_steps import Levels

SpendHour = tuple[datetime, str, str | None, float]  # UTC hour, workload, team, USD; rows of one hour add up
Period = tuple[datetime, datetime]

NEAR_HOURS = (24, 168)
DAY_H = 24
LEAST_PRICE = 1e-3  # of now, that a past hour is believed to have cost: nothing is learnt from what was free
CHALLENGED_WORKLOADS = 20  # the largest spenders of the last week get a second opinion
LEARNT_WORKLOADS = 1_000  # and so many the model that learns from all of them
CHALLENGER_BUDGET_S = 60.0


def issue_forecasts(
    spend: Iterable[SpendHour],
    budgets: Sequence[Budget],
    now: datetime,
    pool: ProphetPool | None,
    odd_hours: Collection[tuple[datetime, str]] = (),
    challenger_budget_s: float = CHALLENGER_BUDGET_S,
    prices: Levels | None = None,
) -> tuple[list[ForecastRow], list[Finding]]:
    """Forecast every workload and every budget from the full hours before `now`, and judge the budgets.

    Periods: the next 24 hours, the next 7 days, and the calendar month (UTC for workloads, the budget's own
    otherwise). A workload that has been seen and has no row in a later hour spent nothing in it. A budget is forecast
    from the sum of its workloads, never from the sum of their quantiles. `odd_hours` (hour, workload) count as spent
    but teach nothing. `prices`: known steps, from the first hour of the last 56 days or of the spend on, whichever is
    later, to the end of the longest period.
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
    until_hour = max(hour_of(end) for _, end in periods)
    price = price_matrix(prices or {}, names, until_hour - first_hour)
    taught = history if price is None else history / price[:, :n_hours]
    challengers = challenge(taught, names, first_hour, until_hour, pool, challenger_budget_s)
    totals = forecast_totals(history, first_hour, in_hours(periods), mask, challengers, price)
    issues = [row for place, name in enumerate(names) for row in rows_of(totals, place, issued, periods, workload=name)]
    budget_issues, findings = issue_budgets(rows, budgets, issued, first_hour, odd_hours, prices)
    return issues + budget_issues, findings


def issue_budgets(
    rows: Sequence[tuple[int, str, str | None, float]],
    budgets: Sequence[Budget],
    issued: datetime,
    first_hour: int,
    odd_hours: Collection[tuple[datetime, str]] = (),
    prices: Levels | None = None,
) -> tuple[list[ForecastRow], list[Finding]]:
    """The part for budgets; rows: (epoch hour, workload, team, USD). A budget that nothing matches has no forecast.

    What odd hours cost beyond the same hour of an earlier day is spent, but not learnt from.
    """
    subjects = sorted({(name, team or "") for _, name, team, _ in rows})
    counts_for = {(name, team): [b.name for b in budgets if matches(b, name, team or None)] for name, team in subjects}
    matched = [(budget, hour, usd) for hour, name, team, usd in rows for budget in counts_for[name, team or ""]]
    named = {budget for budget, _, _ in matched}
    live = sorted((b for b in budgets if b.name in named), key=lambda b: b.name)
    if not live:
        return [], []
    names, n_hours = [b.name for b in live], hour_of(issued) - first_hour
    sums = matrix_of(matched, names, first_hour, n_hours)
    calm = calm_rows(rows, {(hour_of(at), name) for at, name in odd_hours})
    usual = matrix_of(
        ((budget, hour, usd) for hour, name, team, usd in calm for budget in counts_for[name, team or ""]),
        names,
        first_hour,
        n_hours,
    )
    months = {b.timezone: month_of(issued, b.timezone) for b in live}
    near = near_periods(issued)
    periods = in_hours([*near, *months.values()])
    price = budget_prices(rows, counts_for, names, prices or {}, max(end for _, end in periods) - first_hour)
    totals = forecast_totals(usual, first_hour, periods, price=price)
    for place, (begin, end) in enumerate(periods):
        beyond = np.nansum((sums - usual)[:, max(0, begin - first_hour) : max(0, end - first_hour)], axis=1)
        for quantile in (totals.p10, totals.p50, totals.p90):
            quantile[:, place] += beyond
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


def calm_rows(
    rows: Sequence[tuple[int, str, str | None, float]], odd: Collection[tuple[int, str]]
) -> Sequence[tuple[int, str, str | None, float]]:
    """The rows with those of odd hours at what the same hour of the latest day before cost that was not odd."""
    if not odd:
        return rows
    usd_of: dict[tuple[int, str], float] = {}
    for hour, name, _, usd in rows:
        usd_of[hour, name] = usd_of.get((hour, name), 0.0) + usd
    calm = []
    for hour, name, team, usd in rows:
        if (hour, name) in odd and usd_of[hour, name] > 0.0:
            before = hour - DAY_H
            while (before, name) in odd:
                before -= DAY_H
            usd *= usd_of.get((before, name), usd_of[hour, name]) / usd_of[hour, name]
        calm.append((hour, name, team, usd))
    return calm


def price_matrix(prices: Levels, names: Sequence[str], n_hours: int) -> NDArray[np.float64] | None:
    """The known prices as rows, 1 where none is known: (n_names, n_hours). None where there is no step at all."""
    if not any(name in prices for name in names):
        return None
    found = np.ones((len(names), n_hours))
    for place, name in enumerate(names):
        if name in prices:
            level = prices[name][:n_hours]
            found[place, : len(level)] = level
            found[place, len(level) :] = level[-1]
    return np.maximum(found, LEAST_PRICE)


def budget_prices(
    rows: Sequence[tuple[int, str, str | None, float]],
    counts_for: Mapping[tuple[str, str], Sequence[str]],
    names: Sequence[str],
    prices: Levels,
    n_hours: int,
) -> NDArray[np.float64] | None:
    """What each budget's hours cost over now: its workloads' prices, weighed by what they spent in the last week."""
    if not prices:
        return None
    last = max(hour for hour, *_ in rows)
    recent: dict[tuple[str, str], float] = {}
    for hour, name, team, usd in rows:
        if hour > last - NEAR_HOURS[-1]:
            for budget in counts_for[name, team or ""]:
                recent[budget, name] = recent.get((budget, name), 0.0) + usd
    levels: dict[str, NDArray[np.float64]] = {}
    for budget in names:
        parts = {name: usd for (of, name), usd in recent.items() if of == budget and usd > 0.0}
        if any(name in prices for name in parts):
            each = price_matrix(prices, list(parts), n_hours)
            assert each is not None
            levels[budget] = np.average(each, axis=0, weights=list(parts.values()))
    return price_matrix(levels, names, n_hours)


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
    """The challengers that have proved better, by row: the model of all, and prophet for the largest spenders.

    Both are asked for the largest spenders with enough history only, and each within `budget_s`.
    """
    n_hours = history.shape[1]
    enough = np.isfinite(history).sum(axis=1) >= (MIN_DAYS + MIN_ORIGINS) * DAY_H
    if pool is None or not enough.any():
        return {}
    lately = np.where(enough, np.nan_to_num(history[:, -NEAR_HOURS[-1] :]).sum(axis=1), -1.0)
    largest = [int(row) for row in np.argsort(-lately, kind="stable")[:LEARNT_WORKLOADS] if lately[row] > 0.0]
    horizon = max(NEAR_HOURS[-1], until_hour - first_hour - n_hours)
    learnt = pool.learn(history[largest], first_hour, horizon, budget_s)
    said = [(largest[place], challenger) for place, challenger in learnt.items()]
    results = pool.run(
        {names[row]: history[row] for row in largest[:CHALLENGED_WORKLOADS]}, first_hour, horizon, budget_s
    )
    for row in largest[:CHALLENGED_WORKLOADS]:
        if (result := results.get(names[row])) is not None:
            said.append((row, Challenger("prophet", result.path, result.origins_ago, result.backtests)))
    return winners(history, first_hour, said)


def winners(
    history: NDArray[np.float64], first_hour: int, said: Sequence[tuple[int, Challenger]]
) -> Mapping[int, Challenger]:
    """Of what was said of each row, the best that beats the champion by the margin, on whole days."""
    groups: dict[tuple[int, ...], list[tuple[int, Challenger]]] = {}
    for row, challenger in said:
        groups.setdefault(challenger.origins_ago, []).append((row, challenger))
    best: dict[int, tuple[float, Challenger]] = {}
    n_hours = history.shape[1]
    for ago, group in groups.items():
        rows = [row for row, _ in group]
        block = len(group[0][1].backtests[0])
        champion = backtest(history[rows], first_hour, ago, block)
        for place, (row, challenger) in enumerate(group):
            actual = [history[row, n_hours - back : n_hours - back + block] for back in ago]
            champion_errors = by_days([said[place] - true for said, true in zip(champion, actual, strict=True)])
            errors = by_days([said - true for said, true in zip(challenger.backtests, actual, strict=True)])
            size = float(np.nanmean(np.abs(errors))) if np.isfinite(errors).any() else np.inf
            if promoted(champion_errors, errors) and (row not in best or size < best[row][0]):
                best[row] = (size, challenger)
    return {row: challenger for row, (_, challenger) in best.items()}


def by_days(errors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Errors of hours as those of whole days: (n_origins, n_days); an unknown hour counts as nothing."""
    days: NDArray[np.float64] = np.nan_to_num(np.array(errors)).reshape(len(errors), -1, DAY_H).sum(axis=2)
    return days


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
