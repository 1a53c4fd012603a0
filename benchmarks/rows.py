"""What a row costs: bytes for each workload and accelerator, and how long each detector looks, by number of rows.

    python benchmarks/rows.py [--rows 1000 10000 100000]

Every row reports in every minute; half of the workloads have one accelerator. Times are medians, of minutes that end
a bin (ten minutes) and that end an hour, and of others.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detectors.anomaly import AnomalyDetector
from detectors.data_gap import DataGapDetector
from detectors.idle import IdleDetector
from detectors.minute import Detector, DeviceMinute, Minute, UsageMinute
from detectors.panel import Fleet, Panel
from detectors.scale_out import ScaleOutDetector
from detectors.stuck import StuckDetector
from detectors.unpriced import UnpricedDetector
from streams.status import Statuses

BEGIN_S = 1_769_428_800


def detectors() -> tuple[Detector, ...]:
    """All that look at minutes."""
    return (
        IdleDetector(), DataGapDetector(), UnpricedDetector(), StuckDetector(), ScaleOutDetector(), AnomalyDetector(),
    )  # fmt: skip


def fleet_of(n_rows: int) -> Fleet:
    """So many workloads, half of them with an accelerator."""
    fleet = Fleet(max_workloads=max(n_rows + 1, 2), max_devices=max(n_rows, 2))
    for number in range(n_rows):
        row = fleet.workload(f"prod/team-{number % 100}/service-{number}", "team")
        if number % 2:
            fleet.device(f"GPU-{number:032x}", "H100", row)
    return fleet


def minute_of(fleet: Fleet, end_s: int, random: np.random.Generator) -> Minute:
    """A minute in which all report."""
    n_devices, n_rows = len(fleet.devices), len(fleet.workloads)
    gpu, use = (lambda: random.uniform(0.1, 0.9, n_devices)), (lambda: random.uniform(1.0, 9.0, n_rows))
    device = {name: gpu() for name in ("util_ratio", "sm_active_ratio", "memory_used_ratio")}
    unknown, usd = np.full(n_devices, np.nan), use() * 0.01
    return Minute(
        end_s=end_s,
        lateness_s=120,
        devices=DeviceMinute(
            row=np.arange(n_devices), workload=np.arange(n_devices) * 2 + 1, span_s=np.full(n_devices, 60.0),
            last_span_s=np.full(n_devices, 30.0), engine_active_ratio=unknown, tensor_active_ratio=unknown,
            power_w=gpu() * 700.0, usd_per_hour=np.full(n_devices, 4.0), **device,
        ),
        usage=UsageMinute(
            row=np.arange(n_rows), span_s=np.full(n_rows, 60.0), requests=use(), errors=np.zeros(n_rows),
            input_tokens=use() * 1000.0, output_tokens=use() * 100.0, running=use(), waiting=np.zeros(n_rows),
            usd=usd, reference_usd=usd,
        ),
    )  # fmt: skip


def sizes(panel: Panel) -> list[tuple[str, int]]:
    """Bytes of a row, by column, the largest first."""
    widths = {name: int(panel.column(name)[:1].nbytes) for name in panel.names}
    return sorted(widths.items(), key=lambda one: (-one[1], one[0]))


def seconds(look: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    look()
    return time.perf_counter() - began


def looks(n_rows: int) -> dict[str, tuple[float, float, float]]:
    """Median seconds of each detector: for a plain minute, one that ends a bin, and one that ends an hour."""
    random, fleet, statuses = np.random.default_rng(1), fleet_of(n_rows), Statuses(IdleDetector())
    times: dict[str, list[list[float]]] = {}
    ends = [BEGIN_S + 600 * step + offset for step in range(1, 7) for offset in (0, 60)]
    for end_s in ends:
        minute = minute_of(fleet, end_s, random)
        kind = 2 if end_s % 3600 == 0 else 1 if end_s % 600 == 0 else 0
        for detector in detectors():
            spent = times.setdefault(detector.name, [[], [], []])
            spent[kind].append(seconds(lambda one=detector, now=minute: one.look(fleet, now)))  # type: ignore[misc]
        spent = times.setdefault("statuses", [[], [], []])
        spent[kind].append(seconds(lambda now=minute: statuses.take(fleet, now)))  # type: ignore[misc]
        if len(spent[0]) < 3:
            drained = times.setdefault("statuses.drain", [[], [], []])
            drained[kind].append(seconds(lambda: statuses.drain(fleet)))
    return {name: tuple(median(part) if part else float("nan") for part in spent) for name, spent in times.items()}  # type: ignore[misc]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    counts = parser.parse_args().rows
    fleet = fleet_of(2)
    for detector in detectors():
        detector.look(fleet, minute_of(fleet, BEGIN_S, np.random.default_rng(1)))
    Statuses.declare(fleet)
    for name, panel in (("workload", fleet.workloads), ("accelerator", fleet.devices)):
        held = sizes(panel)
        print(f"{name}: {sum(size for _, size in held)} bytes a row in {len(held)} columns")
        print("  " + ", ".join(f"{column} {size}" for column, size in held if size > 8))
    print("\nmicroseconds a row: plain minute / end of a bin / end of an hour")
    for n_rows in counts:
        for name, spent in looks(n_rows).items():
            print(f"{n_rows:>8} {name:<16}" + " / ".join(f"{1e6 * one / n_rows:8.3f}" for one in spent))


if __name__ == "__main__":
    main()
