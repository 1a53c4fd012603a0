"""The same tokens at another price: told once, with its dollars growing for a day; then it is the price."""

from dataclasses import dataclass

import numpy as np

from detectors import bins
from detectors.bins import BIN_S, BINS_AN_HOUR, Floats
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import Fleet


@dataclass(frozen=True)
class PriceStep:
    """Finds a step of what the tokens of a workload cost against the first price known for them.

    A price list that moves input and output apart gives a range of ratios, not one: a step lies outside that range.
    """

    step_ratio: float = 0.08  # reported costs are rounded, and caches shift them a little; list prices move by more
    held_bins: float = 3.0
    floor_usd_per_hour: float = 0.05  # a change of price is news that lasts; it needs few dollars an hour
    told_for_s: float = 86_400.0

    def declare(self, fleet: Fleet) -> None:
        """The columns kept here."""
        for name in ("level", "low", "high", "odd", "since_s", "old", "usd"):
            fleet.workloads.declare(f"price_{name}", "f8", 0.0)
        fleet.workloads.declare("price_open", "?", False)

    def bin(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Judge the price that this bin's tokens had."""
        workloads = fleet.workloads
        usd = workloads.column("bin_usd") - workloads.column("bin_gpu_usd")
        reference = workloads.column("bin_reference_usd")
        level, odd = workloads.column("price_level"), workloads.column("price_odd")
        known = (reference > 0) & (usd > 0)
        ratio: Floats = np.divide(usd, reference, out=np.ones_like(usd), where=known)
        low, high = workloads.column("price_low"), workloads.column("price_high")
        first = known & (level == 0)
        for bound in (level, low, high):
            bound[first] = ratio[first]
        outside = (ratio > high * (1.0 + self.step_ratio)) | (ratio * (1.0 + self.step_ratio) < low)
        odd[known] = np.where(outside[known], odd[known] + 1, 0)
        open_, since = workloads.column("price_open"), workloads.column("price_since_s")
        old, so_far = workloads.column("price_old"), workloads.column("price_usd")
        running = open_.copy()
        for row in np.flatnonzero(known & (odd >= self.held_bins)).tolist():
            usual = float(workloads.column("usual_usd")[row] - workloads.column("usual_gpu_usd")[row]) * BINS_AN_HOUR
            change = float(ratio[row] / level[row] - 1.0)
            if not open_[row] and abs(usual * change) >= self.floor_usd_per_hour:
                open_[row], running[row] = True, True
                since[row], old[row] = minute.end_s - self.held_bins * BIN_S, level[row]
                so_far[row] = usual * change / BINS_AN_HOUR * (self.held_bins - 1)
            level[row], odd[row] = ratio[row], 0.0
            low[row] = high[row] = ratio[row]
        seen = known & (open_ | ~outside)  # what else these prices give, as the mix of input and output moves
        low[seen], high[seen] = np.minimum(low, ratio)[seen], np.maximum(high, ratio)[seen]
        moved = np.divide(level - old, level, out=np.zeros_like(usd), where=level > 0)
        so_far[running] += (usd * moved)[running]
        findings = []
        for row in np.flatnonzero(running).tolist():
            over = minute.end_s - since[row] > self.told_for_s
            usual = float(workloads.column("usual_usd")[row] - workloads.column("usual_gpu_usd")[row]) * BINS_AN_HOUR
            change = usual * (float(level[row] / old[row]) - 1.0)
            findings.append(self._say(fleet, minute, row, change, over=bool(over)))
            open_[row] = not over
        return findings

    @staticmethod
    def _say(fleet: Fleet, minute: Minute, row: int, change: float, *, over: bool) -> Finding:
        workloads = fleet.workloads
        began_s, old = float(workloads.column("price_since_s")[row]), float(workloads.column("price_old")[row])
        new = float(workloads.column("price_level")[row])
        return Finding(
            kind=Kind.ANOMALY,
            cause=Cause.PRICE,
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=minute.known_at if over else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            cleared=over,
            usd_per_hour=round(change, 6),
            usd_so_far=round(abs(float(workloads.column("price_usd")[row])), 6),  # its size; the rate says which way
            observed=round(new, 6),
            expected=round(old, 6),
            unit="times_reference_price",
            confidence=0.95,
            evidence={"price_ratio": round(new / old, 6)},
            changes=bins.changes_near(minute, row, began_s),
        )
