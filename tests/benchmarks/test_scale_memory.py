"""100,000 workloads have to fit into 512 MiB: what one of them holds is bounded, all detectors on."""

import tracemalloc
from datetime import UTC, datetime, timedelta

from benchmarks.suites.scale import pipeline, slices

MOST_BYTES = (
    3_500  # of one workload with one accelerator; the rest of 512 MiB is the interpreter and what passes through
)


def held_bytes(workloads: int) -> int:
    fed, begin = pipeline(workloads), datetime(2026, 3, 2, 12, tzinfo=UTC)
    before, _ = tracemalloc.get_traced_memory()
    for minute in range(5):
        at = begin + timedelta(minutes=minute)
        for piece in slices(workloads, minute, at, minute * workloads):
            fed.observe(piece, frozenset(), at)
        fed.drain()
        fed.changes()
    return tracemalloc.get_traced_memory()[0] - before


def test_a_workload_holds_no_more_than_its_share():
    tracemalloc.start()
    try:
        few, many = held_bytes(1_000), held_bytes(5_000)
    finally:
        tracemalloc.stop()
    assert (many - few) / 4_000 < MOST_BYTES
