"""Where a worker's time goes while it catches up: py-spy's samples of the running process, from outside."""

import subprocess
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.events import envelopes, singles
from benchmarks.figures import Result, Row
from benchmarks.installation import START_S, Installation
from benchmarks.kafka_load import preload
from benchmarks.peers_home import peers_python
from benchmarks.servers import servers

TOP = 14
RATE_HZ = 100
ROOT = Path(__file__).parents[2]


def run(quick: bool) -> Result:
    """One profile on single events and one on envelopes."""
    seconds = 4 if quick else 8
    with servers() as where:
        until = datetime.now(UTC)
        logs = {
            "single events": preload(where.bootstrap, singles(150_000 if quick else 1_500_000, until=until)),
            "envelopes": preload(where.bootstrap, envelopes(5_000 if quick else 60_000, until=until)),
        }
        rows: list[Row] = []
        for name, topic in logs.items():
            folder = where.folder / uuid.uuid4().hex[:8]
            folder.mkdir()
            store_url = where.store_url("postgres", folder.name)
            with Installation(folder, where.bootstrap, store_url, {"gpu.samples": topic}) as installation:
                worker = installation.start()
                installation.wait_handled(1, START_S)
                out = folder / "stacks.txt"
                words = [str(peers_python().parent / "py-spy"), "record", "--pid", str(worker.popen.pid)]
                words += ["--format", "raw", "--rate", str(RATE_HZ), "--duration", str(seconds)]
                subprocess.run([*words, "--gil", "--output", str(out)], check=True, capture_output=True)
                rows += busiest(name, out.read_text().splitlines())
    notes = [
        f"{RATE_HZ} samples a second for {seconds} s, of the thread that holds the interpreter; work outside it, as in "
        "the database's and the broker's own processes, is not in it."
    ]
    return Result(suite="profile", quick=quick, rounds=1, rows=rows, notes=notes)


def busiest(log: str, stacks: Iterable[str]) -> list[Row]:
    """The functions with most samples of their own, and how many have them anywhere on their stack."""
    own: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for line in stacks:
        stack, _, samples = line.rpartition(" ")
        frames = [_function(frame) for frame in stack.split(";") if frame]
        if not frames:
            continue
        own[frames[-1]] += int(samples)
        for frame in set(frames):
            anywhere[frame] += int(samples)
    whole = max(own.total(), 1)
    return [
        Row(
            name=f"{log}: `{frame}`",
            figures={"self_share": samples / whole, "total_share": anywhere[frame] / whole},
        )
        for frame, samples in own.most_common(TOP)
    ]


def _function(frame: str) -> str:
    """`handle (streams/keeper.py:134)` without the line, and with a short path."""
    name, _, place = frame.partition(" (")
    path = place.rpartition(":")[0] or place.rstrip(")")
    path = path.removeprefix(f"{ROOT}/")
    short = path.rpartition("site-packages/")[2].rpartition("python3.11/")[2]
    return f"{short} {name}" if short else name
