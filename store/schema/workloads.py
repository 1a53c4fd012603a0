"""Who is there: workloads and their accelerators."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from store.schema.row import Key, Row


class Workload(Row):
    """The team that a workload was last known to belong to."""

    __tablename__ = "workloads"

    workload: Mapped[Key]
    team: Mapped[str | None]
    seen_at: Mapped[datetime]


class Status(Row):
    """A workload as its latest complete minute shows it."""

    __tablename__ = "statuses"

    workload: Mapped[Key]
    team: Mapped[str | None]
    at: Mapped[datetime]
    state: Mapped[str]
    usd_per_hour: Mapped[float]
    devices: Mapped[int]
    idle_devices: Mapped[int]
    gpu_model: Mapped[str | None]
    util_ratio: Mapped[float | None]
    power_w: Mapped[float | None]
    tokens_per_minute: Mapped[float | None]
    idle_since: Mapped[datetime | None]


class Device(Row):
    """Where an accelerator was seen last: with which workload, and when."""

    __tablename__ = "devices"
    __table_args__ = (Index("devices_by_workload", "workload", "at"),)

    device: Mapped[Key]
    workload: Mapped[str]
    at: Mapped[datetime]
    gpu_model: Mapped[str | None]
