"""How fast and how good the spend forecast is, beside seasonal naive.

    python benchmarks/forecast.py [--data FOLDER]

Speed: 10,000 series of 56 days, one core. Accuracy: hourly requests of language model tenants (servegen_tokens),
GPUs in use (helios_earth_alloc) and real server metrics (nab-dev), where FOLDER holds them.
"""

import argparse
import csv
import gzip
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detectors.forecast import forecast_steps, forecast_totals

Matrix = NDArray[np.float64]
MAY_2020 = 24 * 18383  # epoch hour of 2020-05-01
SHARES = (0.025, 0.1, 0.5, 0.9, 0.975)


def speed() -> None:
    """Seconds for ten thousand series."""
    random = np.random.default_rng(1)
    hours = np.arange(56 * 24)
    history = random.uniform(1.0, 20.0, (10_000, 1)) * (1.0 + 0.5 * np.sin(hours / 24.0 * 2.0 * np.pi))
    history *= random.lognormal(0.0, 0.2, history.shape)
    end = len(hours)
    began = time.perf_counter()
    forecast_totals(history, 0, [(end, end + 24), (end, end + 168), (end - 300, end + 420)])
    print(f"10,000 series x 56 days, 13 backtests each: {time.perf_counter() - began:.2f} s")


def servegen(data: Path) -> Matrix:
    """Requests of each hour for tenants with at least 2,000 in 14 days: (n_rows, 336)."""
    rows: dict[str, Matrix] = defaultdict(lambda: np.zeros(336))
    for model in ("m-small", "m-large"):
        with gzip.open(data / f"servegen_tokens/{model}_10min.csv.gz", "rt") as file:
            for row in csv.DictReader(file):
                rows[f"{model}/{row['client_id']}"][int(row["t_s"]) // 3600] += float(row["requests"])
    return np.array([values for values in rows.values() if values.sum() > 2000])


def helios(data: Path) -> Matrix:
    """GPUs in use in each hour of May 2020, by virtual cluster: (n_rows, 744)."""
    rows: dict[str, Matrix] = defaultdict(lambda: np.zeros(744))
    with gzip.open(data / "helios_earth_alloc/vc_minutes.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["time"]).replace(tzinfo=UTC)
            rows[row["vc"]][int(at.timestamp()) // 3600 - MAY_2020] += float(row["running_gpu_num"]) / 60.0
    return np.array(list(rows.values()))


def nab(data: Path) -> Iterator[tuple[int, Matrix]]:
    """Hourly means of the real files of at least 13 days: (first hour, values)."""
    for path in sorted((data / "nab-dev/data").glob("real*/*.csv")):
        sums: dict[int, list[float]] = defaultdict(list)
        with path.open() as file:
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
                sums[int(at.timestamp()) // 3600].append(float(row["value"]))
        first, last = min(sums), max(sums)
        if last - first >= 13 * 24:
            yield first, np.array([np.mean(sums[h]) if h in sums else np.nan for h in range(first, last + 1)])


def totals(name: str, series: Matrix, first_hour: int, hours: int) -> None:
    """Error of totals over a horizon, from origins two days apart after the first five days."""
    error = naive = actual_sum = 0.0
    inside = []
    for end in range(120, series.shape[1] - hours + 1, 48):
        now = first_hour + end
        got = forecast_totals(series[:, :end], first_hour, [(now, now + hours)])
        actual = series[:, end : end + hours].sum(axis=1)
        error += float(np.abs(got.p50[:, 0] - actual).sum())
        naive += float(np.abs(series[:, end - 24 : end].sum(axis=1) * hours / 24.0 - actual).sum())
        actual_sum += float(actual.sum())
        inside.append((got.p10[:, 0] - 1e-9 <= actual) & (actual <= got.p90[:, 0] + 1e-9))
    print(
        f"{name:>9} totals of {hours:>3} h: WAPE {error / actual_sum:.3f}, yesterday again {naive / actual_sum:.3f}, "
        f"ratio {error / naive:.3f}; 80 % interval covers {np.mean(inside):.3f}"
    )


def steps(name: str, series: list[tuple[int, Matrix]]) -> None:
    """Error of single hours: 168 h from four origins for long series, 48 h from three for short ones."""
    rows = []
    for first_hour, values in series:
        hours, origins = (168, 4) if len(values) >= 28 * 24 else (48, 3)
        for back in range(1, origins + 1):
            end = len(values) - hours * back
            past, actual = values[:end], values[end : end + hours]
            got = forecast_steps(past[None, :], first_hour, hours)
            scale = float(np.nanmean(np.abs(past[24:] - past[:-24])))
            yesterday = past[-24:][np.arange(hours) % 24]
            known = np.isfinite(actual) & np.isfinite(yesterday)
            quantiles = [q[0][known] for q in (got.p025, got.p10, got.p50, got.p90, got.p975)]
            true = actual[known]
            if scale <= 0.0 or not known.any():
                continue
            error, naive = (np.abs(guess - true).mean() / scale for guess in (quantiles[2], yesterday[known]))
            loss = [
                np.maximum(share * (true - guess), (share - 1.0) * (true - guess)).mean()
                for share, guess in zip(SHARES, quantiles, strict=True)
            ]
            covers = [np.mean((quantiles[low] - 1e-9 <= true) & (true <= quantiles[4 - low] + 1e-9)) for low in (1, 0)]
            rows.append((error, naive, min(float(np.mean(loss)) / scale, 5.0), *covers))
    table = np.array(rows)
    ratio = np.exp(np.mean(np.log((table[:, 0] + 1e-6) / (table[:, 1] + 1e-6))))
    print(
        f"{name:>9} hours, {len(table)} tasks: MASE median {np.median(table[:, 0]):.3f}, relMAE {ratio:.3f}, "
        f"pinball {table[:, 2].mean():.3f}; 80 % covers {table[:, 3].mean():.3f}, 95 % {table[:, 4].mean():.3f}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the recorded traces")
    data = parser.parse_args().data
    speed()
    if not data.is_dir():
        print(f"no recorded traces at {data}: accuracy is not measured")
        return
    tenants, clusters = servegen(data), helios(data)
    for hours in (24, 48, 168):
        totals("servegen", tenants, 0, hours)
        totals("helios", clusters, MAY_2020, hours)
    steps("nab", list(nab(data)))
    steps("helios", [(MAY_2020, row) for row in clusters])
    steps("servegen", [(0, row) for row in tenants if np.mean(row > 0.0) > 0.9])


if __name__ == "__main__":
    main()
