"""The forecast duty: once a day for every workload, every few hours for budgets, at the hours of the stream's clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import structlog
from msgspec import Struct

from alerts.incidents import Book, SeverityPolicy
from alerts.routing import Router
from detectors.budget import Budget
from detectors.findings import Cause, Finding, Kind
from detectors.growth import GrowthDetector
from store.facts import Facts, ForecastRow
from store.progress import DUTIES_PARTITION
from store.store import Store
from streams.challenger import ProphetPool
from streams.forecasting import SpendHour, issue_budgets, issue_forecasts
from streams.price_steps import SHARES_OVER, Levels, has_steps, price_levels
from streams.pricing import PriceBook

log = structlog.get_logger()

WINDOW = timedelta(days=56)
BUDGETS_EVERY_H = 6
MOST_HOURS_A_RUN = 24 * 7
EVERYTHING = Budget(name="*", usd_per_month=1e15, match={"workload": "*"})  # the sum of all, forecast as one series
STATE_VERSION = 1
STATE = "core"  # the only part of this duty's snapshot
DAY_S = 86_400
HOUR = timedelta(hours=1)
LONGEST_AHEAD = timedelta(days=62)  # an hour that belongs to this month in any timezone, or to the week after
LONGEST_ODD = timedelta(hours=48)  # what lasts longer is not an outburst any more
LASTING = frozenset({Cause.PRICE, Cause.MODEL_MIX, Cause.LEVEL_STEP, Cause.SLOW_GROWTH, Cause.GPU_HOURS})
MOST_WATCHED = 500  # workloads whose slow growth is looked for, the dearest first


class DutyState(Struct):
    """How far the duty has come, and the book of budget incidents."""

    version: int = STATE_VERSION
    done_hour: int = 0  # epoch hour
    book: bytes = b""


class ForecastDuty:
    """Issues forecasts and judges budgets, each hour once, whoever holds the duties."""

    def __init__(
        self,
        store: Store,
        *,
        budgets: Sequence[Budget],
        severity: SeverityPolicy,
        router: Router,
        owner: str,
        pool: ProphetPool | None = None,
        book: PriceBook | None = None,
    ) -> None:
        """`pool`: the challenger's process; without it only the champions forecast. `book`: for prices to come."""
        self.store, self.budgets, self.severity, self.router = store, tuple(budgets), severity, router
        self.owner, self.pool, self.book = owner, pool, book or PriceBook()
        self.growth = GrowthDetector()
        self._epoch = 0
        self._state = DutyState()
        self._book = Book(severity)

    def take_over(self, now: datetime) -> None:
        """Become the one that does this duty; go on where the one before stopped."""
        claim = self.store.claim_partition(DUTIES_PARTITION, self.owner, now)
        self._epoch = claim.epoch
        self._state, self._book = DutyState(), Book(self.severity)
        if claim.snapshot is not None:
            self._state = msgspec.msgpack.decode(claim.snapshot[STATE], type=DutyState)
            if self._state.version != STATE_VERSION:
                raise ValueError(f"duty state has version {self._state.version}, this release reads {STATE_VERSION}")
            self._book = Book.from_bytes(self._state.book, self.severity)

    def run(self, now: datetime, upto: datetime | None = None) -> list[ForecastRow]:
        """Do every hour that is complete and not done yet, at most a week of them; return the forecasts issued.

        `upto`: the stream's clock, taken from the store where it is not given.
        """
        low = upto or self.store.low_watermark()
        first = self.store.first_hour()
        if low is None or first is None:
            return []
        done = self._state.done_hour or int(first.timestamp() // 3600)
        last = min(int(low.timestamp() // 3600), done + MOST_HOURS_A_RUN)
        issued: list[ForecastRow] = []
        for hour in range(done + 1, last + 1):
            if hour % BUDGETS_EVERY_H == 0:
                issued += self._hour(datetime.fromtimestamp(hour * 3600, UTC), now)
        if last > self._state.done_hour:
            self._state.done_hour = last
        return issued

    def _hour(self, at: datetime, now: datetime) -> list[ForecastRow]:
        daily = at.hour == 0
        if not daily and not self.budgets:
            return []
        spend = [
            (row.hour, row.workload, row.team, row.nano_usd / 1e9) for row in self.store.spend_by_hour(at - WINDOW, at)
        ]
        if not spend:
            return []
        odd, prices = self._odd_hours(at), self._prices(min(row[0] for row in spend), at)
        if daily:
            forecasts, findings = issue_forecasts(spend, (*self.budgets, EVERYTHING), at, self.pool, odd, prices=prices)
            findings += self._growth(spend, at)
        else:
            rows = [(int(hour.timestamp() // 3600), name, team, usd) for hour, name, team, usd in spend]
            forecasts, findings = issue_budgets(rows, self.budgets, at, min(row[0] for row in rows), odd, prices)
        facts = Facts(forecasts=forecasts)
        book = Book.from_bytes(self._book.to_bytes(), self.severity)  # ours stays as the store has it until it has this
        for finding in findings:
            transition = book.apply(finding)
            if transition is not None:
                facts.notices.extend(self.router.decide(transition))
        facts.incidents = book.drain()
        state = DutyState(done_hour=int(at.timestamp() // 3600), book=book.to_bytes())
        self.store.commit(
            DUTIES_PARTITION, self._epoch, facts, snapshot={STATE: msgspec.msgpack.encode(state)}, offsets={}, now=now
        )
        self._state, self._book = state, book
        log.info("forecasts_issued", at=at.isoformat(), forecasts=len(forecasts), budget_findings=len(findings))
        return forecasts

    def _odd_hours(self, at: datetime) -> set[tuple[datetime, str]]:
        """The hours of outbursts that are over: spent, but nothing to learn from. What lasts is learnt."""
        odd = set()
        for incident in self.store.incidents_between(at - WINDOW, at):
            end = incident.resolved_at
            if incident.kind is not Kind.ANOMALY or incident.workload is None or incident.cause in LASTING:
                continue
            if end is None or end > at or end - incident.began_at > LONGEST_ODD:
                continue
            hour = incident.began_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            while hour < end:
                odd.add((hour, incident.workload))
                hour += HOUR
        return odd

    def _prices(self, first: datetime, at: datetime) -> Levels:
        """Known steps of price in the past and ahead, by workload."""
        end = at + LONGEST_AHEAD
        if not has_steps(self.book, first, end):
            return {}
        return price_levels(self.store.ledger_rows(at - SHARES_OVER, at), self.book, first, at, end)

    def _growth(self, spend: Sequence[SpendHour], at: datetime) -> list[Finding]:
        """Slow growth of the workloads that cost most, on whole days that end at `at`.

        What has been told already as an anomaly or as waste is not told again as growth.
        """
        since = at - timedelta(days=self.growth.max_days)
        told = {
            incident.workload
            for incident in self.store.incidents_between(since, at)
            if incident.kind in (Kind.ANOMALY, Kind.WASTE) and incident.detected_at <= at
        }
        last_day = int(at.timestamp() // DAY_S)
        daily: dict[str, dict[int, float]] = {}
        teams: dict[str, str | None] = {}
        for hour, name, team, usd in spend:
            day = int(hour.timestamp() // DAY_S)
            days = daily.setdefault(name, {})
            days[day] = days.get(day, 0.0) + usd
            teams[name] = team
        dearest = sorted(daily, key=lambda name: (-sum(daily[name].values()), name))[:MOST_WATCHED]
        findings = []
        for name in dearest:
            first = min(daily[name]) + 1  # the first day may be cut
            usd_per_day = np.array([daily[name].get(day, 0.0) for day in range(first, last_day)])
            try:
                finding = self.growth.look(name, teams[name], usd_per_day, at)
            except ValueError as error:  # the fit does not settle: one workload's figures must not hold up the others'
                log.warning("growth_not_judged", workload=name, reason=type(error).__name__)
                continue
            if finding is not None and (finding.cleared or name not in told):
                findings.append(finding)
        return findings
