"""A complete minute: what all workloads and accelerators of a partition did, as columns.

A minute closes by event time. Only rows that reported are in it; what was not reported is NaN, never zero.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Finding
from detectors.panel import Fleet

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DeviceMinute:
    """Accelerators that reported: arrays of (n,), one entry for each device row."""

    row: Rows  # in Fleet.devices, ascending
    workload: Rows  # in Fleet.workloads
    span_s: Floats  # seconds that the samples cover together
    last_span_s: Floats  # seconds of the latest sample
    util_ratio: Floats  # largest of the minute, NaN unknown
    engine_active_ratio: Floats
    sm_active_ratio: Floats
    tensor_active_ratio: Floats
    memory_used_ratio: Floats  # of the latest sample
    power_w: Floats  # largest
    usd_per_hour: Floats  # NaN where no price is known


@dataclass(frozen=True, slots=True)
class UsageMinute:
    """Workloads that reported requests and tokens: arrays of (m,), one entry for each workload row."""

    row: Rows  # in Fleet.workloads, ascending
    span_s: Floats  # longest span of the events that ended in this minute; 0: single requests
    requests: Floats
    errors: Floats
    input_tokens: Floats
    output_tokens: Floats
    running: Floats  # gauges of the latest event, NaN unknown
    waiting: Floats
    usd: Floats
    reference_usd: Floats  # the same tokens at the first price known for their model


@dataclass(frozen=True, slots=True)
class UnpricedUse:
    """Usage in this minute that no price source knows."""

    workload: int
    model: str
    tokens: float
    gpu_s: float


@dataclass(frozen=True, slots=True)
class Minute:
    """Sixty seconds that are complete."""

    end_s: int  # epoch seconds; the minute is [end_s - 60, end_s)
    lateness_s: int  # how long it was kept open for late events
    devices: DeviceMinute
    usage: UsageMinute
    unpriced: tuple[UnpricedUse, ...] = ()
    others_heard: bool = False  # this partition is silent while the rest of the service goes on
    changes: tuple[tuple[int, int, str, str], ...] = ()  # workload row, epoch seconds, kind, summary: the last day's

    @property
    def known_at(self) -> datetime:
        """The event time at which a person can be told what this minute shows."""
        return moment(self.end_s + self.lateness_s)


class Detector(Protocol):
    """Watches every workload of a partition. Pure: the same state and minute give the same answer, always.

    A detector reads no clock (time is the minute it is given), opens no socket and logs nothing.
    It judges a minute before it learns from it, and does not learn from what it calls odd.
    """

    @property
    def name(self) -> str:
        """What it is called in logs and settings."""

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Advance every row by one complete minute, in place; return what there is to say."""


@runtime_checkable
class Sleeper(Protocol):
    """A detector whose state moves on while a workload is silent; without it, silence of two days changes nothing."""

    def sleep(self, fleet: Fleet, rows: Rows, since_s: Floats, until_s: int) -> None:
        """Do to workload rows what the silence between two moments would have done. since_s: (n_rows,), epoch s."""


def moment(epoch_s: float) -> datetime:
    """Epoch seconds as an aware moment in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC)


def usd_by_month_end(usd_so_far: float, usd_per_hour: float, at_s: float) -> float:
    """What it will have cost when the month (UTC) of `at_s` ends, should it go on like this."""
    at = moment(at_s)
    ends = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return round(usd_so_far + usd_per_hour * (ends - at).total_seconds() / 3600.0, 6)


def names_of(fleet: Fleet, device_rows: Rows, limit: int = 64) -> tuple[str, ...]:
    """Names of device rows, in order, at most `limit`."""
    return tuple(fleet.devices.keys[row] for row in device_rows[:limit].tolist())


class Owned:
    """Accelerators by workload row: each of many workloads finds its own without a look at all the others."""

    def __init__(self, owner: NDArray[np.int32], chosen: NDArray[np.bool_] | None = None) -> None:
        """owner: (device rows,), -1 for none; chosen: which rows count, all where it is None."""
        rows = np.flatnonzero(owner >= 0 if chosen is None else chosen & (owner >= 0))
        order = np.argsort(owner[rows], kind="stable")
        self._rows, self._owners = rows[order], owner[rows][order]

    def of(self, workload: int) -> Rows:
        """Device rows of a workload row, ascending."""
        begin, end = np.searchsorted(self._owners, (workload, workload + 1))
        return self._rows[begin:end]
