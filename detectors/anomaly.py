"""Spend unlike its own past: in what a request costs, in ten minutes, and over a day.

Price, model mix and tokens a request are judged as ratios, apart from volume: a dearer model shows at once in what a
token costs, however the traffic moves. Volume is then judged by the spend that these steps don't explain. A bin is
judged before it is learnt, and what is called odd is not learnt until it has lasted for a day; then it is the new
normal. A workload of less than two weeks is too young to tell odd from rare: what is told of it is learnt as soon as it
is over. A workload has one such incident at a time (and one for its price).
"""

from dataclasses import dataclass, field

import numpy as np

from detectors import bins
from detectors.bins import BIN_S, Floats
from detectors.findings import Finding
from detectors.level import Level
from detectors.minute import Minute, Rows
from detectors.panel import Fleet
from detectors.price_step import PriceStep
from detectors.spike import Spike
from detectors.unit_cost import UnitCost


@dataclass(frozen=True)
class AnomalyDetector:
    """Finds spend that a workload's own history does not explain."""

    min_history_h: float = 48.0  # cold start: quiet until then
    prices: PriceStep = field(default_factory=PriceStep)
    unit_cost: UnitCost = field(default_factory=UnitCost)
    spikes: Spike = field(default_factory=Spike)
    levels: Level = field(default_factory=Level)
    name: str = "anomaly"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Add the minute to its bin; judge and then learn each bin and hour that is complete."""
        bins.declare(fleet)
        bins.add(fleet, minute)
        if minute.end_s % BIN_S:
            return []
        self._declare(fleet)
        days = bins.days_known(fleet, minute.end_s)
        min_days = self.min_history_h / 24.0
        prices = self.prices.bin(fleet, minute)
        steps = self.unit_cost.bin(fleet, minute, days, min_days)
        tokens_usd = self._volume_usd(fleet)
        spikes = self.spikes.bin(
            fleet, minute, tokens_usd, judged=days >= min_days, young=days < self.levels.full_history_days
        )
        workloads = fleet.workloads
        spiking = workloads.column("spike_open")
        told = spiking | workloads.column("scale_open")  # extra accelerators that are told as waste
        self.levels.bin(fleet, tokens_usd + workloads.column("bin_gpu_usd"), told=told)
        levels = self.levels.hour(fleet, minute, days, min_days) if minute.end_s % 3600 == 0 else []
        odd = spiking | self.unit_cost.open(fleet) | workloads.column("level_open")
        bins.learn(fleet, calm=~odd)
        bins.clear(fleet)
        still_odd = {workloads.keys[row] for row in np.flatnonzero(odd).tolist()}
        return prices + _one_each([*spikes, *steps, *levels], still_odd)

    def sleep(self, fleet: Fleet, rows: Rows, since_s: Floats, until_s: int) -> None:
        """Bring rows that were evicted up to date: nothing came, and bins and hours went by."""
        bins.declare(fleet)
        self._declare(fleet)
        self.spikes.sleep(fleet, rows, (until_s // BIN_S - since_s // BIN_S).astype(np.int64))
        self.levels.sleep(fleet, rows, (until_s // 3600 - since_s // 3600).astype(np.int64))

    def _declare(self, fleet: Fleet) -> None:
        fleet.workloads.declare("scale_open", "?", False)
        fleet.workloads.declare("volume_factor", "f8", 1.0)
        for part in (self.prices, self.unit_cost, self.spikes, self.levels):
            part.declare(fleet)

    def _volume_usd(self, fleet: Fleet) -> Floats:
        """What the bin's tokens would have cost had price, model and size of a request stayed as they were: (rows,).

        Notes in `volume_factor` how many times that they do cost now.
        """
        workloads = fleet.workloads
        shift, level = self.unit_cost.shift(fleet), workloads.column("price_level")
        workloads.column("volume_factor")[:] = np.where(level > 0, level, 1.0) * np.exp(shift)
        usd: Floats = workloads.column("bin_reference_usd") * np.exp(-shift)
        return usd


def _one_each(findings: list[Finding], still_odd: set[str]) -> list[Finding]:
    """The first that lasts of each workload; an end only where all has ended."""
    chosen: dict[str, Finding] = {}
    for finding in findings:
        workload = finding.workload or ""
        before = chosen.get(workload)
        if finding.cleared and workload in still_odd:
            continue
        if before is None or (before.cleared and not finding.cleared):
            chosen[workload] = finding
    return list(chosen.values())
