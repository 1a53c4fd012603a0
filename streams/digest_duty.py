"""The weekly digest: composed from the store when its hour has come, and put into the outbox exactly once a week."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import structlog
from msgspec.structs import replace

from alerts.digest import Digest, Quality, compose, week_of
from alerts.digest_notices import digest_notices
from alerts.week import Week, week_named
from detectors.budget import Budget, matches, month_of
from store.facts import ForecastRow
from store.store import Store
from streams.forecast_duty import EVERYTHING

log = structlog.get_logger()

NANO = 1e9
WEEK = timedelta(days=7)
TOLD_FOR = timedelta(days=6)  # a week that ended longer ago is no news any more


class DigestDuty:
    """Says once a week what was spent, wasted and recovered."""

    def __init__(
        self, store: Store, *, budgets: Sequence[Budget], channels: tuple[str, ...], day: str, at: time, timezone: str
    ) -> None:
        """`channels`: names of those that get it; none: no digest is sent."""
        self.store, self.budgets, self.channels = store, tuple(budgets), channels
        self.day, self.at, self.timezone = day, at, timezone

    def run(self, now: datetime) -> bool:
        """Put this week's digest into the outbox if it is due and was not yet; say whether it was put there now."""
        if not self.channels:
            return False
        week = week_of(now, self.timezone, self.day, self.at)
        first = self.store.first_hour()
        if first is None or first >= week.end or self.too_old(week, now):
            return False
        if self.store.digest_enqueued(week.label):  # composing reads two weeks of the ledger
            return False
        return self.send(self.compose(week))

    def send(self, digest: Digest) -> bool:
        """Put a digest into the outbox; False where that was done before: a week is told once."""
        week = digest.week.label
        if not self.store.digest_enqueue(week, digest_notices(digest, self.channels)):
            return False
        log.info("digest_written", week=week, channels=list(self.channels))
        return True

    def too_old(self, week: Week, now: datetime) -> bool:
        """Whether a week is no news any more."""
        return now - week.due_at > TOLD_FOR

    def latest_week(self, now: datetime) -> Week:
        """The week that a digest made now is about."""
        return week_of(now, self.timezone, self.day, self.at)

    def so_far(self, week: Week, now: datetime) -> Week:
        """The week as far as it has come: nothing is said to be spent or saved in the future."""
        return replace(week, end=now) if week.start < now < week.end else week

    def week(self, label: str) -> Week:
        """The week of this label, such as 2026-W05. Raises ValueError where there is none."""
        return week_named(label, self.timezone, self.day, self.at)

    def compose(self, week: Week) -> Digest:
        """The digest of a week, from the store as it is now."""
        length = week.end - week.start
        before = week.start - max(length, WEEK)  # of a week that lasts still, the same days of the week before
        month_start, month_end = month_of(week.end - timedelta(seconds=1), self.timezone)
        incidents = self.store.incidents_between(week.start, week.end)
        gaps = self.store.gaps_between(week.start, week.end)
        forecasts = [
            row
            for row in self.store.latest_forecasts()
            if (row.period_start, row.period_end) == (month_start, month_end)
        ]
        return compose(
            week,
            this_week=self._spending(week.start, week.end),
            last_week=self._spending(before, before + length),
            incidents=incidents,
            actions=self.store.actions_since(week.start),
            stops=self.store.would_stops_between(week.start, week.end),
            outlook=self._outlook(forecasts),
            forecasts=[
                (row.budget, row.p10_usd, row.p50_usd, row.p90_usd)
                for row in forecasts
                if row.budget is not None and row.budget != EVERYTHING.name
            ],
            budgets=self._budgets(min(month_end, week.end)),
            held=self.store.held_between(week.start, week.end),
            quality=Quality(
                gaps=sum(incident.kind == "data_gap" for incident in incidents),
                rejects=sum(self.store.reject_counts(week.start, week.end).values()),
                unpriced_tokens=sum(row.unpriced_tokens for row in self.store.ledger_rows(week.start, week.end)),
                lost_events=sum(gap.most_events or 0 for gap in gaps),
                lost_usd=sum(gap.usd(week.end) or 0.0 for gap in gaps),
            ),
        )

    def _spending(self, start: datetime, end: datetime) -> dict[tuple[str | None, str], float]:
        spending: dict[tuple[str | None, str], float] = {}
        for row in self.store.spend_by_hour(start, end):
            key = (row.team, row.workload)
            spending[key] = spending.get(key, 0.0) + row.nano_usd / NANO
        return spending

    def _budgets(self, end: datetime) -> list[tuple[str, float, float]]:
        """Name, USD a month and USD spent of it up to `end`."""
        lines = []
        for budget in self.budgets:
            start, _ = month_of(end - timedelta(seconds=1), budget.timezone)
            spent = sum(usd for (team, name), usd in self._spending(start, end).items() if matches(budget, name, team))
            lines.append((budget.name, budget.usd_per_month, spent))
        return lines

    @staticmethod
    def _outlook(forecasts: Sequence[ForecastRow]) -> tuple[float, float, float] | None:
        """The month of everything together, forecast as one series: quantiles of parts don't add up."""
        row = next((row for row in forecasts if row.budget == EVERYTHING.name), None)
        return None if row is None else (row.p10_usd, row.p50_usd, row.p90_usd)
