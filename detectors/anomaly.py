"""Spend unlike its own past, at two scales: ten minutes against the record, six hours against the learned day.

Fast: a ten-minute bin that breaks the workload's own (slowly fading) record by a margin. Slow: the last six hours
against the same hours of the days before, measured in the spread that this comparison has always had. Price: what the
same tokens cost now against what they cost before. A minute is judged before it is learnt, and what is called odd is
not learnt until it has lasted for `adopt_after_s`; then it is the new normal.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.cause import Shape, cause_of
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import Fleet

BIN_S = 600
BINS_AN_HOUR = 3600 // BIN_S
SLOW_HOURS = 6
_SUMS = ("usd", "gpu_usd", "requests", "tokens", "reference_usd")


@dataclass(frozen=True)
class AnomalyDetector:
    """Finds spend that a workload's own history does not explain."""

    min_history_h: float = 48.0  # cold start: quiet until then
    floor_usd_per_hour: float = 0.5  # an excess below this is nobody's business
    floor_ratio: float = 0.3  # nor one below this share of what is expected
    record_margin: float = 1.6  # times the record of the past
    sudden_margin: float = 3.0  # one bin is enough beyond this; else two of three
    slow_ratio: float = 1.3  # six hours must be this much dearer than usual
    slow_spreads: float = 4.0  # and this many usual deviations away
    price_step_ratio: float = 0.08
    adopt_after_s: float = 86_400.0
    record_half_life_h: float = 336.0
    level_half_life_h: float = 24.0
    name: str = "anomaly"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Add the minute to its bin; judge and then learn each bin and hour that is complete."""
        self._declare(fleet)
        self._take(fleet, minute)
        if minute.end_s % BIN_S:
            return []
        findings = self._bin(fleet, minute)
        if minute.end_s % 3600 == 0:
            findings += self._hour(fleet, minute)
        workloads = fleet.workloads
        for name in _SUMS:
            workloads.column(f"bin_{name}")[:] = 0.0
        workloads.column("bin_reported")[:] = False
        return findings

    def _declare(self, fleet: Fleet) -> None:
        workloads = fleet.workloads
        for name in _SUMS:
            for scale in ("bin", "level", "hour"):
                workloads.declare(f"{scale}_{name}", "f8", 0.0)
            workloads.declare(f"ring_{name}", "f8", 0.0, SLOW_HOURS)
        for name in ("record_usd", "odd_bins", "calm_bins", "bins", "slow_spread", "slow_hours", "price_level"):
            workloads.declare(name, "f8", 0.0)
        for name in (
            "odd_since_s",
            "odd_excess_usd",
            "odd_expected_usd",
            "price_odd",
            "price_since_s",
            "first_bin_s",
            "told_until_s",
        ):
            workloads.declare(name, "f8", 0.0)
        workloads.declare("profile_usd", "f8", np.nan, 24)
        workloads.declare("hour_bins", "i4", 0)
        workloads.declare("ring_ok", "?", False, SLOW_HOURS)
        workloads.declare("odd_cause", "i4", -1)
        for name in ("bin_reported", "odd_open", "odd_slow", "price_open"):
            workloads.declare(name, "?", False)

    @staticmethod
    def _take(fleet: Fleet, minute: Minute) -> None:
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
            workloads.column("bin_reported")[usage.row] = True

    def _bin(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        workloads = fleet.workloads
        usd, record = workloads.column("bin_usd"), workloads.column("record_usd")
        level, bins = workloads.column("level_usd"), workloads.column("bins")
        open_, reported = workloads.column("odd_open"), workloads.column("bin_reported")
        first = workloads.column("first_bin_s")
        first[(first == 0) & reported] = minute.end_s
        old = (first > 0) & (minute.end_s - first >= self.min_history_h * 3600.0)
        excess = (usd - level) * BINS_AN_HOUR
        worth = excess >= np.maximum(self.floor_usd_per_hour, self.floor_ratio * level * BINS_AN_HOUR)
        odd = old & worth & (usd > self.record_margin * record)
        recent = workloads.column("odd_bins")
        recent[:] = recent * 0.5 + odd  # two odd bins of three make 1.25 or more
        opens = odd & ~open_ & ((usd > self.sudden_margin * record) | (recent >= 1.25))
        findings = []
        for row in np.flatnonzero(opens).tolist():
            self._begin(fleet, minute, row, slow=False)
            findings.append(self._say(fleet, minute, row))
        fast = open_ & ~opens & ~workloads.column("odd_slow")
        calm = workloads.column("calm_bins")
        calm[:] = np.where(fast & (usd <= np.maximum(1.1 * record, level)), calm + 1, 0.0)
        workloads.column("odd_excess_usd")[fast] += np.maximum(usd - workloads.column("odd_expected_usd"), 0.0)[fast]
        for row in np.flatnonzero(fast).tolist():
            over = calm[row] >= 3 or minute.end_s - workloads.column("odd_since_s")[row] > self.adopt_after_s
            findings.append(self._say(fleet, minute, row, ended=bool(over)))
            open_[row] = not over
            if over and calm[row] < 3:  # it has lasted: from now on this is no record
                record[row] = max(record[row], usd[row])
        findings += self._price(fleet, minute)
        learn = ~open_ & ~odd
        record[:] = np.where(
            learn, np.maximum(record * 0.5 ** (1 / (self.record_half_life_h * BINS_AN_HOUR)), usd), record
        )
        bins[learn] += 1
        rate = np.maximum(1.0 - 0.5 ** (1 / (self.level_half_life_h * BINS_AN_HOUR)), 1.0 / np.maximum(bins, 1.0))
        workloads.column("told_until_s")[open_ & ~workloads.column("odd_slow")] = minute.end_s
        for name in _SUMS:
            mean, value = workloads.column(f"level_{name}"), workloads.column(f"bin_{name}")
            mean[learn] += (rate * (value - mean))[learn]
            workloads.column(f"hour_{name}")[:] += value
        workloads.column("hour_bins")[reported] += 1
        return findings

    def _hour(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Judge the last six hours against the same hours of the learned day, then learn this hour."""
        workloads = fleet.workloads
        now = (minute.end_s // 3600 - 1) % 24
        for name in _SUMS:
            ring = workloads.column(f"ring_{name}")
            ring[:, :-1] = ring[:, 1:]
            ring[:, -1] = workloads.column(f"hour_{name}")
        ring_ok, profile = workloads.column("ring_ok"), workloads.column("profile_usd")
        ring_ok[:, :-1] = ring_ok[:, 1:]
        ring_ok[:, -1] = workloads.column("hour_bins") > 0
        hours = (now - np.arange(SLOW_HOURS - 1, -1, -1)) % 24
        usual, actual = profile[:, hours].sum(axis=1), workloads.column("ring_usd").sum(axis=1)
        floor = self.floor_usd_per_hour * SLOW_HOURS * 0.2
        ratio = np.log((actual + floor) / (np.nan_to_num(usual) + floor))
        spread, seen = workloads.column("slow_spread"), workloads.column("slow_hours")
        judged = ~np.isnan(usual) & ring_ok.all(axis=1)
        excess = (actual - np.nan_to_num(usual)) / SLOW_HOURS
        worth = excess >= np.maximum(self.floor_usd_per_hour, self.floor_ratio * np.nan_to_num(usual) / SLOW_HOURS)
        limit = np.maximum(np.log(self.slow_ratio), self.slow_spreads * np.maximum(spread, 0.05))
        odd = judged & worth & (seen >= 24) & (ratio > limit)
        open_, slow = workloads.column("odd_open"), workloads.column("odd_slow")
        findings = []
        untold = minute.end_s - workloads.column("told_until_s") >= SLOW_HOURS * 3600  # nothing is said at both scales
        for row in np.flatnonzero(odd & ~open_ & untold).tolist():
            self._begin(fleet, minute, row, slow=True)
            findings.append(self._say(fleet, minute, row))
        running = open_ & slow & (workloads.column("odd_since_s") < minute.end_s - 3600 * SLOW_HOURS)
        for row in np.flatnonzero(running).tolist():
            lasted_s = minute.end_s - workloads.column("odd_since_s")[row]
            over = not odd[row] or lasted_s > self.adopt_after_s + 3600 * SLOW_HOURS
            workloads.column("odd_excess_usd")[row] += max(float(excess[row]), 0.0)
            findings.append(self._say(fleet, minute, row, ended=over))
            if over:
                open_[row] = slow[row] = False
                if odd[row]:  # it has lasted: from now on this is normal
                    profile[row] = np.where(np.isnan(profile[row]), profile[row], profile[row] * np.exp(ratio[row]))
                    workloads.column("record_usd")[row] *= np.exp(max(ratio[row], 0.0))
        learn = (workloads.column("hour_bins") > 0) & ~open_ & ~odd
        value = workloads.column("hour_usd")
        old = profile[:, now]
        profile[:, now] = np.where(learn, np.where(np.isnan(old), value, old + 0.3 * (value - old)), old)
        known = learn & judged
        spread[known] += (np.maximum(0.03, 1 / (seen + 1)) * (np.abs(ratio) - spread))[known]
        seen[known] += 1
        for name in _SUMS:
            workloads.column(f"hour_{name}")[:] = 0.0
        workloads.column("hour_bins")[:] = 0
        return findings

    def _price(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """The same tokens at another price: said once, then learnt; over after a day."""
        workloads = fleet.workloads
        usd = workloads.column("bin_usd") - workloads.column("bin_gpu_usd")
        reference = workloads.column("bin_reference_usd")
        level, odd = workloads.column("price_level"), workloads.column("price_odd")
        known = (reference > 0) & (usd > 0)
        ratio = np.divide(usd, reference, out=np.ones_like(usd), where=known)
        level[known & (level == 0)] = ratio[known & (level == 0)]
        step = np.abs(np.log(np.divide(ratio, level, out=np.ones_like(usd), where=level > 0)))
        stepped = known & (step > np.log1p(self.price_step_ratio))
        odd[known] = np.where(stepped[known], odd[known] + 1, 0)
        open_, since = workloads.column("price_open"), workloads.column("price_since_s")
        findings = []
        for row in np.flatnonzero(known & (odd >= 3)).tolist():
            old, new = float(level[row]), float(ratio[row])
            level[row], odd[row] = new, 0
            usual = float(workloads.column("level_usd")[row] - workloads.column("level_gpu_usd")[row]) * BINS_AN_HOUR
            change = usual * (new / old - 1.0)
            if open_[row] or abs(change) < self.floor_usd_per_hour * 0.1:
                continue
            open_[row], since[row] = True, minute.end_s - 3 * BIN_S
            findings.append(self._price_finding(fleet, minute, row, old, new, change))
        for row in np.flatnonzero(open_ & (minute.end_s - since > self.adopt_after_s)).tolist():
            open_[row] = False
            findings.append(self._price_finding(fleet, minute, row, 0.0, float(level[row]), 0.0, cleared=True))
        return findings

    def _price_finding(
        self, fleet: Fleet, minute: Minute, row: int, old: float, new: float, change: float, *, cleared: bool = False
    ) -> Finding:
        began_s = float(fleet.workloads.column("price_since_s")[row])
        hours = (minute.end_s - began_s) / 3600.0
        return Finding(
            kind=Kind.ANOMALY,
            cause=Cause.PRICE,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=minute.known_at if cleared else None,
            workload=fleet.workloads.keys[row],
            team=fleet.teams[row],
            cleared=cleared,
            usd_per_hour=round(change, 6),
            usd_so_far=round(change * hours, 6),
            observed=round(new, 6),
            expected=round(old, 6) if old else None,
            unit="times_reference_price",
            confidence=0.95,
            evidence={"price_ratio": round(new / old, 6)} if old else {},
            changes=self._changes(minute, row, began_s),
        )

    def _begin(self, fleet: Fleet, minute: Minute, row: int, *, slow: bool) -> None:
        workloads = fleet.workloads
        workloads.column("odd_open")[row] = True
        workloads.column("odd_slow")[row] = slow
        workloads.column("calm_bins")[row] = 0
        if slow:
            hours = (minute.end_s // 3600 - 1 - np.arange(SLOW_HOURS - 1, -1, -1)) % 24
            usual = workloads.column("profile_usd")[row, hours]
            above = workloads.column("ring_usd")[row] > 1.1 * usual
            run = int(np.argmin(above[::-1])) if not above.all() else SLOW_HOURS
            workloads.column("odd_since_s")[row] = minute.end_s - 3600 * max(run, 1)
            expected = float(usual.mean()) / BINS_AN_HOUR
            over = workloads.column("ring_usd")[row] - usual
            workloads.column("odd_excess_usd")[row] = float(over[SLOW_HOURS - max(run, 1) :].sum())
            now = {name: float(workloads.column(f"ring_{name}")[row].mean()) / BINS_AN_HOUR for name in _SUMS}
        else:
            workloads.column("odd_since_s")[row] = minute.end_s - BIN_S
            expected = float(workloads.column("level_usd")[row])
            workloads.column("odd_excess_usd")[row] = float(workloads.column("bin_usd")[row]) - expected
            now = {name: float(workloads.column(f"bin_{name}")[row]) for name in _SUMS}
        workloads.column("odd_expected_usd")[row] = expected
        usually = {name: float(workloads.column(f"level_{name}")[row]) for name in _SUMS}
        cause = cause_of(Shape(**usually), Shape(**now))
        if slow and cause is Cause.REQUEST_RATE:
            cause = Cause.LEVEL_STEP
        workloads.column("odd_cause")[row] = list(Cause).index(cause)

    def _say(self, fleet: Fleet, minute: Minute, row: int, *, ended: bool = False) -> Finding:
        workloads = fleet.workloads
        began_s = float(workloads.column("odd_since_s")[row])
        expected = float(workloads.column("odd_expected_usd")[row]) * BINS_AN_HOUR
        slow = bool(workloads.column("odd_slow")[row])
        recent: NDArray[Any] = workloads.column("ring_usd")[row]
        observed = float(recent.mean()) if slow else float(workloads.column("bin_usd")[row]) * BINS_AN_HOUR
        excess = float(workloads.column("odd_excess_usd")[row])
        record = float(workloads.column("record_usd")[row]) * BINS_AN_HOUR
        changes = self._changes(minute, row, began_s)
        return Finding(
            kind=Kind.ANOMALY,
            cause=list(Cause)[int(workloads.column("odd_cause")[row])],
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=moment(minute.end_s - (3 * BIN_S if not slow else 0)) if ended else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            cleared=ended,
            usd_per_hour=0.0 if ended else round(max(observed - expected, 0.0), 6),
            usd_so_far=round(excess, 6),
            observed=round(observed, 6),
            expected=round(expected, 6),
            confidence=0.9,
            evidence={"record_usd_per_hour": round(record, 6), "window_s": float(SLOW_HOURS * 3600 if slow else BIN_S)},
            changes=changes,
        )

    @staticmethod
    def _changes(minute: Minute, row: int, began_s: float) -> tuple[str, ...]:
        """What people did to the workload in the two hours before, the nearest first."""
        near = sorted((abs(began_s - at), kind, text) for who, at, kind, text in minute.changes if who == row)
        return tuple(f"{kind}: {text}" for gap_s, kind, text in near if gap_s <= 7200)
