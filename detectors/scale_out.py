"""A scale-out that nobody took back: more accelerators than usual, and no more work for them than usual.

Usual is the number of accelerators that a workload has had for most of the last days. Work is requests where it
serves, else accelerators in use; demand is work against the same hours of the days before. The extra accelerators are
not needed when over three hours the demand was about what it was before they came, or when for five hours there was no
more work than the usual number has carried before. What they cost beyond the usual number is then wasted. Whoever
scales out expects work: accelerators that have just come are given some hours. That they are needed after all takes
more than demand: more work than the usual number has ever carried.
"""

from dataclasses import dataclass

import numpy as np

from detectors.bins import HOURS_A_DAY, Flags, Floats
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, Owned, Rows, moment, names_of, usd_by_month_end
from detectors.panel import Fleet

HOLD_HOURS = 3  # of usual work
CARRIED_HOURS = 5  # of work that the usual number has carried: longer, for it may be a hard day at its quiet hour
_SERVED = HOURS_A_DAY  # requests of a day after which a workload counts as serving


@dataclass(frozen=True)
class ScaleOutDetector:
    """Finds accelerators beyond the usual number that the work doesn't need. Judges at full hours."""

    min_history_h: float = 48.0
    min_extra: float = 1.0  # accelerators
    needed_share: float = 0.4  # of the extra accelerators: with more than that in need, they are left alone
    min_ratio: float = 1.2  # accelerators against usual
    floor_usd_per_hour: float = 0.5
    adopt_after_s: float = 7 * 86_400.0  # so long kept, a number of accelerators is the usual one
    learn_rate: float = 0.02  # an hour: the usual number moves in two days
    grace_hours: float = 5.0  # from the scale-out on
    demand_rate: float = 0.2  # an hour: the demand before the scale-out is that of some five hours
    demand_bounds: tuple[float, float] = (0.5, 2.0)  # further off, the days before say little about this one
    name: str = "scale_out"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Add the minute to its hour; judge the last hours when one is full."""
        self._declare(fleet)
        self._take(fleet, minute)
        if minute.end_s % 3600:
            return []
        workloads = fleet.workloads
        slot = (minute.end_s // 3600 - 1) % HOURS_A_DAY
        count = workloads.column("scale_device_s") / 3600.0
        load = np.where(
            workloads.column("scale_usual_requests") * HOURS_A_DAY >= _SERVED,
            workloads.column("scale_requests"),
            workloads.column("scale_busy_s"),
        )
        usual, profile = workloads.column("scale_usual"), workloads.column("scale_profile")
        first = workloads.column("scale_first_s")
        first[(first == 0) & (count > 0)] = minute.end_s
        expected = profile[:, slot]
        demand = np.divide(load, expected, out=np.full(len(load), np.nan), where=expected > 0)
        extra = count - usual
        old = (first > 0) & (minute.end_s - first >= self.min_history_h * 3600.0)
        above = old & (usual > 0) & (extra >= self.min_extra * 0.75) & (count >= self.min_ratio * usual)
        rate = np.divide(workloads.column("scale_usd"), count, out=np.zeros(len(count)), where=count > 0)
        before = workloads.column("scale_demand")
        needed = usual * demand / np.clip(before, *self.demand_bounds) - usual  # beyond the usual number
        recent = workloads.column("scale_recent")
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = np.where(above, needed / np.maximum(extra, 1e-9), np.nan)
        full = ~np.isnan(recent).any(axis=1)
        known = np.where(full[:, None], recent, np.inf)
        idle = (known.mean(axis=1) < self.needed_share) & (known.max(axis=1) < 2.0 * self.needed_share)
        within = load <= workloads.column("scale_carried")
        wasted = np.where(above, extra * rate, 0.0)
        unneeded = above & (recent[:, -1] < 2.0 * self.needed_share)
        for name, counts, step in (
            ("above_hours", above, 1.0),
            ("carried_hours", above & within, 1.0),
            ("beyond_hours", above & ~within, 1.0),
            ("unneeded_hours", unneeded, 1.0),
            ("unneeded_usd", unneeded, wasted),
        ):
            running = workloads.column(f"scale_{name}")
            running[:] = np.where(counts, running + step, 0.0)
        idle |= workloads.column("scale_carried_hours") >= CARRIED_HOURS
        idle &= workloads.column("scale_above_hours") >= self.grace_hours
        findings = self._advance(fleet, minute, idle & (wasted >= self.floor_usd_per_hour), above, wasted, extra)
        calm = ~above & ~np.isnan(demand)
        before[calm] += (self.demand_rate * (np.clip(demand, *self.demand_bounds) - before))[calm]
        self._learn(fleet, slot, count, load, above)
        return findings

    def sleep(self, fleet: Fleet, rows: Rows, since_s: Floats, until_s: int) -> None:
        """Bring rows that were evicted up to date: nothing came, and hours went by."""
        self._declare(fleet)
        n_hours = until_s // 3600 - since_s // 3600
        fleet.workloads.column("scale_usual_requests")[rows] *= (1.0 - self.learn_rate) ** n_hours

    @staticmethod
    def _declare(fleet: Fleet) -> None:
        for name in (
            "device_s",
            "busy_s",
            "requests",
            "usd",
            "hours",
            "usual",
            "usual_requests",
            "first_s",
            "since_s",
            "wasted_usd",
            "carried",
            "carried_hours",
            "above_hours",
            "beyond_hours",
            "unneeded_hours",
            "unneeded_usd",
        ):
            fleet.workloads.declare(f"scale_{name}", "f8", 0.0)
        fleet.workloads.declare("scale_demand", "f8", 1.0)
        fleet.workloads.declare("scale_profile", "f4", np.nan, HOURS_A_DAY)
        fleet.workloads.declare("scale_recent", "f4", np.nan, HOLD_HOURS)
        fleet.workloads.declare("scale_open", "?", False)
        fleet.devices.declare("scale_workload", "i4", -1, owner=True)
        fleet.devices.declare("scale_began_s", "f8", 0.0)
        fleet.devices.declare("scale_seen_s", "f8", 0.0)

    @staticmethod
    def _take(fleet: Fleet, minute: Minute) -> None:
        workloads, seen, usage = fleet.workloads, minute.devices, minute.usage
        if len(seen.row):
            size = len(workloads)
            span = np.bincount(seen.workload, weights=seen.span_s, minlength=size)
            busy = np.bincount(seen.workload, weights=seen.span_s * np.nan_to_num(seen.util_ratio), minlength=size)
            usd = np.bincount(
                seen.workload, weights=seen.span_s * np.nan_to_num(seen.usd_per_hour) / 3600.0, minlength=size
            )
            for name, value in (("device_s", span), ("busy_s", busy), ("usd", usd)):
                workloads.column(f"scale_{name}")[:] += value
            owner, began = fleet.devices.column("scale_workload"), fleet.devices.column("scale_began_s")
            moved = owner[seen.row] != seen.workload
            began[seen.row[moved]] = minute.end_s
            owner[seen.row] = seen.workload
            fleet.devices.column("scale_seen_s")[seen.row] = minute.end_s
        if len(usage.row):
            workloads.column("scale_requests")[usage.row] += usage.requests

    def _advance(
        self, fleet: Fleet, minute: Minute, idle: Flags, above: Flags, wasted: Floats, extra: Floats
    ) -> list[Finding]:
        workloads = fleet.workloads
        open_, since = workloads.column("scale_open"), workloads.column("scale_since_s")
        so_far = workloads.column("scale_wasted_usd")
        opens = idle & ~open_
        hours, usd = workloads.column("scale_unneeded_hours"), workloads.column("scale_unneeded_usd")
        since[opens] = (minute.end_s - 3600.0 * np.maximum(hours, HOLD_HOURS))[opens]
        so_far[opens] = np.where(hours >= HOLD_HOURS, usd, wasted * HOLD_HOURS)[opens]
        so_far[open_ & above] += wasted[open_ & above]
        asked = np.nan_to_num(workloads.column("scale_recent")).mean(axis=1) >= 1.0
        needed = open_ & above & ~idle & asked & (workloads.column("scale_beyond_hours") >= HOLD_HOURS)
        kept = open_ & (minute.end_s - since > self.adopt_after_s)
        over = open_ & (~above | needed | kept)
        findings = []
        devices = fleet.devices
        lately = devices.column("scale_seen_s") > minute.end_s - 3600
        owned = Owned(devices.column("scale_workload"), lately)
        for row in np.flatnonzero(opens | open_).tolist():
            figures = float(wasted[row]), float(extra[row])
            findings.append(self._say(fleet, minute, row, owned.of(row), *figures, ended=bool(over[row])))
        workloads.column("scale_usual")[kept] += extra[kept]  # so many are usual now
        open_[:] = (open_ | opens) & ~over
        return findings

    def _learn(self, fleet: Fleet, slot: int, count: Floats, load: Floats, above: Flags) -> None:
        """The usual number moves slowly, and not towards one that is told; an hour's work is learnt while it fits."""
        workloads = fleet.workloads
        usual, profile = workloads.column("scale_usual"), workloads.column("scale_profile")
        requests = workloads.column("scale_usual_requests")
        hours = workloads.column("scale_hours")
        seen = count > 0
        whole = seen & (hours > 0)  # the hour in which a workload begins to report is a part of one
        usual[whole & (usual == 0)] = count[whole & (usual == 0)]
        learn = whole & ~workloads.column("scale_open")
        rate = np.maximum(self.learn_rate, 1.0 / np.maximum(hours, 1.0))  # a mean at first
        usual[learn] += (rate * np.where(above, 0.25, 1.0) * (count - usual))[learn]
        hours[seen] += 1
        requests[:] += self.learn_rate * (workloads.column("scale_requests") - requests)
        fits = seen & ~above
        old = profile[:, slot]
        carried = workloads.column("scale_carried")  # the most work in an hour; it fades
        carried[:] = np.where(fits, np.maximum(carried * 0.5 ** (1.0 / 336.0), load), carried)
        profile[:, slot] = np.where(fits, np.where(np.isnan(old), load, old + 0.3 * (load - old)), old)
        for name in ("device_s", "busy_s", "requests", "usd"):
            workloads.column(f"scale_{name}")[:] = 0.0

    @staticmethod
    def _say(
        fleet: Fleet, minute: Minute, row: int, rows: Rows, wasted: float, extra: float, *, ended: bool
    ) -> Finding:
        workloads, devices = fleet.workloads, fleet.devices
        began_s = float(workloads.column("scale_since_s")[row])
        newest = rows[np.argsort(-devices.column("scale_began_s")[rows], kind="stable")][: max(round(extra), 0)]
        so_far = round(float(workloads.column("scale_wasted_usd")[row]), 6)
        usual = float(workloads.column("scale_usual")[row])
        return Finding(
            kind=Kind.WASTE,
            cause=Cause.SCALE_OUT_NOT_REVERSED,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(max(float(minute.end_s - 3600), began_s)) if ended else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            model=fleet.models[int(newest[0])] if len(newest) else None,
            devices=names_of(fleet, np.sort(newest)),
            cleared=ended,
            usd_per_hour=0.0 if ended else round(wasted, 6),
            usd_so_far=so_far,
            usd_if_ignored=None if ended else usd_by_month_end(so_far, wasted, minute.end_s),
            observed=round(usual + extra, 2),
            expected=round(usual, 2),
            unit="accelerators",
            confidence=0.8,
            evidence={
                "extra_accelerators": round(extra, 2),
                "usual_accelerators": round(usual, 2),
                "wasted_usd": so_far,
            },
        )
