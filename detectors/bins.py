"""Ten minutes of a workload: what it used and paid, added up from minutes, and what it usually does."""

import numpy as np
from numpy.typing import NDArray

from detectors.cause import Shape, cause_of, shares_usd
from detectors.findings import Cause
from detectors.minute import Minute
from detectors.panel import Fleet

BIN_S = 600
BINS_AN_HOUR = 3600 // BIN_S
HOURS_A_DAY = 24
SUMS = ("usd", "gpu_usd", "requests", "tokens", "reference_usd", "errors")
USUAL_HALF_LIFE_H = 168.0
RECENT_HALF_LIFE_H = 6.0
USUAL_RATE = 1.0 - 0.5 ** (1.0 / (USUAL_HALF_LIFE_H * BINS_AN_HOUR))  # a bin

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


def declare(fleet: Fleet) -> None:
    """The columns kept here: the bin that fills, and slow and quick means of the bins before it."""
    workloads = fleet.workloads
    for name in SUMS:
        for scale in ("bin", "usual", "recent"):
            workloads.declare(f"{scale}_{name}", "f8", 0.0)
    for name in ("bins", "first_bin_s"):
        workloads.declare(name, "f8", 0.0)
    workloads.declare("bin_reported", "?", False)


def add(fleet: Fleet, minute: Minute) -> None:
    """Add a minute to the bin of its workloads."""
    workloads, devices, usage = fleet.workloads, minute.devices, minute.usage
    if len(devices.row):
        usd = np.nan_to_num(devices.usd_per_hour) * devices.span_s / 3600.0
        per_row = np.bincount(devices.workload, weights=usd, minlength=len(workloads))
        workloads.column("bin_usd")[:] += per_row
        workloads.column("bin_gpu_usd")[:] += per_row
        workloads.column("bin_reported")[devices.workload] = True
    if len(usage.row):
        workloads.column("bin_usd")[usage.row] += usage.usd
        workloads.column("bin_requests")[usage.row] += usage.requests
        workloads.column("bin_tokens")[usage.row] += usage.input_tokens + usage.output_tokens
        workloads.column("bin_reference_usd")[usage.row] += np.nan_to_num(usage.reference_usd)
        workloads.column("bin_errors")[usage.row] += usage.errors
        workloads.column("bin_reported")[usage.row] = True


def days_known(fleet: Fleet, end_s: float) -> Floats:
    """Days since each workload was first heard of; notes those that report for the first time."""
    first, reported = fleet.workloads.column("first_bin_s"), fleet.workloads.column("bin_reported")
    first[(first == 0) & reported] = end_s
    known: Floats = np.where(first > 0, (end_s - first) / 86_400.0, 0.0)
    return known


def learn(fleet: Fleet, calm: Flags) -> None:
    """Take the full bin into the quick means, and into the slow ones where the workload is `calm`."""
    workloads = fleet.workloads
    bins, reported = workloads.column("bins"), workloads.column("bin_reported")
    bins[calm & reported] += 1
    slow = np.maximum(USUAL_RATE, 1.0 / np.maximum(bins, 1.0))
    quick = 1.0 - 0.5 ** (1.0 / (RECENT_HALF_LIFE_H * BINS_AN_HOUR))
    for name in SUMS:
        value = workloads.column(f"bin_{name}")
        usual, recent = workloads.column(f"usual_{name}"), workloads.column(f"recent_{name}")
        usual[:] = np.where(calm & reported, usual + slow * (value - usual), usual)
        recent[:] = np.where(reported, recent + quick * (value - recent), recent)


def clear(fleet: Fleet) -> None:
    """Begin a new bin."""
    for name in SUMS:
        fleet.workloads.column(f"bin_{name}")[:] = 0.0
    fleet.workloads.column("bin_reported")[:] = False


def shape(fleet: Fleet, scale: str, row: int) -> Shape:
    """One row's bin, usual or recent figures, for naming a cause."""
    values = {name: float(fleet.workloads.column(f"{scale}_{name}")[row]) for name in SUMS if name != "errors"}
    return Shape(**values)


def volume_cause(fleet: Fleet, scale: str, row: int) -> Cause:
    """Why a row's volume rose from its usual to its bin or recent figures. A price is told elsewhere."""
    cause = cause_of(shape(fleet, "usual", row), shape(fleet, scale, row))
    return Cause.REQUEST_RATE if cause in (Cause.PRICE, Cause.UNKNOWN) else cause


def shares_per_hour(fleet: Fleet, scale: str, row: int) -> dict[str, float]:
    """By what a row's spend rose from its usual to its bin or recent figures: evidence, in USD an hour."""
    shares = shares_usd(shape(fleet, "usual", row), shape(fleet, scale, row))
    return {f"by_{cause}_usd_per_hour": round(usd * BINS_AN_HOUR, 6) for cause, usd in shares.items()}


def changes_near(minute: Minute, row: int, began_s: float, near_s: float = 7200.0) -> tuple[str, ...]:
    """What people did to the workload around a moment, the nearest first."""
    near = sorted((abs(began_s - at), kind, text) for who, at, kind, text in minute.changes if who == row)
    return tuple(f"{kind}: {text}" for gap_s, kind, text in near if gap_s <= near_s)
