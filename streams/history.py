"""What the store keeps of the past, under another policy: spend by hour, and incidents as they were found.

Single events are not kept, so detection is not done again. Severity, routes, budgets, slow growth and scale-down are
judged anew by the same code as ever. An incident is as it was when something was said of it; between these moments its
dollars grow evenly.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec import ValidationError, json

from alerts.incidents import Book, Incident, SeverityPolicy
from alerts.routing import Router
from detectors.findings import Cause, Finding, Kind
from store.facts import Facts, LedgerRow, StatusRow, WorkloadState
from store.store import Store
from streams.forecast_duty import ForecastDuty
from streams.scale_down_duty import ScaleDownDuty

HOUR = timedelta(hours=1)
BUSY_TICK = timedelta(minutes=5)  # while something is idle: scale-down has its own rhythm
MADE_ANEW = (Kind.BUDGET, Kind.DRIFT)  # from the spend by hour
MOST_TOLD = 1_000  # notices of one incident
LEAST_FAMILIES = 2.0  # of evidence, without which nothing is called idle
REST = "history/of/others"  # a workload that stands for all accelerators that are not idle


class History:
    """One walk through the past, from a store to a second one that is thrown away. The first is only read."""

    def __init__(
        self,
        source: Store,
        store: Store,
        *,
        severity: SeverityPolicy,
        router: Router,
        forecasts: ForecastDuty,
        scale_down: ScaleDownDuty,
    ) -> None:
        """`forecasts` and `scale_down` work on the second store."""
        self.source, self.store, self.router = source, store, router
        self.forecasts, self.scale_down = forecasts, scale_down
        self.book = Book(severity)
        self.hours = 0
        self._epoch = 0
        self._known: dict[str, list[Incident]] = {}  # incidents that are open, as they were told of
        self._over: set[str] = set()  # that have ended

    def run(
        self,
        start: datetime,
        end: datetime,
        progress: Callable[[float, datetime], None] = lambda share, at: None,
    ) -> None:
        """Walk from the hour `start` to `end`."""
        self._epoch = self.store.claim_partition(0, "backtest", start).epoch
        self.forecasts.take_over(start)
        hour = start
        while hour < end:
            ledger = self.source.ledger_rows(hour, hour + HOUR)
            incidents = [
                one
                for one in self.source.incidents_between(hour, hour + HOUR)
                if one.kind not in MADE_ANEW and one.cause is not Cause.POISON and one.incident_id not in self._over
            ]
            self._hour(hour, min(hour + HOUR, end), ledger, incidents)
            hour += HOUR
            self.hours += 1
            progress((hour - start) / (end - start), hour)

    def _hour(self, hour: datetime, end: datetime, ledger: Sequence[LedgerRow], incidents: Sequence[Incident]) -> None:
        idle = [one for one in incidents if one.kind is Kind.IDLE and one.workload]
        tick = BUSY_TICK if idle else HOUR
        gpus = round(sum(row.gpu_s for row in ledger) / HOUR.total_seconds())
        at = hour
        while at < end:
            at = min(at + tick, end)
            facts = Facts(ledger=list(ledger) if at == end else [], statuses=self._statuses(idle, gpus, at))
            for one in incidents:
                if one.detected_at <= at and one.incident_id not in self._over:
                    self._tell(one, at, facts)
            facts.incidents = self.book.drain()
            self.store.commit(0, self._epoch, facts, snapshot=None, offsets={}, now=at, watermark=at)
            if idle or self.scale_down.regrets.open():
                self.scale_down.run(at)
        self.forecasts.run(end)

    def _tell(self, incident: Incident, at: datetime, facts: Facts) -> None:
        moments = [at]
        if incident.incident_id not in self._known:
            moments = [incident.detected_at, at]
            self._known[incident.incident_id] = self._told_of(incident)
        for moment in moments:
            over = moment is moments[-1] and _ended(incident, at)
            transition = self.book.apply(as_found(incident, self._known[incident.incident_id], moment, over=over))
            if transition is not None:
                facts.notices.extend(self.router.decide(transition))
        if over:
            self._over.add(incident.incident_id)
            del self._known[incident.incident_id]

    def _told_of(self, incident: Incident) -> list[Incident]:
        """The incident as it stood each time that something was said of it, as far as that is still kept."""
        told = self.source.notices(MOST_TOLD, subject_id=incident.incident_id)
        forms: dict[int, Incident] = {}
        for one in told:
            with suppress(ValidationError):  # of a release that knew other fields
                forms[one.notice.transition] = json.decode(one.notice.body, type=Incident)
        return [form for _, form in sorted(forms.items()) if form.resolved_at is None]

    def _statuses(self, idle: Iterable[Incident], gpus: int, at: datetime) -> list[StatusRow]:
        rows = []
        for incident in idle:
            if incident.detected_at > at or incident.incident_id in self._over:
                continue
            devices = int(incident.evidence.get("accelerators", len(incident.devices))) or 1
            over = _ended(incident, at)
            state = self._after(incident) if over else WorkloadState.IDLE
            here = devices if state is not WorkloadState.UNKNOWN else 0
            gpus -= devices
            rows.append(
                StatusRow(
                    workload=incident.workload or "",
                    team=incident.team,
                    at=at,
                    state=state,
                    usd_per_hour=incident.usd_per_hour if here else 0.0,
                    devices=here,
                    idle_devices=0 if over else devices,
                    idle_since=None if over else incident.began_at,
                )
            )
        rest = StatusRow(
            workload=REST, team=None, at=at, state=WorkloadState.BUSY, usd_per_hour=0.0, devices=max(gpus, 0)
        )
        return [*rows, rest]

    def _after(self, incident: Incident) -> WorkloadState:
        """What came after idleness: work, where accelerators were paid for in the hour after; else they are gone."""
        ended_at = _end(incident)
        following = ended_at.replace(minute=0, second=0, microsecond=0) + HOUR
        later = [
            row for row in self.source.ledger_rows(following, following + HOUR) if row.workload == incident.workload
        ]
        if sum(row.gpu_s for row in later) > 0:
            return WorkloadState.BUSY
        now = next((row for row in self.source.statuses() if row.workload == incident.workload), None)
        seen_since = now is not None and now.at > ended_at and now.devices > 0
        return WorkloadState.BUSY if seen_since else WorkloadState.UNKNOWN


def as_found(incident: Incident, told: Sequence[Incident], at: datetime, *, over: bool = False) -> Finding:
    """The incident as a finding of that moment: as it was last told of then, else as it stands."""
    form = next((one for one in reversed(told) if one.updated_at <= at), told[0] if told else incident)
    if over:
        form = incident
    families = max((one.evidence.get("families", 0.0) for one in (*told, incident)), default=0.0)
    return Finding(
        kind=incident.kind,
        cause=form.cause,
        at=max(at, incident.detected_at),
        began_at=incident.began_at,
        workload=incident.workload,
        team=form.team,
        model=incident.model,
        source=incident.source,
        devices=form.devices,
        cleared=over,
        ended_at=_end(incident) if over else None,
        usd_per_hour=form.usd_per_hour,
        usd_so_far=incident.usd_so_far if over else usd_at(incident, told, at),
        usd_if_ignored=form.usd_if_ignored,
        observed=form.observed,
        expected=form.expected,
        unit=form.unit,
        confidence=form.confidence,
        evidence={**form.evidence, "families": families or LEAST_FAMILIES},
        changes=form.changes,
    )


def usd_at(incident: Incident, told: Sequence[Incident], at: datetime) -> float:
    """Its dollars at a moment: they grow evenly between the moments at which they are known."""
    before, before_usd = incident.began_at, 0.0
    for then, usd in [*((one.updated_at, one.usd_so_far) for one in told), (_end(incident), incident.usd_so_far)]:
        if at < then:
            whole_s = (then - before).total_seconds()
            return before_usd + (usd - before_usd) * max((at - before).total_seconds(), 0.0) / whole_s
        before, before_usd = then, usd
    return incident.usd_so_far


def _end(incident: Incident) -> datetime:
    return incident.resolved_at or incident.updated_at


def _ended(incident: Incident, at: datetime) -> bool:
    """Whether its end was known at that moment; the store's last word on it came then."""
    return incident.resolved_at is not None and max(incident.updated_at, incident.detected_at) <= at
