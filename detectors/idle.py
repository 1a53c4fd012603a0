"""Idle accelerators: paid for, and by every kind of evidence not used.

A workload is idle while all its accelerators are quiet, at least two families of evidence agree, none contradicts,
and, where it serves requests, its own counters say that none came. What is missing, stale or contradictory is
unknown, and unknown is never idle: it opens nothing, and it closes nothing either. An accelerator that has just gone
silent makes its whole workload unknown, and so does one that has no row of its own.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.evidence import EvidenceRules
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Floats, Minute, Owned, Rows, moment, names_of, usd_by_month_end
from detectors.panel import OVERFLOW, Fleet

DAY_S = 86_400.0
CAUSES = (Cause.UTILIZATION, Cause.UNALLOCATED, Cause.NO_TRAFFIC, Cause.MEMORY_HELD)


@dataclass(frozen=True, slots=True)
class Workloads:
    """What the accelerators of each workload say together. Arrays of (workloads,)."""

    fresh: NDArray[np.int64]  # accelerators that reported lately
    busy: NDArray[np.int64]
    families: Floats  # the least that any accelerator has, requests included; 0 where one can't be seen
    since_s: Floats  # since when all are quiet; infinite where one is not
    until_s: Floats  # up to when that is known
    usd_per_hour: Floats
    serves: NDArray[np.bool_]
    requests_known: NDArray[np.bool_]


@dataclass(frozen=True)
class IdleDetector:
    """Finds workloads whose accelerators have been idle for `after_s`."""

    after_s: float = 1800.0
    min_families: int = 2
    stale_spans: float = 3.0  # an accelerator that has been silent for so many of its spans is unknown
    stale_after_s: float = 300.0  # but never before this
    missing_after_s: float = 3600.0  # one that has been silent for so long is no longer part of the workload
    gone_after_s: float = 900.0  # an incident whose accelerators have all vanished for so long is over
    rules: EvidenceRules = field(default_factory=EvidenceRules)
    name: str = "idle"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Advance every accelerator by one complete minute; say what is idle and what is so no longer."""
        self.declare(fleet)
        self._take_usage(fleet, minute)
        self._take_devices(fleet, minute)
        if not len(fleet.devices):
            return []
        found = self.gather(fleet, float(minute.end_s))
        open_ = fleet.workloads.column("idle_open")
        held_s = found.until_s - found.since_s
        evident = (
            (found.fresh > 0)
            & (found.busy == 0)
            & (found.families >= self.min_families)
            & (~found.serves | found.requests_known)
        )
        idle = evident & (held_s >= self.after_s)
        ended = open_ & (found.busy > 0)
        ended |= open_ & (fleet.workloads.column("active_s") > fleet.workloads.column("idle_began_s") + 1)
        ended |= (
            open_ & (found.fresh == 0) & (minute.end_s - fleet.workloads.column("devices_seen_s") > self.gone_after_s)
        )
        begins = idle & ~open_
        fleet.workloads.column("idle_began_s")[begins] = found.since_s[begins]
        fleet.workloads.column("idle_until_s")[begins] = found.since_s[begins]
        fleet.workloads.column("idle_usd")[begins] = 0.0
        holds = (begins | (open_ & evident)) & ~ended
        findings: list[Finding] = []
        if holds.any() or ended.any():
            owned = Owned(fleet.devices.column("workload"))
            findings += [self._idle(fleet, minute, found, row, owned.of(row)) for row in np.flatnonzero(holds).tolist()]
            findings += [self._ended(fleet, minute, row, owned.of(row)) for row in np.flatnonzero(ended).tolist()]
        open_ |= idle
        open_[ended] = False
        return findings

    def declare(self, fleet: Fleet) -> None:
        """The columns that this detector keeps."""
        for name in ("seen_s", "span_s", "quiet_since_s", "evident_s"):
            fleet.devices.declare(name, "f8", 0.0)
        fleet.devices.declare("families", "i4", 0)
        fleet.devices.declare("busy", "?", False)
        fleet.devices.declare("lowest_power_w", "f8", np.inf)
        for name in ("memory_used_ratio", "util_ratio", "power_w"):
            fleet.devices.declare(name, "f8", np.nan)
        for name in ("usage_s", "usage_span_s", "usage_first_s", "active_s", "idle_began_s", "devices_seen_s"):
            fleet.workloads.declare(name, "f8", 0.0)
        for name in ("idle_until_s", "idle_usd", "idle_usd_per_hour", "idle_accelerators"):
            fleet.workloads.declare(name, "f8", 0.0)
        fleet.workloads.declare("idle_cause", "i4", 0)
        fleet.workloads.declare("idle_open", "?", False)

    def _take_devices(self, fleet: Fleet, minute: Minute) -> None:
        seen, devices = minute.devices, fleet.devices
        if not len(seen.row):
            return
        evidence = self.rules.judge(devices, seen)
        seen_s, span_s, since = devices.column("seen_s"), devices.column("span_s"), devices.column("quiet_since_s")
        evident_s = devices.column("evident_s")
        limit_s = np.maximum(self.stale_spans * seen.last_span_s, self.stale_after_s)
        gap = minute.end_s - evident_s[seen.row] > limit_s  # too little evidence is like no sample
        moved = devices.column("workload")[seen.row] != seen.workload
        starts = (since[seen.row] == 0) | gap | moved
        serves = (fleet.workloads.column("usage_s") > 0) & (fleet.workloads.column("usage_span_s") > 0)
        evident = ~evidence.busy & (evidence.families >= np.maximum(self.min_families - serves[seen.workload], 1))
        kept = np.where(evidence.busy | moved, 0.0, since[seen.row])
        since[seen.row] = np.where(evident & starts, minute.end_s - seen.span_s, kept)
        evident_s[seen.row] = np.where(evident, minute.end_s, evident_s[seen.row])
        seen_s[seen.row] = minute.end_s
        span_s[seen.row] = seen.last_span_s
        devices.column("families")[seen.row] = evidence.families
        devices.column("busy")[seen.row] = evidence.busy
        devices.column("workload")[seen.row] = seen.workload
        devices.column("usd_per_hour")[seen.row] = np.nan_to_num(seen.usd_per_hour)
        devices.column("memory_used_ratio")[seen.row] = seen.memory_used_ratio
        devices.column("util_ratio")[seen.row] = seen.util_ratio
        devices.column("power_w")[seen.row] = seen.power_w
        fleet.workloads.column("devices_seen_s")[seen.workload] = minute.end_s

    @staticmethod
    def _take_usage(fleet: Fleet, minute: Minute) -> None:
        usage, workloads = minute.usage, fleet.workloads
        if not len(usage.row):
            return
        first = workloads.column("usage_first_s")
        first[usage.row] = np.where(first[usage.row] == 0, minute.end_s - usage.span_s, first[usage.row])
        workloads.column("usage_s")[usage.row] = minute.end_s
        workloads.column("usage_span_s")[usage.row] = usage.span_s
        active = (usage.requests > 0) | (np.nan_to_num(usage.running) > 0) | (np.nan_to_num(usage.waiting) > 0)
        workloads.column("active_s")[usage.row[active]] = minute.end_s

    def gather(self, fleet: Fleet, end_s: float) -> Workloads:
        """Bring the accelerators of each workload together, with what its requests say."""
        devices, workloads, count = fleet.devices, fleet.workloads, len(fleet.workloads)
        owner = devices.column("workload")
        silence_s = end_s - devices.column("seen_s")
        limit_s = np.maximum(self.stale_spans * devices.column("span_s"), self.stale_after_s)
        rows = np.flatnonzero((silence_s <= limit_s) & (owner >= 0))
        at = owner[rows]
        gone_s = np.maximum(self.missing_after_s, 2.0 * limit_s)
        missing = (silence_s > limit_s) & (silence_s <= gone_s) & (owner >= 0)
        unseen = workloads.column("crowded") | (np.bincount(owner[missing], minlength=count) > 0)
        shared = workloads.find(OVERFLOW)
        if shared is not None:
            unseen[shared] = True
        families = np.full(count, np.inf)
        np.minimum.at(families, at, devices.column("families")[rows].astype(float))
        since = np.zeros(count)
        quiet_since_s = devices.column("quiet_since_s")[rows]
        np.maximum.at(since, at, np.where(quiet_since_s > 0, quiet_since_s, np.inf))
        seen = np.full(count, np.inf)
        np.minimum.at(seen, at, devices.column("seen_s")[rows])
        usage_s, span = workloads.column("usage_s"), workloads.column("usage_span_s")
        serves = (usage_s > 0) & (end_s - usage_s < DAY_S) & (span > 0)
        known = serves & (end_s - usage_s <= np.maximum(self.stale_spans * span, self.stale_after_s))
        single = (usage_s > 0) & (span == 0)  # one event a request: silence is no news, but a request is
        last_active = np.maximum(workloads.column("active_s"), workloads.column("usage_first_s"))
        since = np.where(serves | single, np.maximum(since, last_active), since)
        return Workloads(
            fresh=np.bincount(at, minlength=count),
            busy=np.bincount(at, weights=devices.column("busy")[rows], minlength=count).astype(np.int64),
            families=np.where(np.isinf(families) | unseen, 0, families + known),
            since_s=since,
            until_s=np.where(serves, np.minimum(seen, usage_s), np.where(np.isinf(seen), 0.0, seen)),
            usd_per_hour=np.bincount(at, weights=devices.column("usd_per_hour")[rows], minlength=count).astype(
                np.float64
            ),
            serves=serves,
            requests_known=known,
        )

    def _idle(self, fleet: Fleet, minute: Minute, found: Workloads, row: int, mine: Rows) -> Finding:
        name = fleet.workloads.keys[row]
        devices = fleet.devices
        rows = mine[minute.end_s - devices.column("seen_s")[mine] <= self.gone_after_s]
        began_s, until_s = float(fleet.workloads.column("idle_began_s")[row]), float(found.until_s[row])
        idle_s = until_s - began_s
        rate = float(found.usd_per_hour[row])
        wasted = self._wasted(fleet, row, until_s, rate)
        memory, power = devices.column("memory_used_ratio")[rows], devices.column("power_w")[rows]
        fleet.workloads.column("idle_accelerators")[row] = len(rows)
        evidence = {"idle_s": idle_s, "wasted_usd": round(wasted, 6), "accelerators": float(len(rows))}
        for label, values in (("util_ratio", devices.column("util_ratio")[rows]), ("power_w", power)):
            if not np.isnan(values).all():
                evidence[label] = round(float(np.nanmax(values)), 4 if label == "util_ratio" else 1)
        held = not np.isnan(memory).all() and float(np.nanmax(memory)) >= self.rules.memory_empty_ratio
        if not np.isnan(memory).all():
            evidence["memory_used_ratio"] = round(float(np.nanmax(memory)), 4)
        if found.serves[row]:
            evidence["requests"] = 0.0
        evidence["families"] = float(found.families[row])
        cause = Cause.UTILIZATION
        if name.endswith("//"):
            cause = Cause.UNALLOCATED
        elif found.serves[row]:
            cause = Cause.NO_TRAFFIC
        elif held:
            cause = Cause.MEMORY_HELD
        fleet.workloads.column("idle_cause")[row] = CAUSES.index(cause)
        return Finding(
            kind=Kind.IDLE,
            cause=cause,
            at=minute.known_at,
            began_at=moment(began_s),
            workload=name,
            team=fleet.teams[row],
            model=fleet.models[int(rows[0])] if len(rows) else None,
            devices=names_of(fleet, rows),
            usd_per_hour=round(rate, 6),
            usd_so_far=round(wasted, 6),
            usd_if_ignored=usd_by_month_end(wasted, rate, minute.end_s),
            observed=0.0,
            unit="usd_per_hour_used",
            expected=round(rate, 6),
            confidence=0.99 if found.families[row] > self.min_families else 0.95,
            evidence=evidence,
        )

    @staticmethod
    def _wasted(fleet: Fleet, row: int, until_s: float, usd_per_hour: float) -> float:
        """Dollars since the beginning: those already counted, and what the time since then costs."""
        workloads = fleet.workloads
        counted_s, usd = workloads.column("idle_until_s"), workloads.column("idle_usd")
        usd[row] = max(usd[row] + usd_per_hour * (until_s - counted_s[row]) / 3600.0, 0.0)
        counted_s[row] = until_s
        workloads.column("idle_usd_per_hour")[row] = usd_per_hour
        return float(usd[row])

    def _ended(self, fleet: Fleet, minute: Minute, row: int, mine: Rows) -> Finding:
        """It is used again, or its accelerators are gone; the end is where the last quiet evidence ended."""
        workloads, devices = fleet.workloads, fleet.devices
        began_s = float(workloads.column("idle_began_s")[row])
        current = mine[(devices.column("seen_s")[mine] == minute.end_s) & devices.column("busy")[mine]]
        ended_s = float(workloads.column("devices_seen_s")[row])
        if len(current):
            ended_s = minute.end_s - float(devices.column("span_s")[current].max())
        elif workloads.column("active_s")[row] > began_s + 1:
            ended_s = float(workloads.column("active_s")[row] - workloads.column("usage_span_s")[row])
        ended_s = max(ended_s, began_s)
        wasted = round(self._wasted(fleet, row, ended_s, float(workloads.column("idle_usd_per_hour")[row])), 6)
        return Finding(
            kind=Kind.IDLE,
            cause=CAUSES[int(workloads.column("idle_cause")[row])],
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(ended_s),
            workload=workloads.keys[row],
            team=fleet.teams[row],
            cleared=True,
            usd_per_hour=0.0,
            usd_so_far=wasted,
            evidence={
                "idle_s": ended_s - began_s,
                "wasted_usd": wasted,
                "accelerators": float(workloads.column("idle_accelerators")[row]),
            },
        )
