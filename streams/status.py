"""What each workload costs and does now: the latest complete minute, for people to look at and for second looks."""

import numpy as np
from numpy.typing import NDArray

from alerts.scale_down_proof import SIGHTED_EVERY_S
from detectors.idle import IdleDetector
from detectors.minute import Minute, Owned, moment
from detectors.panel import OVERFLOW, Fleet
from store.facts import DeviceRow, StatusRow, WorkloadState


class Statuses:
    """Collects which workloads reported since the last look, and describes them."""

    def __init__(self, idle: IdleDetector) -> None:
        """Uses the idle detector's own view of accelerators, so that both always agree."""
        self._idle = idle
        self._rows: set[int] = set()
        self._sighted: set[int] = set()  # accelerators to be put on record
        self._end_s = 0

    @staticmethod
    def declare(fleet: Fleet) -> None:
        """The columns that are kept here."""
        fleet.workloads.declare("status_s", "f8", 0.0)
        fleet.workloads.declare("token_usd_per_hour", "f8", 0.0)
        fleet.workloads.declare("tokens_per_minute", "f8", np.nan)
        fleet.devices.declare("status_owner", "i4", -1, owner=True)
        fleet.devices.declare("recorded_s", "f8", 0.0)

    def take(self, fleet: Fleet, minute: Minute) -> None:
        """Note a complete minute. Who gave up an accelerator has reported, too: it is seen with someone else."""
        self.declare(fleet)
        workloads = fleet.workloads
        usage = minute.usage
        if len(usage.row):
            span_s = np.maximum(usage.span_s, 60.0)
            workloads.column("token_usd_per_hour")[usage.row] = usage.usd * 3600.0 / span_s
            tokens = usage.input_tokens + usage.output_tokens
            workloads.column("tokens_per_minute")[usage.row] = tokens * 60.0 / span_s
        owners = fleet.devices.column("status_owner")
        before = owners[minute.devices.row]
        given_up = before[(before >= 0) & (before != minute.devices.workload)]
        owners[minute.devices.row] = minute.devices.workload
        self._sight(fleet, minute, before != minute.devices.workload)
        rows = np.union1d(np.union1d(minute.devices.workload, usage.row), given_up)
        workloads.column("status_s")[rows] = minute.end_s
        self._rows.update(rows.tolist())
        self._end_s = minute.end_s

    def _sight(self, fleet: Fleet, minute: Minute, changed: NDArray[np.bool_]) -> None:
        """Put accelerators on record that have another owner, and those whose record has grown old: a few at a time."""
        rows, recorded_s = minute.devices.row, fleet.devices.column("recorded_s")
        due = changed | (minute.end_s - recorded_s[rows] >= SIGHTED_EVERY_S)
        minutes_spread = int(SIGHTED_EVERY_S) // 60
        spread_s = 60.0 * (rows % minutes_spread)  # so that not all records grow old in the same minute
        recorded_s[rows[due]] = minute.end_s - np.where(changed, spread_s, 0.0)[due]
        self._sighted.update(rows[due].tolist())

    def drain_devices(self, fleet: Fleet) -> list[DeviceRow]:
        """Accelerators to be put on record, by name; those that share a row have no owner that is known."""
        if not self._sighted:
            return []
        owners, seen_s = fleet.devices.column("status_owner"), fleet.devices.column("seen_s")
        rows = [
            DeviceRow(
                device=fleet.devices.keys[row],
                workload=fleet.workloads.keys[int(owners[row])],
                at=moment(float(seen_s[row])),
                gpu_model=fleet.models[row],
            )
            for row in sorted(self._sighted, key=lambda row: fleet.devices.keys[row])
            if fleet.devices.keys[row] != OVERFLOW
        ]
        self._sighted.clear()
        return rows

    def drain(self, fleet: Fleet) -> list[StatusRow]:
        """Workloads that reported since the last call, by name."""
        if not self._rows:
            return []
        found = self._idle.gather(fleet, float(self._end_s))
        devices = fleet.devices
        owner, silence_s = devices.column("workload"), self._end_s - devices.column("seen_s")
        fresh = silence_s <= np.maximum(self._idle.stale_spans * devices.column("span_s"), self._idle.stale_after_s)
        rows = []
        owned = Owned(owner, fresh)
        for row in sorted(self._rows, key=lambda row: fleet.workloads.keys[row]):
            mine = owned.of(row)
            quiet = bool(found.fresh[row] and not found.busy[row])
            evident = quiet and found.families[row] >= self._idle.min_families
            evident = evident and bool(found.requests_known[row] or not found.serves[row])
            age_s = self._end_s - fleet.workloads.column("usage_s")[row]
            live = age_s <= max(3.0 * float(fleet.workloads.column("usage_span_s")[row]), 600.0)
            state = WorkloadState.UNKNOWN
            tokens = float(fleet.workloads.column("tokens_per_minute")[row])
            if found.busy[row] or (live and not len(mine) and tokens > 0):
                state = WorkloadState.BUSY
            elif evident and found.until_s[row] > found.since_s[row]:
                state = WorkloadState.IDLE
            token_usd = float(fleet.workloads.column("token_usd_per_hour")[row]) if live else 0.0
            util, power = devices.column("util_ratio")[mine], devices.column("power_w")[mine]
            rows.append(
                StatusRow(
                    workload=fleet.workloads.keys[row],
                    team=fleet.teams[row],
                    at=moment(float(fleet.workloads.column("status_s")[row])),
                    state=state,
                    usd_per_hour=round(float(found.usd_per_hour[row]) + token_usd, 6),
                    devices=len(mine),
                    idle_devices=int((devices.column("quiet_since_s")[mine] > 0).sum()) if evident else 0,
                    gpu_model=fleet.models[int(mine[0])] if len(mine) else None,
                    util_ratio=None if not len(mine) or np.isnan(util).all() else round(float(np.nanmean(util)), 4),
                    power_w=None if not len(mine) or np.isnan(power).all() else round(float(np.nanmean(power)), 1),
                    tokens_per_minute=None if np.isnan(tokens) else round(tokens if live else 0.0, 3),
                    idle_since=moment(float(found.since_s[row])) if state is WorkloadState.IDLE else None,
                )
            )
        self._rows.clear()
        return rows
