"""How event time advances, how much is kept in mind, and what is worth saying."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from console.settings_types import Count, Duration, Number, Ratio, Section

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class Stream(Section):
    """How event time advances, and how much is kept in mind. Every bound keeps memory bounded."""

    cluster: Annotated[str, Field(pattern=r"^[^/\x00-\x1f]{1,128}$")] = Field(
        default="default",
        description="Cluster of telemetry that names none, as metrics of other systems often don't.",
    )
    allowed_lateness: Duration = Field(
        default=timedelta(seconds=120),
        ge=timedelta(0),
        le=DAY,
        description="How long a minute waits for late events before it is judged. Longer sees more, and says it later.",
    )
    silence_after: Duration = Field(
        default=timedelta(minutes=1),
        ge=timedelta(seconds=1),
        le=DAY,
        description="An input without unread messages no longer holds the clock back when it has been silent so long.",
    )
    horizon_hours: Count = Field(
        default=48,
        ge=1,
        le=24 * 31,
        description="Hours for which late corrections and duplicates are recognised. Costs memory with the event rate.",
    )
    retention_days: Count = Field(
        default=400,
        ge=1,
        le=3660,
        description="Days for which the store keeps facts; older events are set aside. 400 covers a year and a month.",
    )
    max_events_ahead_s: Count = Field(
        default=300,
        ge=0,
        le=86400,
        description="Seconds that an event may be ahead of the clock; one further ahead is set aside.",
    )
    max_message_bytes: Count = Field(
        default=1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Bytes of the largest message that is decoded; a larger one is set aside.",
    )
    max_workloads: Count = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Workloads kept apart; the dollars of more are still counted, together.",
    )
    max_devices: Count = Field(
        default=200_000,
        ge=1,
        le=10_000_000,
        description="Accelerators kept apart; the dollars of more are still counted, together.",
    )
    max_bad_in_a_row: Count = Field(
        default=1_000,
        ge=1,
        le=10_000_000,
        description="Unusable messages in a row that a partition may have. One more stops it, and pages.",
    )
    max_bad_ratio: Ratio = Field(
        default=0.5,
        description="Share of the latest `bad_window` messages that may be unusable. More stops the partition.",
    )
    bad_window: Count = Field(
        default=10_000, ge=1, le=10_000_000, description="Messages of each input over which `max_bad_ratio` is taken."
    )


class IdleDetection(Section):
    """When an accelerator counts as idle: all its evidence says so, for long enough. Unknown is not idle."""

    after: Duration = Field(
        default=timedelta(minutes=30),
        ge=MINUTE,
        le=30 * DAY,
        description="How long all evidence must say idle before it is told. Shorter alarms on pauses between jobs.",
    )
    util_below_ratio: Ratio = Field(
        default=0.05, description="A utilisation (share of time with a kernel resident, 0 to 1) below this says idle."
    )
    sm_below_ratio: Ratio = Field(
        default=0.05,
        description="An activity of the multiprocessors (0 to 1) below this says idle, whatever the utilisation says.",
    )
    min_families: Count = Field(
        default=2, ge=2, le=5, description="Independent kinds of evidence that must agree. One alone is never enough."
    )


class AnomalyDetection(Section):
    """When spend counts as unlike a workload's own past."""

    min_history_hours: Count = Field(
        default=48,
        ge=1,
        le=24 * 90,
        description="Hours of history before a workload is judged; a younger one has no usual.",
    )
    floor_usd_per_hour: Number = Field(
        default=0.50, ge=0.0, le=1e6, description="Excess below this many USD an hour is not told, however unusual."
    )
    floor_ratio: Number = Field(
        default=0.3,
        ge=0.0,
        le=100.0,
        description="Excess below this share of the expected spend is not told (0.3 is 30 percent).",
    )
    record_margin: Number = Field(
        default=1.6,
        gt=1.0,
        le=100.0,
        description="Ten minutes must cost this many times the dearest ten minutes before. Lower alarms more often.",
    )


class DataGapDetection(Section):
    """When telemetry counts as lost."""

    after: Duration = Field(
        default=timedelta(minutes=15),
        ge=MINUTE,
        le=7 * DAY,
        description="How long a workload that used to report may be silent. At least twice its reporting interval.",
    )


class Detection(Section):
    """What is worth saying."""

    idle: IdleDetection = Field(default=IdleDetection(), description="Accelerators that are paid for and not used.")
    anomaly: AnomalyDetection = Field(default=AnomalyDetection(), description="Spend that is unlike its own past.")
    data_gap: DataGapDetection = Field(default=DataGapDetection(), description="Telemetry that has been lost.")
