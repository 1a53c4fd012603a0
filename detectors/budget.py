"""Budgets: when a month's spend will break them, and how sure that is."""

from calendar import monthrange
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from math import erf, sqrt
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind

P90_SIGMA = 1.2816  # distance of the 90 % quantile from the median of a normal distribution, in standard deviations


class Budget(Struct, frozen=True, kw_only=True):
    """A sum for each calendar month over the workloads that match."""

    name: str
    usd_per_month: float
    match: dict[str, str]  # "team", "workload" (glob), "cluster", "namespace"; all must match
    timezone: str = "UTC"


class MonthForecast(Struct, frozen=True, kw_only=True):
    """What one budget's workloads spend in one calendar month, as it looks at `at`."""

    at: datetime
    month_start: datetime
    month_end: datetime
    spent_usd: float  # in this month, before `at`
    p10_usd: float  # of the whole month
    p50_usd: float
    p90_usd: float
    history_days: float  # on which the forecast rests, earlier months included
    first_hour_at: datetime  # of `path_usd`; not before the month's start
    path_usd: NDArray[np.float64]  # spend of each hour of the month: as it was, then as it is expected


def matches(budget: Budget, workload: str, team: str | None) -> bool:
    """Whether a workload's spend counts against a budget: all globs must match. One that names nothing counts all."""
    cluster, namespace, *_ = (*workload.split("/", 2), "")  # the overflow row has a name without parts
    has = {"cluster": cluster, "namespace": namespace, "workload": workload, **({"team": team} if team else {})}
    return all(key in has and fnmatchcase(has[key], glob) for key, glob in budget.match.items())


def month_of(now: datetime, timezone: str = "UTC") -> tuple[datetime, datetime]:
    """The calendar month around a moment in the budget's own timezone: (start, end), end excluded, in that zone."""
    zone = ZoneInfo(timezone)
    local = now.astimezone(zone)
    days = monthrange(local.year, local.month)[1]
    start = datetime(local.year, local.month, 1, tzinfo=zone)
    after = datetime(local.year, local.month, days) + timedelta(days=1)
    return start, after.replace(tzinfo=zone)


def probability_above(limit_usd: float, p10_usd: float, p50_usd: float, p90_usd: float) -> float:
    """Chance that a total exceeds a limit, from three quantiles: normal, with a width of its own on each side."""
    reach = limit_usd - p50_usd
    width = (p90_usd - p50_usd if reach >= 0.0 else p50_usd - p10_usd) / P90_SIGMA
    if width <= 0.0:
        return 1.0 if reach < 0.0 else 0.0
    return 0.5 * (1.0 - erf(reach / width / sqrt(2.0)))


class BudgetDetector(Struct, frozen=True, kw_only=True):
    """Says that a budget will be broken once that is likely, and takes it back once it is unlikely.

    Between the two it says nothing, so that a forecast that moves about does not open and close an incident. Pure:
    what is open is the incidents' business; a clearing of what was never said means nothing.
    """

    fire_above: float = 0.8  # probability of a breach
    clear_below: float = 0.4
    history_days: float = 2.0  # with less, a forecast is not worth an alert
    settle_days: float = 1.0  # of a new month, in which a doubt about the last one is dropped

    def judge(self, budget: Budget, month: MonthForecast) -> Finding | None:
        """A finding, its clearing, or None for nothing to say."""
        broken = month.spent_usd > budget.usd_per_month
        chance = 1.0 if broken else probability_above(budget.usd_per_month, month.p10_usd, month.p50_usd, month.p90_usd)
        fires = broken or (
            chance >= self.fire_above
            and month.p50_usd > budget.usd_per_month
            and month.history_days >= self.history_days
        )
        fresh = month.at - month.month_start < timedelta(days=self.settle_days)
        if not fires and not fresh and (chance >= self.clear_below or month.history_days < self.history_days):
            return None
        evidence = {
            "spent_usd": round(month.spent_usd, 6),
            "p10_usd": round(month.p10_usd, 6),
            "p50_usd": round(month.p50_usd, 6),
            "p90_usd": round(month.p90_usd, 6),
            "budget_usd": budget.usd_per_month,
            "breach_probability_ratio": round(chance, 4),
        }
        breach_at = breach_of(budget, month) if fires else None
        if breach_at is not None:
            evidence["breach_at_epoch_s"] = breach_at.timestamp()
        hours = max((month.at - month.month_start) / timedelta(hours=1), 1.0)
        return Finding(
            kind=Kind.BUDGET,
            cause=Cause.FORECAST_BREACH,
            at=month.at,
            began_at=month.at,
            budget=budget.name,
            team=budget.match.get("team"),
            cleared=not fires,
            usd_per_hour=month.spent_usd / min(hours, max(month.history_days * 24.0, 1.0)),
            usd_so_far=month.spent_usd,
            usd_if_ignored=max(0.0, month.p50_usd - budget.usd_per_month),
            observed=month.p50_usd,
            expected=budget.usd_per_month,
            unit="usd",
            confidence=chance if fires else 1.0 - chance,
            evidence=evidence,
        )


def breach_of(budget: Budget, month: MonthForecast) -> datetime | None:
    """The end of the hour in which the month's spend passes the budget, None if the expected path does not."""
    over = np.cumsum(month.path_usd) > budget.usd_per_month
    if not over.any():
        return None
    return month.first_hour_at + timedelta(hours=int(over.argmax()) + 1)
