"""A small fleet on a store that is a set of lists: what the console's tests look at."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from alerts.incidents import Incident, Severity, incident_id
from alerts.notices import Notice, Reason
from alerts.reasons import Hush
from alerts.scale_down import Action, ActionStep, Mode
from alerts.silences import Silence
from alerts.titles import title
from alerts.would_stop import WouldStop
from detectors.budget import Budget
from detectors.findings import Cause, Kind
from store.facts import ChangeRow, ForecastRow, GapRow, LedgerRow, StatusRow, StopRow, WorkloadState

NOW = datetime(2026, 11, 24, 21, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
CHAT = "prod-eu/llm-serving/llama70b-chat"
SEARCH = "prod-eu/search/embedder"
BATCH = "prod-us/research/eval-batch"
SPARE = "prod-us//"
HOSTILE = "prod-eu/<script>alert(1)</script>/=cmd|' <!channel> \u202egnp.exe"


@dataclass
class Row:
    """A row of the outbox."""

    notice: Notice
    state: str = "recorded"
    attempts: int = 1
    detail: str = ""
    hushed: Hush | None = None


@dataclass
class ListStore:
    """The console's part of the store, in lists."""

    rows: list[StatusRow] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    forecasts: list[ForecastRow] = field(default_factory=list)
    rejects: dict[str, int] = field(default_factory=dict)
    gap_rows: list[GapRow] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    is_paused: bool = False
    stopped: list[StopRow] = field(default_factory=list)
    silenced: list[Silence] = field(default_factory=list)
    would_stops: list[WouldStop] = field(default_factory=list)

    def statuses(self) -> Sequence[StatusRow]:
        return self.rows

    def open_incidents(self) -> Sequence[Incident]:
        return [one for one in self.incidents if one.resolved_at is None]

    def incident(self, incident_id: str) -> Incident | None:
        return next((one for one in self.incidents if one.incident_id == incident_id), None)

    def list_incidents(self, limit: int, state: str | None = None, kind: str | None = None) -> Sequence[Incident]:
        found = [one for one in self.incidents if kind in (None, one.kind)]
        if state is not None:
            found = [one for one in found if (one.resolved_at is None) == (state == "open")]
        return found[:limit]

    def spend_by_hour(self, start: datetime, end: datetime, *, workload: str | None = None) -> Sequence[LedgerRow]:
        return [row for row in self.ledger if start <= row.hour < end and workload in (None, row.workload)]

    def latest_forecasts(self) -> Sequence[ForecastRow]:
        return self.forecasts

    def silences(self, not_over_at: datetime | None = None) -> Sequence[Silence]:
        return [one for one in self.silenced if not_over_at is None or not one.over(not_over_at)]

    def stops(self) -> list[StopRow]:
        return self.stopped

    def reject_counts(self) -> dict[str, int]:
        return self.rejects

    def gaps(self, limit: int) -> Sequence[GapRow]:
        return self.gap_rows[:limit]

    def notices(self, limit: int, channel: str | None = None, subject_id: str | None = None) -> Sequence[Row]:
        return [row for row in self.outbox if subject_id in (None, row.notice.subject_id)][:limit]

    def action(self, action_id: str) -> Action | None:
        return next((one for one in self.actions if one.action_id == action_id), None)

    def action_steps(self, action_id: str) -> Sequence[Action]:
        return [one for one in self.actions if one.action_id == action_id]  # an action bears its latest step

    def would_stops_between(self, start: datetime, end: datetime) -> Sequence[WouldStop]:
        return [stop for stop in self.would_stops if start <= stop.at < end]

    def paused(self) -> bool:
        return self.is_paused

    def list_actions(self, limit: int) -> Sequence[Action]:
        return self.actions[:limit]

    def action_for(self, incident_id: str) -> Action | None:
        return next((one for one in self.actions if one.incident_id == incident_id), None)

    def changes_between(self, start: datetime, end: datetime, workload: str | None = None) -> Sequence[ChangeRow]:
        return [row for row in self.changes if start <= row.at < end and workload in (None, row.workload)]


def status(
    workload: str, team: str | None, state: WorkloadState, usd_per_hour: float, devices: int, **more
) -> StatusRow:
    return StatusRow(
        workload=workload,
        team=team,
        at=more.pop("at", NOW - timedelta(seconds=12)),
        state=state,
        usd_per_hour=usd_per_hour,
        devices=devices,
        **more,
    )


def incident(
    kind: Kind, cause: Cause, severity: Severity, began_at: datetime, workload: str | None, **more
) -> Incident:
    fingerprint = "|".join((kind, workload or "", more.get("model") or "", more.get("budget") or ""))
    return Incident(
        incident_id=incident_id(fingerprint, began_at),
        fingerprint=fingerprint,
        kind=kind,
        cause=cause,
        severity=severity,
        began_at=began_at,
        detected_at=more.pop("detected_at", began_at + 31 * MINUTE),
        updated_at=more.pop("updated_at", NOW - timedelta(seconds=12)),
        workload=workload,
        **more,
    )


def told(one: Incident, channel: str, reason: Reason, **more) -> Row:
    notice = Notice(
        notice_id=f"{one.incident_id}/{channel}/{reason}",
        channel=channel,
        subject="incident",
        subject_id=one.incident_id,
        transition=0,
        step="opened",
        reason=reason,
        title=title(one),
        at=one.detected_at,
    )
    return Row(notice, **more)


BUDGETS = (
    Budget(name="team-search", usd_per_month=7000.0, match={"team": "search"}),
    Budget(name="prod-eu", usd_per_month=60000.0, match={"cluster": "prod-eu"}),
)


def fleet() -> ListStore:
    """Four workloads of two clusters with a month of spend, four incidents, and what was said and done."""
    rng = random.Random(20261124)
    store = ListStore()
    idle = incident(
        Kind.IDLE,
        Cause.NO_TRAFFIC,
        Severity.WARN,
        NOW - 3 * HOUR - 20 * MINUTE,
        CHAT,
        team="chat",
        model="NVIDIA H100 80GB HBM3",
        devices=tuple(f"GPU-7c1f{n:04d}" for n in range(8)),
        usd_per_hour=32.0,
        usd_so_far=106.4,
        usd_if_ignored=4832.0,
        observed=0.004,
        expected=0.62,
        unit="util_ratio",
        confidence=0.97,
        evidence={
            "idle_s": 11970.0,
            "wasted_usd": 106.4,
            "power_w": 71.0,
            "util_ratio": 0.004,
            "tokens_per_minute": 0.0,
        },
        changes=("deploy at 18:02 UTC: route chat traffic to llama70b-v2",),
    )
    spike = incident(
        Kind.ANOMALY,
        Cause.TOKENS_PER_REQUEST,
        Severity.PAGE,
        NOW - 95 * MINUTE,
        SEARCH,
        team="search",
        usd_per_hour=41.2,
        usd_so_far=58.1,
        observed=52.4,
        expected=11.2,
        confidence=0.99,
        evidence={"score_ratio": 0.98, "tokens_per_request": 18400.0, "requests_per_minute": 310.0},
        acknowledged_at=NOW - 20 * MINUTE,
        acknowledged_by="slack:U024BE7LH",
    )
    breach = incident(
        Kind.BUDGET,
        Cause.FORECAST_BREACH,
        Severity.WARN,
        NOW - 26 * HOUR,
        None,
        team="search",
        budget="team-search",
        observed=7420.0,
        expected=7000.0,
        unit="usd",
        usd_so_far=0.0,
        evidence={"p10_usd": 6900.0, "p90_usd": 8150.0, "spent_usd": 5610.0},
    )
    gone = incident(
        Kind.DATA_GAP,
        Cause.TELEMETRY_LOST,
        Severity.WARN,
        NOW - 40 * MINUTE,
        BATCH,
        team="research",
        usd_per_hour=16.0,
        evidence={"silent_s": 2400.0},
    )
    over = incident(
        Kind.IDLE,
        Cause.MEMORY_HELD,
        Severity.INFO,
        NOW - 30 * HOUR,
        SEARCH,
        team="search",
        usd_per_hour=4.0,
        usd_so_far=9.0,
        resolved_at=NOW - 27 * HOUR,
    )
    store.incidents = [spike, idle, gone, breach, over]
    store.rows = [
        status(
            CHAT,
            "chat",
            WorkloadState.IDLE,
            32.0,
            8,
            idle_devices=8,
            gpu_model="NVIDIA H100 80GB HBM3",
            util_ratio=0.004,
            power_w=71.2,
            tokens_per_minute=0.0,
            idle_since=NOW - 3 * HOUR - 20 * MINUTE,
        ),
        status(SEARCH, "search", WorkloadState.BUSY, 52.4, 4, gpu_model="NVIDIA A100", util_ratio=0.81, power_w=322.0),
        status(BATCH, "research", WorkloadState.BUSY, 16.0, 4, gpu_model="NVIDIA H100", at=NOW - 41 * MINUTE),
        status(SPARE, None, WorkloadState.IDLE, 4.0, 1, gpu_model="NVIDIA A10G", idle_since=NOW - 50 * MINUTE),
    ]
    hour = MONTH
    while hour <= NOW:
        part = min(1.0, (NOW - hour) / HOUR)
        busy = 1.0 + 0.5 * (8 <= hour.hour < 19)
        for workload, team, usd in (
            (CHAT, "chat", 32.0),
            (SEARCH, "search", 7.0),
            (BATCH, "research", 9.0),
            (SPARE, None, 4.0),
        ):
            rate = usd * busy * (0.9 + 0.2 * rng.random()) if workload != SPARE else usd
            if workload == SEARCH and hour >= NOW - 2 * HOUR:
                rate += 40.0
            store.ledger.append(
                LedgerRow(hour=hour, workload=workload, line="gpu|x|book", team=team, nano_usd=round(rate * part * 1e9))
            )
        hour += HOUR
    month = {"issued_at": NOW - HOUR, "period_start": MONTH, "period_end": DECEMBER, "method": "median_of_four"}
    store.forecasts = [
        ForecastRow(workload=None, budget="team-search", p10_usd=6900.0, p50_usd=7420.0, p90_usd=8150.0, **month),
        ForecastRow(workload=None, budget="prod-eu", p10_usd=37900.0, p50_usd=38800.0, p90_usd=40100.0, **month),
        ForecastRow(workload=CHAT, budget=None, p10_usd=29900.0, p50_usd=31200.0, p90_usd=32800.0, **month),
        ForecastRow(workload=SEARCH, budget=None, p10_usd=6900.0, p50_usd=7420.0, p90_usd=8150.0, **month),
    ]
    store.rejects = {"not_json": 3, "future": 14}
    store.outbox = [
        told(gone, "recorder", Reason.FIRST_TIME),
        told(spike, "pagerduty", Reason.FIRST_TIME, state="delivered"),
        told(
            spike, "slack-search", Reason.FIRST_TIME, state="pending", attempts=3, detail="rate limited, again in 30 s"
        ),
        told(idle, "recorder", Reason.FIRST_TIME),
    ]
    store.actions = [
        Action(
            action_id="act_aaaa",
            incident_id=idle.incident_id,
            workload=CHAT,
            team="chat",
            mode=Mode.PROPOSE,
            step=ActionStep.PROPOSED,
            at=NOW - 10 * MINUTE,
            usd_per_hour=32.0,
            replicas_from=4,
            gpus=8,
            evidence={"idle_s": 11400.0, "power_w": 71.0, "tokens_per_minute": 0.0},
            reason="no request for 3 h, power at its floor",
            expires_at=NOW + 50 * MINUTE,
            transition=2,
        ),
        Action(
            action_id="act_bbbb",
            incident_id=over.incident_id,
            workload=SEARCH,
            team="search",
            mode=Mode.OBSERVE,
            step=ActionStep.PROPOSED,
            at=NOW - 29 * HOUR,
            usd_per_hour=4.0,
            replicas_from=2,
            replicas_to=1,
            gpus=1,
            reason="memory held, no request for 1 h",
        ),
    ]
    store.changes = [
        ChangeRow(
            event_id="deploy-1",
            at=NOW - 3 * HOUR - 28 * MINUTE,
            workload=CHAT,
            kind="deploy",
            summary="route chat traffic to llama70b-v2",
            url="https://ci.example.com/runs/1",
        )
    ]
    return store
