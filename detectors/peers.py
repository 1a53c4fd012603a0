"""An accelerator that does less than its group: the same workload, the same work, and one that lags behind.

Once an hour the means of that hour are compared with the median of the workload's accelerators, in spreads of the
group. One that stays far below in its activity for hours is told: a straggler holds up all that wait for it, a broken
link or a hot chip earns nothing for its price. Groups are small (often eight), so that the median and its spread say
more than a forest that must isolate somebody in each of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind
from detectors.groups import median_by_group, unlikeness
from detectors.minute import Floats, Minute, Owned, Rows, moment, names_of, usd_by_month_end
from detectors.panel import OVERFLOW, Fleet

SIGNALS = ("util_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w")


@dataclass(frozen=True)
class PeersDetector:
    """Finds accelerators that have lagged behind their group for `held_hours`. Judges at full hours."""

    min_group: int = 4  # accelerators of a workload: with fewer, nobody knows who is the odd one
    far_spreads: float = 5.0
    near_spreads: float = 2.5  # over again within
    least_ratio: float = 0.05  # spread of a group that agrees, as a share of its median
    least_activity_ratio: float = 0.2  # of which median at least
    lag_ratio: float = 0.25  # below the median by this share of it: less is not worth a look
    busy_from_ratio: float = 0.3  # median of the group: where nobody works, nobody lags
    held_hours: float = 3.0
    known_share: float = 0.5  # of the hour
    most_lagging: float = 0.34  # of a group: more is how the work is shared out
    name: str = "peers"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Add the minute to its hour; compare when one is full."""
        self._declare(fleet)
        self._take(fleet, minute)
        if minute.end_s % 3600 or not len(fleet.devices):
            return []
        devices, workloads = fleet.devices, fleet.workloads
        owner = devices.column("peers_workload")
        lag, odd = self._compare(fleet, owner)
        hours = devices.column("peers_hours")
        known = ~np.isnan(lag)
        hours[known] = np.where(odd[known], hours[known] + 1.0, 0.0)
        lagging = known & (hours >= self.held_hours)
        count = len(workloads)
        n_lagging = np.bincount(owner[lagging], minlength=count)
        n_known = np.bincount(owner[known & (owner >= 0)], minlength=count)
        open_ = workloads.column("peers_open")
        holds = (n_lagging > 0) & (n_lagging <= np.maximum(self.most_lagging * n_known, 1.0)) & (n_known > 0)
        silent = n_known == 0
        loss = np.where(lagging, np.nan_to_num(lag) * devices.column("peers_usd_per_hour"), 0.0)
        rate = np.bincount(owner[lagging], weights=loss[lagging], minlength=count)
        over = open_ & ~holds
        began, usd = workloads.column("peers_began_s"), workloads.column("peers_usd")
        opens = holds & ~open_
        began[opens] = minute.end_s - 3600.0 * self.held_hours
        usd[opens] = (rate * (self.held_hours - 1.0))[opens]
        usd[holds] += rate[holds]
        findings = []
        owned = Owned(owner, lagging) if holds.any() else None
        for row in np.flatnonzero(holds | over).tolist():
            mine = np.zeros(0, dtype=np.int64) if owned is None else owned.of(row)
            mine = mine if holds[row] else mine[:0]
            worst = float(lag[mine].max()) if len(mine) else 0.0
            findings.append(self._say(fleet, minute, row, mine, float(rate[row]), worst, float(n_known[row])))
        open_[:] = holds
        hours[(owner >= 0) & silent[np.maximum(owner, 0)]] = 0.0
        return findings

    @staticmethod
    def _declare(fleet: Fleet) -> None:
        devices, workloads = fleet.devices, fleet.workloads
        for name in SIGNALS:
            devices.declare(f"peers_{name}", "f4", 0.0)
            devices.declare(f"peers_{name}_s", "f4", 0.0)
        devices.declare("peers_usd_per_hour", "f4", 0.0)
        devices.declare("peers_hours", "f4", 0.0)
        devices.declare("peers_workload", "i4", -1, owner=True)
        for name in ("began_s", "usd"):
            workloads.declare(f"peers_{name}", "f8", 0.0)
        workloads.declare("peers_open", "?", False)

    @staticmethod
    def _take(fleet: Fleet, minute: Minute) -> None:
        seen, devices = minute.devices, fleet.devices
        if not len(seen.row):
            return
        owner, hours = devices.column("peers_workload"), devices.column("peers_hours")
        moved = owner[seen.row] != seen.workload
        hours[seen.row[moved]] = 0.0
        owner[seen.row] = seen.workload
        devices.column("peers_usd_per_hour")[seen.row] = np.nan_to_num(seen.usd_per_hour)
        for name in SIGNALS:
            value = getattr(seen, name)
            known = ~np.isnan(value)
            rows, span_s = seen.row[known], seen.span_s[known]
            devices.column(f"peers_{name}")[rows] += value[known] * span_s
            devices.column(f"peers_{name}_s")[rows] += span_s

    def _compare(self, fleet: Fleet, owner: NDArray[np.int32]) -> tuple[Floats, NDArray[np.bool_]]:
        """How far each accelerator lags behind its group, 0 to 1 and NaN where it is not known, and who is judged odd.

        Begins a new hour.
        """
        devices, count = fleet.devices, len(fleet.workloads)
        means: dict[str, Floats] = {}
        for name in SIGNALS:
            total, span_s = devices.column(f"peers_{name}"), devices.column(f"peers_{name}_s")
            enough = span_s >= self.known_share * 3600.0
            means[name] = np.where(enough, total / np.maximum(span_s, 1.0), np.nan).astype(np.float64)
            total[:], span_s[:] = 0.0, 0.0
        lag = np.full(len(devices), np.nan)
        odd = np.zeros(len(devices), dtype=bool)
        known = (owner >= 0) & ~np.isnan(means["util_ratio"])
        size = np.bincount(owner[known], minlength=count)
        shared = fleet.workloads.find(OVERFLOW)
        if shared is not None:
            size[shared] = 0
        rows = np.flatnonzero(known & (size[np.maximum(owner, 0)] >= self.min_group))
        if not len(rows):
            return lag, odd
        group = owner[rows].astype(np.int64)
        work = median_by_group(group, means["util_ratio"][rows], count)[group] >= self.busy_from_ratio
        was_odd = devices.column("peers_hours")[rows] >= self.held_hours
        limit = np.where(was_odd, self.near_spreads, self.far_spreads)
        worst = np.zeros(len(rows))
        for name in SIGNALS:
            values = means[name][rows]
            middle = median_by_group(group, values, count)[group]
            least = self.least_ratio * np.maximum(middle, 1.0 if name == "power_w" else self.least_activity_ratio)
            spreads, _ = unlikeness(group, values, count, least)
            share = np.divide(middle - values, middle, out=np.zeros(len(rows)), where=middle > 0)
            far = (spreads <= -limit) & (share >= self.lag_ratio)
            worst = np.where(far & (share > worst), share, worst)
        lag[rows] = np.minimum(worst, 1.0)
        odd[rows] = work & (worst > 0)
        return lag, odd

    def _say(
        self, fleet: Fleet, minute: Minute, row: int, mine: Rows, rate: float, lag: float, n_known: float
    ) -> Finding:
        workloads, ended = fleet.workloads, not len(mine)
        began_s, usd = float(workloads.column("peers_began_s")[row]), float(workloads.column("peers_usd")[row])
        evidence = {"lagging_s": minute.end_s - began_s, "wasted_usd": round(usd, 6)}
        if not ended:
            evidence |= {"accelerators": float(len(mine)), "group": n_known, "lag_ratio": round(lag, 4)}
        return Finding(
            kind=Kind.WASTE,
            cause=Cause.UNLIKE_PEERS,
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
            observed=None if ended else round(1.0 - lag, 4),
            expected=None if ended else 1.0,
            unit="of_peers_ratio",
            confidence=0.8,
            evidence=evidence,
        )
