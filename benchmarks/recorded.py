"""Recorded traffic as hourly series: what the forecaster is measured on, where the traces are at hand."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

TRACES = Path(__file__).parents[2] / "shared" / "data"
LEAST_REQUESTS = 2_000  # in 14 days, for a tenant to be looked at
LEAST_DAYS = 13


class Source(Struct, frozen=True):
    """Series that begin at the same hour. values: (n_rows, n_hours), NaN where unknown."""

    name: str
    first_hour: int  # epoch hour of the first column
    values: Matrix


def sources(data: Path) -> Iterator[Source]:
    """Every trace that the folder holds."""
    if (data / "servegen_tokens").is_dir():
        yield Source("tenants' requests", 0, tenants(data))
    if (data / "helios_earth_alloc").is_dir():
        yield clusters(data)
    if (data / "philly_nodes").is_dir():
        yield nodes(data)
    if (data / "nab-dev").is_dir():
        yield from servers(data)


def tenants(data: Path) -> Matrix:
    """Requests of each hour for tenants with at least LEAST_REQUESTS in 14 days: (n_rows, 336)."""
    rows: dict[str, Matrix] = defaultdict(lambda: np.zeros(336))
    for path in sorted((data / "servegen_tokens").glob("*_10min.csv.gz")):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                rows[f"{path.name}/{row['client_id']}"][int(row["t_s"]) // 3600] += float(row["requests"])
    return np.array([values for values in rows.values() if values.sum() > LEAST_REQUESTS])


def clusters(data: Path) -> Source:
    """GPUs in use in each hour of a month, by virtual cluster."""
    rows: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(data / "helios_earth_alloc/vc_minutes.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rows[row["vc"]][hour_of(row["time"])].append(float(row["running_gpu_num"]))
    return together("clusters' GPUs in use", list(rows.values()))


def nodes(data: Path) -> Source:
    """Nodes in use in each hour of three months, one cluster."""
    hours: dict[int, list[float]] = defaultdict(list)
    with gzip.open(data / "philly_nodes/node_minutes.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            hours[hour_of(row["time"])].append(float(row["active_nodes"]))
    return together("clusters' nodes in use", [hours])


def servers(data: Path) -> Iterator[Source]:
    """Hourly means of real server metrics, traffic and tweets, where there are LEAST_DAYS of them."""
    for path in sorted((data / "nab-dev/data").glob("real*/*.csv")):
        hours: dict[int, list[float]] = defaultdict(list)
        with path.open() as file:
            for row in csv.DictReader(file):
                hours[hour_of(row["timestamp"])].append(float(row["value"]))
        if max(hours) - min(hours) >= LEAST_DAYS * 24:
            yield together("server metrics", [hours])


def spend(folder: Path, twin: str) -> Source:
    """USD of each hour and workload of a benchmark that `bench.make` wrote; twin: `clean` or `injected`."""
    column = {"clean": "usd_clean", "injected": "usd"}[twin]
    rows: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (folder / "spend_truth.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["workload"]][hour_of(row["hour"])].append(float(row[column]))
    return together(f"spend, {twin} twin", [rows[name] for name in sorted(rows)])


def budgets(folder: Path) -> list[dict[str, object]]:
    """The budgets that the benchmark names."""
    found: list[dict[str, object]] = json.loads((folder / "manifest.json").read_text())["budgets"]
    return found


def together(name: str, rows: list[dict[int, list[float]]]) -> Source:
    """Means by hour as one matrix; an hour without a value is unknown."""
    first, last = min(min(hours) for hours in rows), max(max(hours) for hours in rows)
    values = np.full((len(rows), last - first + 1), np.nan)
    for place, hours in enumerate(rows):
        for hour, given in hours.items():
            values[place, hour - first] = np.mean(given)
    return Source(name, first, values)


def hour_of(text: str) -> int:
    """Epoch hour; a time without an offset is UTC."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) // 3600
