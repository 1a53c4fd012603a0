"""A worker that is killed with SIGKILL in the middle of a backlog, and the one that takes its place."""

import uuid
from datetime import UTC, datetime
from time import monotonic

from benchmarks.events import singles
from benchmarks.figures import Result, Run, Verdict, figure_of, row_of
from benchmarks.installation import START_S, Installation
from benchmarks.kafka_load import preload
from benchmarks.servers import Servers, servers

PER_S = 5_000
INSTANCE = "worker-0"
CAUGHT_UP_S = 400.0


def run(quick: bool) -> Result:
    """Killed at a quarter of the log, started again at once with the same instance id."""
    total = 80_000 if quick else 600_000
    with servers() as where:
        topic = preload(where.bootstrap, singles(total, until=datetime.now(UTC)))
        runs = [measured(where, topic, total) for _ in range(1 if quick else 3)]
    rows = [row_of("kill -9 and restart", runs)]
    row = rows[0]
    hour = PER_S * 3600
    verdicts = [
        Verdict(
            aim="first event after kill -9, s",
            wanted=12.0,
            got=figure_of(rows, row.name, "first_event_s"),
            at_most=True,
        )
    ]
    notes = [
        "First event: from SIGKILL to the first new offset in the store, the start of the process included. "
        "The session of a static instance need not run out: it comes back under its own name.",
        f"The backlog is scaled down: {total:,} messages are on the log; what is left at the kill is caught up. "
        f"An hour at {PER_S:,} events/s is {hour:,}; its time is worked out from the rate of catching up, less the "
        f"{PER_S:,} events/s that go on arriving, and is absent where the rate is below that.",
    ]
    return Result(suite="recovery", quick=quick, rounds=len(runs), rows=rows, verdicts=verdicts, notes=notes)


def measured(where: Servers, topic: str, total: int) -> Run:
    """One kill."""
    folder = where.folder / uuid.uuid4().hex[:8]
    folder.mkdir()
    store_url = where.store_url("postgres", folder.name)
    with Installation(folder, where.bootstrap, store_url, {"gpu.samples": topic}) as installation:
        first = installation.start(INSTANCE)
        installation.wait_handled(total // 4, START_S + CAUGHT_UP_S)
        first.kill()
        killed_s, before = monotonic(), installation.handled()
        installation.start(INSTANCE)
        first_s = installation.wait_handled(before + 1, START_S)
        resumed = installation.handled()
        end_s = installation.wait_handled(total, CAUGHT_UP_S)
        rate = (total - resumed) / max(end_s - first_s, 1e-3)
        figures = {
            "first_event_s": first_s - killed_s,
            "caught_up_s": end_s - killed_s,
            "events_per_s": rate,
        }
        if rate > PER_S:
            figures["hour_s"] = PER_S * 3600 / (rate - PER_S)
        print(f"  {figures}", flush=True)
        return figures
