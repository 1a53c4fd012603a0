"""What one accelerator's telemetry says: quiet, busy or nothing. Unknown is not idle.

Families of evidence are counted, not fields: activity (utilisation, engine, multiprocessor and tensor activity),
power against the lowest level seen on this device, and memory that is empty. Held memory is no evidence either way.
No accelerator draws 0 W, so a reading of 0 is none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.minute import DeviceMinute, Floats
from detectors.panel import Panel


@dataclass(frozen=True, slots=True)
class Evidence:
    """By reporting device: how many families call it quiet (0 to 3), and whether any calls it busy."""

    families: NDArray[np.int64]
    busy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """Thresholds. Ratios are 0 to 1."""

    util_below_ratio: float = 0.05
    active_below_ratio: float = 0.05  # engine and multiprocessors
    tensor_below_ratio: float = 0.02
    power_factor: float = 1.6  # times the lowest power seen on the device
    power_margin_w: float = 10.0
    power_ceiling_w: float = 180.0  # no accelerator above this is quiet, whatever its lowest level
    memory_empty_ratio: float = 0.02

    def judge(self, devices: Panel, seen: DeviceMinute) -> Evidence:
        """Weigh a minute's samples; learns the lowest power of each device (column `lowest_power_w`)."""
        lowest = devices.column("lowest_power_w")
        power_w = np.where(seen.power_w > 0, seen.power_w, np.nan)
        lowest[seen.row] = np.fmin(lowest[seen.row], power_w)
        quiet_power_w = np.minimum(lowest[seen.row] * self.power_factor + self.power_margin_w, self.power_ceiling_w)
        activity = (
            (seen.util_ratio, self.util_below_ratio),
            (seen.engine_active_ratio, self.active_below_ratio),
            (seen.sm_active_ratio, self.active_below_ratio),
            (seen.tensor_active_ratio, self.tensor_below_ratio),
        )
        known = np.zeros(len(seen.row), dtype=bool)
        busy = np.zeros(len(seen.row), dtype=bool)
        for value, limit in activity:
            known |= ~np.isnan(value)
            busy |= _above(value, limit)
        busy |= _above(power_w, quiet_power_w)
        families = (known & ~busy).astype(np.int64)
        families += ~np.isnan(power_w) & ~busy
        families += ~np.isnan(seen.memory_used_ratio) & (seen.memory_used_ratio < self.memory_empty_ratio) & ~busy
        return Evidence(families, busy)


def _above(value: Floats, limit: Floats | float) -> NDArray[np.bool_]:
    """Known and above; a NaN is neither above nor below."""
    return np.greater(value, limit, where=~np.isnan(value), out=np.zeros(len(value), dtype=bool))
