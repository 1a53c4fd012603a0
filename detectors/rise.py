"""What is said of spend that lies over what is usual: by how much an hour, since when, and why."""

from datetime import datetime

from detectors import bins
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import Fleet


def rise(
    fleet: Fleet,
    minute: Minute,
    row: int,
    kept: str,
    *,
    observed: float,
    expected: float,
    record: float,
    ended_at: datetime | None,
    window_s: float,
    **evidence: float,
) -> Finding:
    """The finding of a rise whose columns begin with `kept`; observed, expected and record: USD an hour of volume."""
    workloads = fleet.workloads
    factor = float(workloads.column("volume_factor")[row])
    began_s = float(workloads.column(f"{kept}_since_s")[row])
    observed, expected = observed * factor, expected * factor
    return Finding(
        kind=Kind.ANOMALY,
        cause=list(Cause)[int(workloads.column(f"{kept}_cause")[row])],
        at=minute.known_at,
        began_at=moment(began_s),
        ended_at=ended_at,
        workload=workloads.keys[row],
        team=fleet.teams[row],
        cleared=ended_at is not None,
        usd_per_hour=0.0 if ended_at is not None else round(max(observed - expected, 0.0), 6),
        usd_so_far=round(float(workloads.column(f"{kept}_excess_usd")[row]) * factor, 6),
        observed=round(observed, 6),
        expected=round(expected, 6),
        confidence=0.9,
        evidence={"record_usd_per_hour": round(record * factor, 6), **evidence, "window_s": window_s},
        changes=bins.changes_near(minute, row, began_s),
    )
