"""From 1,000 to a million workloads through one pipeline, without a broker: cost of an event, memory, snapshot."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.events import PRICES, sample, stamp
from benchmarks.figures import Result, Run, Verdict, figure_of, quotient, row_of
from console import assemble
from console.settings import parse_settings
from console.settings_sources import Sources
from store.store import Store
from streams.pipeline import Pipeline
from streams.records import Slice

SLICE = 5_000
CHILD_S = 900.0
MINUTES = {1_000: 60, 10_000: 12, 100_000: 2, 1_000_000: 1}
ROWS = 100_000  # `stream.max_workloads` as shipped: beyond it new ones share a row
WARM_MINUTES = 4  # the first is all new rows, and only then a minute closes with each that comes
NOTES = [
    "In one process without Kafka and database: decode, price, fold, judge, and hand over what a commit would write. "
    "Each workload has one accelerator that reports once a minute; making the messages is not measured.",
    "Of a million workloads the first 99,999 have rows of their own, as with the limits as shipped; the others share "
    "one, which counts their dollars.",
    "First sight is the first minute, in which every row is new. The other rates are of minutes that each close one "
    "before.",
    "The snapshot is the whole state; its changes are what one commit writes after a minute in which all workloads "
    "reported, and the cost of an event is without them.",
]


def run(quick: bool) -> Result:
    """Each size in a process of its own, so that its memory is its own."""
    rounds = 1 if quick else 3
    runs: dict[int, list[Run]] = {}
    for _ in range(rounds):
        for size in MINUTES:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.suites.scale", str(size)],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                text=True,
                timeout=CHILD_S,
                check=True,
            )
            runs.setdefault(size, []).append(json.loads(done.stdout.splitlines()[-1]))
            print(f"  {size:,}: {runs[size][-1]}", flush=True)
    rows = [row_of(f"{size:,} workloads", found) for size, found in runs.items()]
    smallest = figure_of(rows, "1,000 workloads", "us_per_event")
    for row in rows:
        row.figures["ratio"] = quotient(row.figures["us_per_event"], smallest) or 0.0
    memory = figure_of(rows, "100,000 workloads", "rss_mib")
    verdicts = [
        Verdict(
            aim="cost of an event, the dearest size to 1,000 workloads",
            wanted=1.2,
            got=max(row.figures["ratio"] for row in rows),
            at_most=True,
        ),
        Verdict(aim="100,000 workloads, peak RSS in MiB", wanted=512.0, got=memory, at_most=True),
    ]
    return Result(suite="scale", quick=quick, rounds=rounds, rows=rows, verdicts=verdicts, notes=NOTES)


def pipeline(workloads: int) -> Pipeline:
    """A pipeline as a worker builds it, with room for so many workloads and the shared row, at most as shipped."""
    rows = workloads + 1 if workloads <= ROWS else ROWS
    settings = parse_settings(
        json.dumps({"prices": PRICES, "stream": {"max_workloads": rows, "max_devices": rows}}),
        "benchmark",
        Sources(Path.cwd(), {}),
    )
    return assemble.pipelines(settings, assemble.router(settings), Store.open("sqlite://"))(0)


def slices(workloads: int, minute: int, at: datetime, offset: int) -> Iterator[Slice]:
    """What all workloads say in one minute."""
    moment, arrived_ms = stamp(at), int(at.timestamp() * 1000)
    for start in range(0, workloads, SLICE):
        values = [sample(number, moment, 60, minute).encode() for number in range(start, min(start + SLICE, workloads))]
        places = range(offset + start, offset + start + len(values))
        yield Slice("gpu.samples", 0, places, [arrived_ms] * len(values), values)


def measure(workloads: int, minutes: int) -> Run:
    """Feed one pipeline for so many minutes after the warm ones."""
    fed, begin = pipeline(workloads), datetime(2026, 3, 2, 12, tzinfo=UTC)
    spent: list[tuple[float, float]] = []
    changed, changes_s = 0, 0.0
    for minute in range(WARM_MINUTES + minutes):
        wall_s = cpu_s = 0.0
        at = begin + timedelta(minutes=minute)
        for piece in slices(workloads, minute, at, minute * workloads):
            began, began_cpu = perf_counter(), process_time()
            fed.observe(piece, frozenset(), at)
            wall_s, cpu_s = wall_s + perf_counter() - began, cpu_s + process_time() - began_cpu
        began, began_cpu = perf_counter(), process_time()
        fed.drain()
        spent.append((wall_s + perf_counter() - began, cpu_s + process_time() - began_cpu))
        began = perf_counter()
        changed = sum(len(part) for part in fed.changes().values() if part is not None)
        changes_s = perf_counter() - began
    rss_mib = peak_rss_mib()  # a worker never takes the whole snapshot: it writes the changes
    began = perf_counter()
    snapshot = fed.snapshot()
    snapshot_s = perf_counter() - began
    whole = sum(map(len, snapshot.values()))
    wall_s, cpu_s = (sum(part) for part in zip(*spent[WARM_MINUTES:], strict=True))
    return {
        "events_per_s": workloads * minutes / wall_s,
        "events_per_cpu_s": workloads * minutes / cpu_s,
        "new_us_per_event": spent[0][1] / workloads * 1e6,
        "us_per_event": cpu_s / (workloads * minutes) * 1e6,
        "rss_mib": rss_mib,
        "snapshot_mib": whole / 2**20,
        "snapshot_s": snapshot_s,
        "changes_mib": changed / 2**20,
        "changes_s": changes_s,
    }


def peak_rss_mib() -> float:
    """The largest resident size of this process; `ru_maxrss` would be its parent's where that was larger."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    size = int(sys.argv[1])
    print(json.dumps(measure(size, MINUTES[size])))
