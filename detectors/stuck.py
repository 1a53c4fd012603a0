"""Busy without output: kernels sit on the accelerators, and nothing is computed.

Utilisation says that a kernel is resident, not that it works. A workload is stuck while all its accelerators are in use
by that measure, their multiprocessors and their power are near idle, and, where it serves, no request or token came
out. Each of these must be known: utilisation alone, even at 100 percent, is never enough.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind
from detectors.minute import DeviceMinute, Minute, Owned, Rows, moment, names_of, usd_by_month_end
from detectors.panel import Fleet, Panel

UNKNOWN, WORKING, STUCK = 0, 1, 2


@dataclass(frozen=True)
class StuckDetector:
    """Finds workloads whose accelerators have been busy without output for `after_s`. Ratios are 0 to 1."""

    after_s: float = 900.0
    busy_from_ratio: float = 0.9  # utilisation
    active_below_ratio: float = 0.05  # multiprocessors: a kernel that spins in wait shows 0.01 to 0.04
    tensor_below_ratio: float = 0.02
    power_factor: float = 1.6  # times the lowest power seen on the device
    power_margin_w: float = 10.0
    power_ceiling_w: float = 180.0  # no accelerator above this is near idle, whatever its lowest level
    stale_spans: float = 3.0  # silent for so many of its spans, an accelerator or counter is unknown
    stale_after_s: float = 300.0
    gone_after_s: float = 900.0  # an incident whose accelerators are all silent for so long is over
    name: str = "stuck"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Judge each accelerator that reported, then the workloads that have one in question."""
        self._declare(fleet)
        self._take(fleet, minute)
        devices, workloads = fleet.devices, fleet.workloads
        open_, began = workloads.column("stuck_open"), workloads.column("stuck_began_s")
        state = devices.column("stuck_state")
        owner = devices.column("stuck_workload")
        if not (state == STUCK).any() and not open_.any():
            return []
        count = len(workloads)
        silence_s = minute.end_s - devices.column("stuck_seen_s")
        fresh = (owner >= 0) & (
            silence_s <= np.maximum(self.stale_spans * devices.column("stuck_span_s"), self.stale_after_s)
        )
        at = owner[fresh]
        reporting = np.bincount(at, minlength=count)
        stuck = np.bincount(at, weights=state[fresh] == STUCK, minlength=count)
        working = np.bincount(at, weights=state[fresh] == WORKING, minlength=count) > 0
        since, until = np.zeros(count), np.full(count, np.inf)
        np.maximum.at(since, at, devices.column("stuck_since_s")[fresh])
        np.minimum.at(until, at, devices.column("stuck_seen_s")[fresh])
        heard, span = workloads.column("stuck_usage_s"), workloads.column("stuck_usage_span_s")
        serves = heard > 0
        known = ~serves | (
            (span > 0) & (minute.end_s - heard <= np.maximum(self.stale_spans * span, self.stale_after_s))
        )
        output_s = workloads.column("stuck_output_s")
        since = np.maximum(since, output_s)
        until = np.where(serves, np.minimum(until, heard), until)
        holds = (reporting > 0) & (stuck == reporting) & known
        ripe = holds & (until - since >= self.after_s)
        began[ripe & ~open_] = since[ripe & ~open_]
        gone = (reporting == 0) & (minute.end_s - workloads.column("stuck_heard_s") > self.gone_after_s)
        over = open_ & (working | (output_s > began) | gone)
        owned = Owned(owner)
        findings = [
            self._say(fleet, minute, row, owned.of(row), float(until[row]), ended=bool(over[row]))
            for row in np.flatnonzero(ripe | (open_ & holds) | over).tolist()
        ]
        open_[:] = (open_ | ripe) & ~over
        return findings

    @staticmethod
    def _declare(fleet: Fleet) -> None:
        for name in ("seen_s", "span_s", "since_s", "usd_per_hour", "util_ratio", "sm_active_ratio", "power_w"):
            fleet.devices.declare(f"stuck_{name}", "f8", 0.0)
        fleet.devices.declare("stuck_lowest_power_w", "f8", np.inf)
        fleet.devices.declare("stuck_workload", "i4", -1, owner=True)
        fleet.devices.declare("stuck_state", "i1", UNKNOWN)
        for name in ("usage_s", "usage_span_s", "output_s", "heard_s", "began_s"):
            fleet.workloads.declare(f"stuck_{name}", "f8", 0.0)
        fleet.workloads.declare("stuck_open", "?", False)

    def _take(self, fleet: Fleet, minute: Minute) -> None:
        seen, usage, workloads = minute.devices, minute.usage, fleet.workloads
        if len(usage.row):
            workloads.column("stuck_usage_s")[usage.row] = minute.end_s
            workloads.column("stuck_usage_span_s")[usage.row] = usage.span_s
            worked = usage.row[(usage.requests > 0) | (usage.output_tokens > 0)]
            workloads.column("stuck_output_s")[worked] = minute.end_s
        if not len(seen.row):
            return
        panel = fleet.devices
        state = self._judge(panel, seen)
        before, since = panel.column("stuck_state"), panel.column("stuck_since_s")
        limit_s = np.maximum(self.stale_spans * seen.last_span_s, self.stale_after_s)
        lasting = (
            (before[seen.row] == STUCK)
            & (panel.column("stuck_workload")[seen.row] == seen.workload)
            & (minute.end_s - panel.column("stuck_seen_s")[seen.row] <= limit_s)
        )
        since[seen.row] = np.where(state == STUCK, np.where(lasting, since[seen.row], minute.end_s - seen.span_s), 0.0)
        before[seen.row] = state
        panel.column("stuck_seen_s")[seen.row] = minute.end_s
        panel.column("stuck_span_s")[seen.row] = seen.last_span_s
        panel.column("stuck_workload")[seen.row] = seen.workload
        panel.column("stuck_usd_per_hour")[seen.row] = np.nan_to_num(seen.usd_per_hour)
        for name in ("util_ratio", "sm_active_ratio", "power_w"):
            panel.column(f"stuck_{name}")[seen.row] = getattr(seen, name)
        workloads.column("stuck_heard_s")[seen.workload] = minute.end_s

    def _judge(self, panel: Panel, seen: DeviceMinute) -> NDArray[np.int8]:
        """UNKNOWN, WORKING (or plainly unused: in any case not stuck) or STUCK, by reporting accelerator."""
        lowest = panel.column("stuck_lowest_power_w")
        power_w = np.where(seen.power_w > 0, seen.power_w, np.nan)  # no accelerator draws 0 W: that is no reading
        lowest[seen.row] = np.fmin(lowest[seen.row], power_w)
        near_idle_w = np.minimum(lowest[seen.row] * self.power_factor + self.power_margin_w, self.power_ceiling_w)
        quiet = seen.sm_active_ratio < self.active_below_ratio  # quiet tensor cores alone may be another arithmetic
        busy = seen.util_ratio >= self.busy_from_ratio
        active = (seen.sm_active_ratio >= self.active_below_ratio) | (
            seen.tensor_active_ratio >= self.tensor_below_ratio
        )
        against = active | (power_w > near_idle_w) | (seen.util_ratio < self.busy_from_ratio)
        for_ = busy & quiet & (power_w <= near_idle_w) & ~against
        return np.where(for_, STUCK, np.where(against, WORKING, UNKNOWN)).astype(np.int8)

    @staticmethod
    def _say(fleet: Fleet, minute: Minute, row: int, rows: Rows, until_s: float, *, ended: bool) -> Finding:
        workloads, devices = fleet.workloads, fleet.devices
        began_s = float(workloads.column("stuck_began_s")[row])
        rows = rows[devices.column("stuck_seen_s")[rows] > began_s]
        state, seen_s = devices.column("stuck_state")[rows], devices.column("stuck_seen_s")[rows]
        if ended:
            left = rows[(state != STUCK) & (seen_s == minute.end_s)]
            until_s = float(workloads.column("stuck_heard_s")[row])
            if len(left):
                until_s = minute.end_s - float(devices.column("stuck_span_s")[left].max())
            elif workloads.column("stuck_output_s")[row] > began_s:
                until_s = float(workloads.column("stuck_output_s")[row] - workloads.column("stuck_usage_span_s")[row])
            until_s = max(until_s, began_s)
        rate = float(devices.column("stuck_usd_per_hour")[rows].sum())
        lasted_s = until_s - began_s
        wasted = round(rate * max(lasted_s, 0.0) / 3600.0, 6)
        evidence = {"busy_without_output_s": lasted_s, "wasted_usd": wasted, "accelerators": float(len(rows))}
        if not ended:
            for name in ("util_ratio", "sm_active_ratio", "power_w"):
                values = devices.column(f"stuck_{name}")[rows]
                if not np.isnan(values).all():
                    evidence[name] = round(float(np.nanmax(values)), 4)
            if workloads.column("stuck_usage_s")[row] > 0:
                evidence["requests"] = 0.0
        return Finding(
            kind=Kind.WASTE,
            cause=Cause.BUSY_NO_OUTPUT,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(until_s) if ended else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            model=fleet.models[int(rows[0])] if len(rows) else None,
            devices=names_of(fleet, rows),
            cleared=ended,
            usd_per_hour=0.0 if ended else round(rate, 6),
            usd_so_far=wasted,
            usd_if_ignored=None if ended else usd_by_month_end(wasted, rate, minute.end_s),
            observed=0.0,
            expected=round(rate, 6),
            unit="usd_per_hour_used",
            confidence=0.95,
            evidence=evidence,
        )
