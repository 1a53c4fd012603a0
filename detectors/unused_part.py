"""Accelerators of a workload that nobody uses, while its others work: two of a job's eight that it never asked for.

What the idle detector knows of each accelerator is looked at every few minutes. Requests can't be told apart by
accelerator, and one that serves them in bursts may look unused: where a workload serves, its memory must be empty, too.
A workload that is idle as a whole is the idle detector's, and is never told here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind
from detectors.minute import Floats, Minute, Owned, Rows, moment, names_of, usd_by_month_end
from detectors.panel import OVERFLOW, Fleet

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Accelerators by what they do. unused: (device rows,); the rest: (workloads,)."""

    unused: NDArray[np.bool_]
    n_unused: NDArray[np.int64]
    n_used: NDArray[np.int64]
    usd_per_hour: Floats  # of the unused


@dataclass(frozen=True)
class UnusedPartDetector:
    """Finds accelerators that have not been used for `after_s` in a workload whose others have been."""

    after_s: float = 3600.0  # longer than for a whole workload: the stages of a job take turns
    every_s: int = 300
    min_families: int = 2  # that agree on quiet; three where requests come: its memory is empty, too
    memory_empty_ratio: float = 0.02
    stale_spans: float = 3.0
    stale_after_s: float = 300.0
    name: str = "unused_part"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Every few minutes: tell accelerators apart, and say which workloads have some of either sort."""
        self._declare(fleet)
        if minute.end_s % self.every_s or not len(fleet.devices) or not fleet.devices.known("quiet_since_s"):
            return []
        parts = self._tell_apart(fleet, minute.end_s)
        workloads = fleet.workloads
        open_, began = workloads.column("part_open"), workloads.column("part_began_s")
        usd, rate = workloads.column("part_usd"), workloads.column("part_usd_per_hour")
        holds = (parts.n_unused > 0) & (parts.n_used > 0) & ~workloads.column("idle_open")
        for row in np.flatnonzero(holds & ~open_).tolist():
            holds[row] = not (workloads.keys[row].endswith("//") or workloads.keys[row] == OVERFLOW)
        over = open_ & ~holds
        usd[open_] += (rate * self.every_s / 3600.0)[open_]
        rate[holds] = parts.usd_per_hour[holds]
        findings = []
        owned = Owned(fleet.devices.column("workload"), parts.unused) if holds.any() else None
        for row in np.flatnonzero(holds | over).tolist():
            mine = np.zeros(0, dtype=np.int64) if owned is None else owned.of(row)
            if holds[row] and not open_[row]:
                self._begin(fleet, row, mine, minute.end_s)
            figures = float(parts.n_unused[row]), float(parts.n_used[row])
            findings.append(self._say(fleet, minute, row, mine, *figures, ended=bool(over[row])))
        open_[:] = holds
        began[~holds] = 0.0
        return findings

    @staticmethod
    def _declare(fleet: Fleet) -> None:
        for name in ("began_s", "usd", "usd_per_hour"):
            fleet.workloads.declare(f"part_{name}", "f8", 0.0)
        fleet.workloads.declare("part_open", "?", False)

    def _tell_apart(self, fleet: Fleet, end_s: int) -> Parts:
        devices, workloads, count = fleet.devices, fleet.workloads, len(fleet.workloads)
        owner, seen_s = devices.column("workload"), devices.column("seen_s")
        limit_s = np.maximum(self.stale_spans * devices.column("span_s"), self.stale_after_s)
        fresh = (owner >= 0) & (end_s - seen_s <= limit_s)
        quiet_since_s = devices.column("quiet_since_s")
        quiet = fresh & (quiet_since_s > 0) & ~devices.column("busy") & (seen_s - quiet_since_s >= self.after_s)
        serving = end_s - workloads.column("usage_s") < DAY_S
        at = np.maximum(owner, 0)
        empty = devices.column("memory_used_ratio") < self.memory_empty_ratio  # an unknown is not empty
        unused = quiet & (devices.column("families") >= self.min_families) & (empty | ~serving[at])
        return Parts(
            unused=unused,
            n_unused=np.bincount(owner[unused], minlength=count),
            n_used=np.bincount(owner[fresh & ~quiet], minlength=count),
            usd_per_hour=np.bincount(
                owner[unused], weights=devices.column("usd_per_hour")[unused], minlength=count
            ).astype(np.float64),
        )

    @staticmethod
    def _begin(fleet: Fleet, row: int, mine: Rows, end_s: int) -> None:
        """It began when the first of them was used last; each costs from when it was."""
        devices, workloads = fleet.devices, fleet.workloads
        since_s = devices.column("quiet_since_s")[mine]
        workloads.column("part_began_s")[row] = since_s.min()
        hours = (end_s - since_s) / 3600.0
        workloads.column("part_usd")[row] = float((devices.column("usd_per_hour")[mine] * hours).sum())

    @staticmethod
    def _say(
        fleet: Fleet, minute: Minute, row: int, mine: Rows, n_unused: float, n_used: float, *, ended: bool
    ) -> Finding:
        workloads = fleet.workloads
        began_s = float(workloads.column("part_began_s")[row])
        usd, rate = float(workloads.column("part_usd")[row]), float(workloads.column("part_usd_per_hour")[row])
        evidence = {"unused_s": minute.end_s - began_s, "wasted_usd": round(usd, 6)}
        if not ended:
            evidence |= {"accelerators": n_unused, "used_accelerators": n_used}
        return Finding(
            kind=Kind.WASTE,
            cause=Cause.UTILIZATION,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(minute.end_s) if ended else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            model=fleet.models[int(mine[0])] if len(mine) else None,
            devices=names_of(fleet, mine),
            cleared=ended,
            usd_per_hour=0.0 if ended else round(rate, 6),
            usd_so_far=round(usd, 6),
            usd_if_ignored=None if ended else usd_by_month_end(usd, rate, minute.end_s),
            observed=n_used,
            expected=n_used + n_unused,
            unit="accelerators",
            confidence=0.9,
            evidence=evidence,
        )
