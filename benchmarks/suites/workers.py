"""One worker against two on the same log: how much faster the second makes it."""

import os
import uuid
from datetime import UTC, datetime
from time import monotonic

from benchmarks.events import singles
from benchmarks.figures import Result, Run, Verdict, add_ratios, figure_of, quotient, row_of
from benchmarks.installation import START_S, Installation
from benchmarks.kafka_load import PARTITIONS, preload
from benchmarks.servers import Servers, servers
from tests.support.waiting import wait_until

ONE, TWO = "one worker", "two workers"


def run(quick: bool) -> Result:
    """Both in turn, on PostgreSQL."""
    runs: dict[str, list[Run]] = {ONE: [], TWO: []}
    total, longest_s, rounds = (200_000, 8.0, 1) if quick else (2_000_000, 20.0, 3)
    with servers() as where:
        topic = preload(where.bootstrap, singles(total, until=datetime.now(UTC)))
        for _ in range(rounds):
            runs[ONE].append(measured(where, topic, 1, total, longest_s))
            runs[TWO].append(measured(where, topic, 2, total, longest_s))
            print(f"  {runs[ONE][-1]} {runs[TWO][-1]}", flush=True)
    rows = [row_of(name, found) for name, found in runs.items()]
    add_ratios(rows, ONE, "events_per_s")
    got = quotient(figure_of(rows, TWO, "events_per_s"), figure_of(rows, ONE, "events_per_s"))
    notes = [
        f"Kafka and PostgreSQL run on the same {os.cpu_count()} cores, and take their part from the second worker.",
        "Two workers are measured from the moment at which each of them owns two of the four partitions.",
    ]
    verdicts = [Verdict(aim="two workers against one", wanted=1.8, got=got)]
    return Result(suite="workers", quick=quick, rounds=rounds, rows=rows, verdicts=verdicts, notes=notes)


def measured(where: Servers, topic: str, workers: int, total: int, longest_s: float) -> Run:
    """One run of so many workers on an empty database. Raises TimeoutError where they don't share the partitions."""
    folder = where.folder / uuid.uuid4().hex[:8]
    folder.mkdir()
    store_url = where.store_url("postgres", folder.name)
    with Installation(folder, where.bootstrap, store_url, {"gpu.samples": topic}) as installation:
        for number in range(workers):
            installation.start(f"worker-{number}")
        shared = [PARTITIONS // workers] * workers
        began_s = monotonic()
        if not wait_until(lambda: installation.owners() == shared, within_s=START_S):
            raise TimeoutError(f"partitions by owner after {monotonic() - began_s:.0f} s: {installation.owners()}")
        return installation.window(total, longest_s).figures()
