"""Envelopes of 50 samples from Kafka: samples a second and core, with full detection and durable state."""

import uuid
from datetime import UTC, datetime

from benchmarks.events import envelopes
from benchmarks.figures import Result, Run, Verdict, add_ratios, figure_of, row_of
from benchmarks.installation import Installation
from benchmarks.kafka_load import preload
from benchmarks.servers import servers
from benchmarks.suites.ingest import BARE, peer

SIZE = 50
PRODUCT = "emberwatch, PostgreSQL"
DENSE = "emberwatch, PostgreSQL, samples each second"


def run(quick: bool) -> Result:
    """The worker on samples each 30 s and each second, and the bare loop on the same log."""
    runs: dict[str, list[Run]] = {}
    total, rounds = (4_000, 1) if quick else (60_000, 3)
    with servers() as where:
        until = datetime.now(UTC)
        logs = {
            PRODUCT: preload(where.bootstrap, envelopes(total, SIZE, until=until)),
            DENSE: preload(where.bootstrap, envelopes(total, SIZE, span_s=1, until=until)),
        }
        for _ in range(rounds):
            bare = peer(where, "bare_confluent.py", logs[PRODUCT], total * SIZE, "envelopes")
            named = {name.replace("events", "samples"): value for name, value in bare.items() if "start" not in name}
            runs.setdefault(BARE, []).append(named)
            for name, topic in logs.items():
                folder = where.folder / uuid.uuid4().hex[:8]
                folder.mkdir()
                store_url = where.store_url("postgres", folder.name)
                with Installation(folder, where.bootstrap, store_url, {"gpu.samples": topic}) as installation:
                    installation.start()
                    figures = installation.window(total, 8.0 if quick else 20.0).figures(SIZE, "samples")
                print(f"  {name}: {figures}", flush=True)
                runs.setdefault(name, []).append(figures)
    rows = [row_of(name, found) for name, found in runs.items()]
    add_ratios(rows, BARE, "samples_per_cpu_s", "core_ratio")
    got = figure_of(rows, DENSE, "samples_per_cpu_s")
    verdicts = [Verdict(aim="samples a second and core, in envelopes of 50", wanted=300_000.0, got=got)]
    notes = ["10 workloads of 50 accelerators; an envelope is what one workload's accelerators say at one moment."]
    return Result(suite="envelopes", quick=quick, rounds=rounds, rows=rows, verdicts=verdicts, notes=notes)
