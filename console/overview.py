"""The values that the console shows, the same for people and for programs. Dollars are USD, moments are UTC."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from alerts.incidents import Incident
from store.facts import ForecastRow, GapRow, StopRow


class Outlook(StrEnum):
    """How a budget's month will end."""

    BROKEN = "broken"  # more is spent already
    WILL_BREAK = "will_break"  # the middle of the forecast lies above it
    AT_RISK = "at_risk"  # the upper end of the forecast lies above it
    ON_COURSE = "on_course"
    NO_FORECAST = "no_forecast"


class Accelerators(Struct, frozen=True, kw_only=True):
    """How many accelerators do what; unknown is not idle."""

    busy: int
    idle: int
    unknown: int


class IdleView(Struct, frozen=True, kw_only=True):
    """Accelerators of one workload that are paid for and not used."""

    workload: str
    team: str | None
    gpu_model: str | None
    idle_devices: int
    devices: int
    idle_since: datetime | None
    idle_s: float | None
    usd_per_hour: float
    usd_so_far: float | None
    util_ratio: float | None
    power_w: float | None
    incident_id: str | None


class TeamView(Struct, frozen=True, kw_only=True):
    """What one team spends."""

    team: str
    usd_per_hour: float | None  # None: all of its workloads are silent
    today_usd: float
    month_to_date_usd: float


class BudgetView(Struct, frozen=True, kw_only=True):
    """A budget, what is spent of it, and where its month will end. Quantiles are of the whole month."""

    name: str
    usd_per_month: float
    spent_usd: float
    period_start: datetime
    period_end: datetime
    p10_usd: float | None
    p50_usd: float | None
    p90_usd: float | None
    outlook: Outlook


class GapView(Struct, frozen=True, kw_only=True):
    """Messages of an input that were gone from Kafka when they were to be read."""

    source: str  # topic, partition and offsets
    cause: str
    most_events: int | None  # at most so many; None: that can't be known
    began_at: datetime
    ended_at: datetime | None  # None: no message has followed yet
    may_be_missing_usd: float | None  # at the pace of the day before
    incident_id: str | None


def gap_view(gap: GapRow, now: datetime) -> GapView:
    """A gap as it is shown."""
    return GapView(
        source=gap.source,
        cause=str(gap.cause),
        most_events=gap.most_events,
        began_at=gap.began_at,
        ended_at=gap.ended_at,
        may_be_missing_usd=gap.usd(now),
        incident_id=gap.incident_id,
    )


class NoticeView(Struct, frozen=True, kw_only=True):
    """What was, or would have been, said to a channel, and what became of it."""

    at: datetime
    channel: str
    subject: str
    subject_id: str
    step: str
    reason: str
    title: str
    state: str
    attempts: int
    detail: str
    hushed: str | None = None  # why it was held back


class Overview(Struct, frozen=True, kw_only=True):
    """Everything at one glance. Amounts are estimates from telemetry and tokens until the bill arrives."""

    as_of: datetime
    data_at: datetime | None  # the latest minute of any workload
    data_age_s: float | None
    usd_per_hour: float  # of workloads whose telemetry is fresh
    silent_usd_per_hour: float  # last known rate of workloads that have fallen silent
    silent_workloads: int
    today_usd: float
    month_to_date_usd: float
    month_forecast_usd: float | None
    accelerators: Accelerators
    idle_usd_per_hour: float
    idle: tuple[IdleView, ...]
    teams: tuple[TeamView, ...]
    incidents: tuple[Incident, ...]  # open ones, loudest first
    budgets: tuple[BudgetView, ...]
    notices: tuple[NoticeView, ...]  # the latest
    rejects: dict[str, int]  # events set aside, by reason
    stopped: tuple[StopRow, ...] = ()  # partitions that are not read
    gaps: tuple[GapView, ...] = ()  # of the last days, the latest first


def outlook(usd_per_month: float, spent_usd: float, forecast: ForecastRow | None) -> Outlook:
    """How the month will end, by what is spent and what is forecast."""
    if spent_usd > usd_per_month:
        return Outlook.BROKEN
    if forecast is None:
        return Outlook.NO_FORECAST
    if forecast.p50_usd > usd_per_month:
        return Outlook.WILL_BREAK
    return Outlook.AT_RISK if forecast.p90_usd > usd_per_month else Outlook.ON_COURSE
