"""What the console shows, as plain values: one reading of the store that both the pages and the JSON come from.

Dollars are USD as estimated from telemetry and tokens. Unknown is its own state: a workload whose telemetry has
stopped is neither busy nor idle, and its last known rate is shown apart.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar

from alerts.charts import Point
from alerts.incidents import Incident
from alerts.scale_down import Action
from alerts.silences import Silence
from alerts.would_stop import WouldStop
from console.overview import BudgetView, NoticeView, Overview, gap_view, outlook
from console.spend import Spend, joined, summed
from console.summary import (
    NANO,
    accelerators,
    commonest,
    day_start,
    hour_start,
    idle_view,
    loudest,
    month_start,
    period,
    rates,
    teams,
    told,
    whole_month,
)
from console.view_store import State, TakenStep, ViewStore
from detectors.budget import Budget, matches
from store.facts import ChangeRow, ForecastRow

STALE_AFTER_S = 300.0  # a status older than this says nothing about now
GONE_AFTER_S = 86400.0  # a workload silent for longer is no longer shown
PAST_FRESH_S = 300.0  # so long the days before today are not read again
GAPS_SHOWN_FOR = timedelta(days=7)
REGRET_OVER = timedelta(days=28)
MOST_POINTS = 240  # of a line in a chart
HOUR = timedelta(hours=1)


T = TypeVar("T")


class ConsoleView:
    """Reads the store for the pages; what it has read is good for `fresh_s` seconds of its clock."""

    def __init__(
        self,
        store: ViewStore,
        budgets: Sequence[Budget] = (),
        *,
        clock: Callable[[], datetime],
        fresh_s: float = 3.0,
    ) -> None:
        """A view of this store. `clock` returns the present, aware."""
        self._store = store
        self._budgets = tuple(budgets)
        self._clock = clock
        self._fresh_s = fresh_s
        self._kept: dict[str, tuple[datetime, object]] = {}
        self._lock = Lock()

    def now(self) -> datetime:
        """The present in UTC."""
        return self._clock().astimezone(UTC)

    def forget(self) -> None:
        """Read anew next time: something has just been changed."""
        with self._lock:
            self._kept.clear()

    def overview(self) -> Overview:
        """The state of everything, now."""
        return self._fresh("overview", self._overview)

    def incident(self, incident_id: str) -> Incident | None:
        """One incident, open or not."""
        return self._store.incident(incident_id)

    def incidents(self, state: State | None, kind: str | None, limit: int = 200) -> Sequence[Incident]:
        """Incidents, newest first; `state` is open or resolved."""
        return self._store.list_incidents(limit, state, kind)

    def notices_of(self, subject_id: str, limit: int = 50) -> Sequence[NoticeView]:
        """What was, or would have been, said about one subject; newest first."""
        return [told(row) for row in self._store.notices(limit, subject_id=subject_id)]

    def actions(self, limit: int = 100) -> Sequence[Action]:
        """Actions as they stand, newest first."""
        return self._store.list_actions(limit)

    def silences(self) -> tuple[list[Silence], list[Silence]]:
        """Silences that are not over, and the latest that are."""
        now, found = self.now(), self._store.silences()
        return [one for one in found if not one.over(now)], [one for one in found if one.over(now)][-20:][::-1]

    def would_stops(self) -> Sequence[WouldStop]:
        """What mode auto would have stopped in the last four weeks, in order of time."""
        now = self.now()
        return self._store.would_stops_between(now - REGRET_OVER, now + HOUR)

    def paused(self) -> bool:
        """Whether all actions have been stopped, by a person or by the breaker."""
        return self._store.paused()

    def action_of(self, incident_id: str) -> Action | None:
        """The scale-down that an incident led to, if any."""
        return self._store.action_for(incident_id)

    def action(self, action_id: str) -> Action | None:
        """One action as it stands."""
        return self._store.action(action_id)

    def steps_of(self, action_id: str) -> Sequence[TakenStep]:
        """The steps that an action took, in order."""
        return self._store.action_steps(action_id)

    def changes_near(self, incident: Incident) -> Sequence[ChangeRow]:
        """What people did to the workload from six hours before the incident began until its end."""
        if incident.workload is None:
            return ()
        end = (incident.resolved_at or self.now()) + timedelta(minutes=1)
        return self._store.changes_between(incident.began_at - 6 * HOUR, end, incident.workload)

    def spend_hours(self, hours: int = 48) -> list[tuple[datetime, str, float]]:
        """(hour, team, USD) of the latest hours, the running one included."""
        start = hour_start(self.now()) - (hours - 1) * HOUR
        by_team = self._month().by_team
        return [(hour, team, by_team[hour, team] / NANO) for hour, team in sorted(by_team) if hour >= start]

    def incident_series(self, incident: Incident) -> list[Point]:
        """(hour, USD per hour) of the incident's subject, from a day before it began until a while after its end."""
        now = self.now()
        end = min(now, (incident.resolved_at or now) + 6 * HOUR)
        start = max(hour_start(incident.began_at) - 24 * HOUR, hour_start(end) - 14 * 24 * HOUR)
        budget = next((one for one in self._budgets if one.name == incident.budget), None)
        sums: dict[datetime, int] = {}
        for row in self._store.spend_by_hour(start, end, workload=incident.workload):
            if budget is None or matches(budget, row.workload, row.team):
                sums[row.hour] = sums.get(row.hour, 0) + row.nano_usd
        return rates(sums, now)

    def budget_series(self, budget: Budget) -> list[Point]:
        """(moment, USD since the month began) of a budget."""
        start, end = period(budget, self.now())
        points, total = [(start, 0.0)], 0
        for hour, nano in self._month().of_budget(budget, start, end).items():
            total += nano
            points.append((min(hour + HOUR, max(self.now(), hour)), total / NANO))
        step = -(-len(points) // MOST_POINTS)
        return [*points[:-1:step], points[-1]]

    def budget(self, name: str) -> Budget | None:
        """The budget of this name."""
        return next((budget for budget in self._budgets if budget.name == name), None)

    def _month(self) -> Spend:
        """The running month of every budget and at least two days; what lies before today is read less often."""
        return joined([self._fresh("past", self._past, PAST_FRESH_S), self._fresh("today", self._today)])

    def _past(self) -> Spend:
        now = self.now()
        starts = [period(budget, now)[0] for budget in self._budgets]
        day, today = day_start(min([*starts, month_start(now), now - 48 * HOUR])), day_start(now)
        days = []
        while day < today:
            days.append(summed(self._store.spend_by_hour(day, day + 24 * HOUR), self._budgets))
            day += 24 * HOUR
        return joined(days)

    def _today(self) -> Spend:
        now = self.now()
        return summed(self._store.spend_by_hour(day_start(now), now + HOUR), self._budgets)

    def _overview(self) -> Overview:
        now = self.now()
        statuses = [row for row in self._store.statuses() if (now - row.at).total_seconds() <= GONE_AFTER_S]
        fresh = [row for row in statuses if (now - row.at).total_seconds() <= STALE_AFTER_S]
        silent = [row for row in statuses if (now - row.at).total_seconds() > STALE_AFTER_S]
        incidents = sorted(self._store.open_incidents(), key=loudest)
        month = self._month()
        data_at = max((row.at for row in statuses), default=None)
        forecasts = [row for row in self._store.latest_forecasts() if row.period_start <= now < row.period_end]
        idle = idle_view(fresh, incidents, now)
        spent = month.since(month_start(now)) / NANO
        return Overview(
            as_of=now,
            data_at=data_at,
            data_age_s=None if data_at is None else max(0.0, (now - data_at).total_seconds()),
            usd_per_hour=sum((row.usd_per_hour for row in fresh), 0.0),
            silent_usd_per_hour=sum((row.usd_per_hour for row in silent), 0.0),
            silent_workloads=len(silent),
            today_usd=month.since(day_start(now)) / NANO,
            month_to_date_usd=spent,
            month_forecast_usd=whole_month(forecasts, spent),
            accelerators=accelerators(fresh, silent),
            idle_usd_per_hour=sum((row.usd_per_hour for row in idle), 0.0),
            idle=idle,
            teams=teams(fresh, silent, month.by_team, now),
            incidents=tuple(incidents),
            budgets=tuple(self._budget_view(budget, month, forecasts, now) for budget in self._budgets),
            notices=tuple(told(row) for row in self._store.notices(10)),
            rejects=commonest(self._store.reject_counts()),
            stopped=tuple(self._store.stops()),
            gaps=tuple(gap_view(gap, now) for gap in self._store.gaps(20) if now - gap.found_at <= GAPS_SHOWN_FOR),
        )

    def _budget_view(self, budget: Budget, month: Spend, forecasts: Sequence[ForecastRow], now: datetime) -> BudgetView:
        start, end = period(budget, now)
        nano = sum(month.of_budget(budget, start, end).values())
        forecast = next((row for row in forecasts if row.budget == budget.name), None)
        return BudgetView(
            name=budget.name,
            usd_per_month=budget.usd_per_month,
            spent_usd=nano / NANO,
            period_start=start,
            period_end=end,
            p10_usd=forecast.p10_usd if forecast else None,
            p50_usd=forecast.p50_usd if forecast else None,
            p90_usd=forecast.p90_usd if forecast else None,
            outlook=outlook(budget.usd_per_month, nano / NANO, forecast),
        )

    def _fresh(self, name: str, read: Callable[[], T], fresh_s: float | None = None) -> T:
        with self._lock:
            now, kept = self.now(), self._kept.get(name)
        kept_s = math.inf if kept is None or kept[0].date() != now.date() else (now - kept[0]).total_seconds()
        if kept is not None and 0 <= kept_s < (fresh_s or self._fresh_s):
            return kept[1]  # type: ignore[return-value]  # kept under the name of its reader
        value = read()
        with self._lock:
            self._kept[name] = (now, value)
        return value
