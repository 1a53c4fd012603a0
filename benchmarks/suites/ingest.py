"""Single events of 300 bytes from Kafka: the service with full detection and durable state, against its peers."""

import json
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from benchmarks.events import SPAN_S, singles
from benchmarks.figures import Result, Run, Verdict, add_ratios, figure_of, quotient, row_of
from benchmarks.installation import Installation
from benchmarks.kafka_load import preload
from benchmarks.peers_home import FOLDER, peers_python
from benchmarks.servers import Servers, servers

PEER_S = 180.0
BARE = "bare confluent-kafka loop"
QUIX = "quixstreams with state"
BYTEWAX = "bytewax, Kafka source"
PRODUCT = "emberwatch, PostgreSQL"
DENSE = "emberwatch, PostgreSQL, samples each second"
PEERS = {  # file, and messages in a full run: so many as take it some ten seconds
    BARE: ("bare_confluent.py", 1_000_000),
    BYTEWAX: ("bytewax_flow.py", 400_000),
    QUIX: ("quix_state.py", 200_000),
    "faust-streaming as it comes": ("faust_agent.py", 60_000),
}
NOTES = [
    "The service decodes, prices, keeps the ledger, knows duplicates, judges every minute with all detectors and "
    "commits its state; the peers decode and keep one z-score for each of 500 keys. Only quixstreams keeps its state.",
    f"500 accelerators report each {SPAN_S} s, so that each partition closes a minute, and judges it, every 250 "
    "events; in the row with samples each second, every 7,500 events.",
    "The service's rate is read from outside, from the offsets that it has committed together with its state.",
]


def run(quick: bool) -> Result:
    """Each case in turn, and all of them over again."""
    runs: dict[str, list[Run]] = {}
    total, rounds = (150_000, 1) if quick else (1_000_000, 3)
    with servers() as where:
        until = datetime.now(UTC)
        topic = preload(where.bootstrap, singles(total, until=until))
        dense = preload(where.bootstrap, singles(total, span_s=1, until=until))
        for _ in range(rounds):
            for name, (file, messages) in PEERS.items():
                limit = min(messages // 10 if quick else messages, total)
                runs.setdefault(name, []).append(peer(where, file, topic, limit))
            for name, kind, log in (
                (PRODUCT, "postgres", topic),
                ("emberwatch, SQLite", "sqlite", topic),
                (DENSE, "postgres", dense),
            ):
                runs.setdefault(name, []).append(product(where, kind, log, total, 8.0 if quick else 20.0))
                print(f"  {name}: {runs[name][-1]}", flush=True)
    rows = [row_of(name, found) for name, found in runs.items()]
    add_ratios(rows, QUIX, "events_per_s")
    add_ratios(rows, QUIX, "events_per_cpu_s", "core_ratio")
    rate = {name: figure_of(rows, name, "events_per_s") for name in runs}
    verdicts = [
        Verdict(aim=f"emberwatch against {peer_name}", wanted=wanted, got=quotient(rate[PRODUCT], rate[peer_name]))
        for peer_name, wanted in ((QUIX, 4.0), (BYTEWAX, 1.0), (BARE, 0.5))
    ]
    notes = [*NOTES, f"The ratios are to {QUIX}; messages that each peer read: " + _lengths(runs)]
    return Result(suite="ingest", quick=quick, rounds=rounds, rows=rows, verdicts=verdicts, notes=notes)


def peer(where: Servers, file: str, topic: str, limit: int, *options: str) -> Run:
    """One run of a peer in a process of its own, up to so many messages. Raises RuntimeError when it says nothing."""
    group = f"peer-{uuid.uuid4().hex[:8]}"
    words = [str(peers_python()), str(FOLDER / "peers" / file), where.bootstrap, topic, group, str(limit)]
    began_s = monotonic()
    done = subprocess.run(
        [*words, str(where.folder / group), *options],
        cwd=where.folder,
        capture_output=True,
        text=True,
        timeout=PEER_S,
        stdin=subprocess.DEVNULL,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not said:
        raise RuntimeError(f"{file} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    figures: Run = json.loads(said[-1])
    figures["events_per_s_from_start"] = figures["seen"] / (monotonic() - began_s)
    print(f"  {file}: {figures}", flush=True)
    return figures


def product(where: Servers, kind: str, topic: str, total: int, longest_s: float) -> Run:
    """One run of a worker on an empty database, to the end of the log or for so many seconds."""
    folder = Path(where.folder / uuid.uuid4().hex[:8])
    folder.mkdir()
    store_url = where.store_url(kind, folder.name)
    with Installation(folder, where.bootstrap, store_url, {"gpu.samples": topic}) as installation:
        installation.start()
        window = installation.window(total, longest_s)
        from_start = installation.handled() / window.from_start_s
        return {**window.figures(), "events_per_s_from_start": from_start}


def _lengths(runs: dict[str, list[Run]]) -> str:
    return ", ".join(f"{name} {found[0]['seen']:,.0f}" for name, found in runs.items() if "seen" in found[0]) + "."
