"""Rows of the store summed up for the console. Pure: values in, values out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.charts import Point
from alerts.incidents import Incident
from console.overview import Accelerators, IdleView, NoticeView, TeamView
from console.view_store import SentNotice
from detectors.budget import Budget
from detectors.findings import Kind
from store.facts import ForecastRow, StatusRow, WorkloadState

NANO = 1_000_000_000
NO_TEAM = "no team"
MOST_REASONS = 20  # of what was set aside; some name a figure, so that there may be very many


def period(budget: Budget, now: datetime) -> tuple[datetime, datetime]:
    """The calendar month of a budget that holds `now`, in UTC."""
    zone = ZoneInfo(budget.timezone)
    start = month_start(now.astimezone(zone))
    after = month_start(start + timedelta(days=32))
    return start.astimezone(UTC), after.astimezone(UTC)


def idle_view(told: Sequence[StatusRow], incidents: Sequence[Incident], now: datetime) -> tuple[IdleView, ...]:
    """Workloads with idle accelerators, the most wasted first; an open incident's dollars win over our estimate."""
    known = {one.workload: one for one in incidents if one.kind is Kind.IDLE}
    rows = []
    for row in told:
        if row.state is WorkloadState.UNKNOWN or (row.state is WorkloadState.BUSY and row.idle_devices == 0):
            continue
        devices = row.idle_devices or row.devices
        rate = row.usd_per_hour * (devices / row.devices if row.devices else 1.0)
        incident = known.get(row.workload)
        since = row.idle_since or (incident.began_at if incident else None)
        idle_s = max(0.0, (now - since).total_seconds()) if since else None
        wasted = incident.usd_so_far if incident else (None if idle_s is None else rate * idle_s / 3600.0)
        rows.append(
            IdleView(
                workload=row.workload,
                team=row.team,
                gpu_model=row.gpu_model,
                idle_devices=devices,
                devices=row.devices,
                idle_since=since,
                idle_s=idle_s,
                usd_per_hour=rate,
                usd_so_far=wasted,
                util_ratio=row.util_ratio,
                power_w=row.power_w,
                incident_id=incident.incident_id if incident else None,
            )
        )
    return tuple(sorted(rows, key=lambda idle: (-(idle.usd_so_far or 0.0), -idle.usd_per_hour, idle.workload)))


def accelerators(told: Sequence[StatusRow], silent: Sequence[StatusRow]) -> Accelerators:
    """How many accelerators do what; those of silent workloads are unknown."""
    busy = idle = 0
    unknown = sum(row.devices for row in silent)
    for row in told:
        if row.state is WorkloadState.UNKNOWN:
            unknown += row.devices
            continue
        stopped = (row.idle_devices or row.devices) if row.state is WorkloadState.IDLE else row.idle_devices
        idle += stopped
        busy += max(0, row.devices - stopped)
    return Accelerators(busy=busy, idle=idle, unknown=unknown)


def teams(
    told: Sequence[StatusRow],
    silent: Sequence[StatusRow],
    nano_usd: Mapping[tuple[datetime, str], int],
    now: datetime,
) -> tuple[TeamView, ...]:
    """What each team spends now, today and this month, the largest first; `nano_usd` is by hour and team."""
    rates: dict[str, float | None] = {row.team or NO_TEAM: None for row in silent}
    for status in told:
        rates[status.team or NO_TEAM] = (rates.get(status.team or NO_TEAM) or 0.0) + status.usd_per_hour
    today: dict[str, int] = {}
    whole: dict[str, int] = {}
    for (hour, team), nano in nano_usd.items():
        if hour >= month_start(now):
            whole[team] = whole.get(team, 0) + nano
        if hour >= day_start(now):
            today[team] = today.get(team, 0) + nano
    views = [
        TeamView(
            team=team,
            usd_per_hour=rates.get(team, 0.0),
            today_usd=today.get(team, 0) / NANO,
            month_to_date_usd=whole.get(team, 0) / NANO,
        )
        for team in rates.keys() | whole.keys()
    ]
    return tuple(sorted(views, key=lambda view: (-(view.usd_per_hour or 0.0), -view.month_to_date_usd, view.team)))


def whole_month(forecasts: Sequence[ForecastRow], spent: float) -> float | None:
    """The fleet's forecast where there is one, else the sum of its workloads'; never below what is spent."""
    fleet = [row for row in forecasts if row.workload is None and row.budget is None]
    rows = fleet[:1] or [row for row in forecasts if row.workload is not None]
    return max(spent, sum(row.p50_usd for row in rows)) if rows else None


def rates(sums: dict[datetime, int], now: datetime) -> list[Point]:
    """Sums of hours as rates; the running hour counts by the part of it that has passed, once that is 10 minutes."""
    points = []
    for hour in sorted(sums):
        passed_s = min(3600.0, (now - hour).total_seconds())
        if passed_s >= 600.0 or len(sums) == 1:
            points.append((hour, sums[hour] / NANO * 3600.0 / max(passed_s, 60.0)))
    return points


def told(row: SentNotice) -> NoticeView:
    """A row of the outbox as it is shown."""
    notice = row.notice
    return NoticeView(
        at=notice.at,
        channel=notice.channel,
        subject=notice.subject,
        subject_id=notice.subject_id,
        step=notice.step,
        reason=str(notice.reason),
        title=notice.title,
        state=str(row.state),
        attempts=row.attempts,
        detail=row.detail,
        hushed=None if row.hushed is None else str(row.hushed),
    )


def commonest(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by reason, the commonest first; what is beyond a screen is summed up."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(number for _, number in ranked[MOST_REASONS:])
    return dict(ranked[:MOST_REASONS]) | ({f"{len(ranked) - MOST_REASONS} other reasons": rest} if rest else {})


def loudest(incident: Incident) -> tuple[int, float, str]:
    """Sort key: pages first, then by dollars."""
    return ("page", "warn", "info").index(incident.severity), -incident.usd_per_hour, incident.incident_id


def hour_start(at: datetime) -> datetime:
    """The UTC hour that holds a moment."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_start(at: datetime) -> datetime:
    """Midnight before a moment, in its own zone."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(at: datetime) -> datetime:
    """The beginning of the month that holds a moment, in its own zone."""
    return day_start(at).replace(day=1)
