"""Lost telemetry: a workload that reported regularly and has fallen silent while the rest went on.

Silence is judged by the stream's own clock, and counts only while others are heard: a stream that stands still raises
nothing, neither then nor when it goes on. One event for each request has no rhythm, and accelerators given to nobody,
or given to another workload, are not lost.
"""

from dataclasses import dataclass

import numpy as np

from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import Fleet

_PLANNED = ("scale",)


@dataclass(frozen=True)
class DataGapDetector:
    """Finds workloads not heard of for `after_s`, or for `spans` of their own rhythm if that is longer."""

    after_s: float = 900.0
    spans: float = 3.0
    min_reports: int = 10  # a workload that has hardly begun has no rhythm yet
    deaf_after_s: float = 300.0  # nothing at all for longer (and for two spans of its own): no workload's fault
    forget_after_s: float = 86_400.0  # then it counts as ended
    name: str = "data_gap"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Note who reported; say who has been lost and who is back."""
        workloads = fleet.workloads
        for stream in ("gpu", "usage"):
            workloads.declare(f"gap_{stream}_s", "f8", 0.0)
            workloads.declare(f"gap_{stream}_span_s", "f8", 0.0)
            workloads.declare(f"gap_{stream}_deaf_s", "f8", 0.0)
            workloads.declare(f"gap_{stream}_reports", "i4", 0)
        workloads.declare("gap_others_s", "f8", 0.0)
        for name in ("gap_open", "gap_was_idle", "idle_open"):
            workloads.declare(name, "?", False)
        workloads.declare("gap_began_s", "f8", 0.0)
        workloads.declare("gap_usd_per_hour", "f8", 0.0)
        if not len(workloads):
            return []
        if minute.others_heard:
            workloads.column("gap_others_s")[:] = minute.end_s
        heard = ("gap_gpu_s", "gap_usage_s", "gap_others_s")
        deaf_s = minute.end_s - max(float(workloads.column(name).max()) for name in heard)
        hears = bool(len(minute.devices.row) or len(minute.usage.row))
        self._take(fleet, minute)
        silent = np.zeros(len(workloads), dtype=bool)
        back = np.ones(len(workloads), dtype=bool)
        last_s = np.full(len(workloads), np.inf)
        for stream in ("gpu", "usage"):
            heard_s, span_s = workloads.column(f"gap_{stream}_s"), workloads.column(f"gap_{stream}_span_s")
            watched = (workloads.column(f"gap_{stream}_reports") >= self.min_reports) & (span_s > 0)
            deaf = deaf_s > np.maximum(self.deaf_after_s, 2.0 * span_s)
            excused_s = workloads.column(f"gap_{stream}_deaf_s")
            excused_s[:] = np.where(heard_s == minute.end_s, 0.0, excused_s + deaf * hears * deaf_s)
            lost = watched & (minute.end_s - heard_s - excused_s > np.maximum(self.after_s, self.spans * span_s))
            silent |= lost & (hears | ~deaf)
            back &= ~lost
            last_s = np.where(lost, np.minimum(last_s, heard_s), last_s)
        open_, began_s = workloads.column("gap_open"), workloads.column("gap_began_s")
        findings = []
        for row in np.flatnonzero(silent & ~open_).tolist():
            if minute.end_s - last_s[row] > self.forget_after_s or self._explained(fleet, minute, row, last_s[row]):
                continue
            open_[row], began_s[row] = True, last_s[row]
            findings.append(self._lost(fleet, minute, row))
        ended = open_ & (back | (minute.end_s - began_s > self.forget_after_s))
        for row in np.flatnonzero(ended).tolist():
            findings.append(self._back(fleet, minute, row))
            open_[row] = False
            if not back[row]:  # ended for good: begin anew should it ever report again
                for stream in ("gpu", "usage"):
                    workloads.column(f"gap_{stream}_reports")[row] = 0
        return findings

    @staticmethod
    def _take(fleet: Fleet, minute: Minute) -> None:
        workloads = fleet.workloads
        rows = np.flatnonzero(np.bincount(minute.devices.workload))
        if len(rows):
            spans = np.zeros(len(workloads))
            np.maximum.at(spans, minute.devices.workload, minute.devices.last_span_s)
            rate = np.bincount(
                minute.devices.workload, weights=np.nan_to_num(minute.devices.usd_per_hour), minlength=len(workloads)
            )
            workloads.column("gap_gpu_s")[rows] = minute.end_s
            workloads.column("gap_gpu_span_s")[rows] = spans[rows]
            workloads.column("gap_gpu_reports")[rows] += 1
            workloads.column("gap_was_idle")[rows] = workloads.column("idle_open")[rows]
            workloads.column("gap_usd_per_hour")[rows] = rate[rows]
        if len(minute.usage.row):
            workloads.column("gap_usage_s")[minute.usage.row] = minute.end_s
            workloads.column("gap_usage_span_s")[minute.usage.row] = minute.usage.span_s
            workloads.column("gap_usage_reports")[minute.usage.row] += 1

    @staticmethod
    def _explained(fleet: Fleet, minute: Minute, row: int, last_s: float) -> bool:
        """Given to nobody, moved to others, scaled by people, or stopped while idle: silence is then no loss."""
        if fleet.workloads.keys[row].endswith("//") or fleet.workloads.column("gap_was_idle")[row]:
            return True
        scaled = any(
            at == row and abs(when - last_s) <= 1800 and kind in _PLANNED for at, when, kind, _ in minute.changes
        )
        had = fleet.workloads.column("gap_gpu_reports")[row] > 0
        moved = bool(had and not np.any(fleet.devices.column("workload") == row))
        usage_lost = fleet.workloads.column("gap_usage_s")[row] == last_s
        return scaled or (moved and not usage_lost)

    def _lost(self, fleet: Fleet, minute: Minute, row: int) -> Finding:
        began_s = float(fleet.workloads.column("gap_began_s")[row])
        silent_s = minute.end_s - began_s
        rate = float(fleet.workloads.column("gap_usd_per_hour")[row])
        return Finding(
            kind=Kind.DATA_GAP,
            cause=Cause.TELEMETRY_LOST,
            at=minute.known_at,
            began_at=moment(began_s),
            workload=fleet.workloads.keys[row],
            team=fleet.teams[row],
            usd_per_hour=round(rate, 6),  # what goes unseen, not what is wasted
            observed=silent_s,
            expected=float(
                max(fleet.workloads.column("gap_gpu_span_s")[row], fleet.workloads.column("gap_usage_span_s")[row])
            ),
            unit="s_between_reports",
            confidence=0.9,
            evidence={"silent_s": silent_s},
        )

    @staticmethod
    def _back(fleet: Fleet, minute: Minute, row: int) -> Finding:
        began_s = float(fleet.workloads.column("gap_began_s")[row])
        return Finding(
            kind=Kind.DATA_GAP,
            cause=Cause.TELEMETRY_LOST,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(minute.end_s),
            workload=fleet.workloads.keys[row],
            team=fleet.teams[row],
            cleared=True,
            unit="s_between_reports",
            evidence={"silent_s": minute.end_s - began_s},
        )
