"""Makes the transcripts of docs/backtest.md anew: `python docs/examples/transcripts.py`.

Each block between `<!-- transcript: COMMAND -->` and `<!-- end -->` becomes what the command prints, in a folder with
the files of this one, half a day of events of a small fleet, and the store of a service that has seen them.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "backtest.md"
BLOCK = re.compile(r"(<!-- transcript: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
COMMAND = "from console.cli import main; main()"
STORE = """
from pathlib import Path
from console.assemble import forecast_duty, pipelines, router, scale_down_policy
from console.rules.run import accept_all
from console.settings import load_settings
from store.store import Store
from streams.arrivals import records
from streams.replay import Replay
from streams.scale_down_duty import ScaleDownDuty
settings = load_settings(Path("new.yaml"))
store, route = Store.open("sqlite:///data/emberwatch.db"), router(settings)
acting = ScaleDownDuty(store, scale_down_policy(settings), route)
duties = forecast_duty(settings, store, route, "example", None), acting
Replay(store, pipelines(settings, route, store)(0), *duties, settle=accept_all).run(records(["events.jsonl.gz"]))
store.close()
"""


def events() -> Iterator[dict[str, Any]]:
    """Ana's notebook is idle for six hours, Bob's for 100 minutes; an evaluation pauses for 45; a server works on."""
    fleet = (
        ("research/vision/notebook-ana", 8, 60, 420),
        ("research/vision/notebook-bob", 1, 120, 220),
        ("research/eval/nightly", 4, 300, 345),
        ("prod/llm/chat", 8, 0, 0),
    )
    for minute in range(1, 12 * 60 + 1):
        at = (NOON + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        for workload, devices, idle_from, idle_until in fleet:
            idle = idle_from < minute <= idle_until
            for device in range(devices):
                yield {
                    "type": "gpu_sample", "at": at, "span_s": 60, "workload": workload, "team": workload.split("/")[1],
                    "device": f"GPU-{workload}-{device}", "gpu_model": "NVIDIA H100 80GB HBM3",
                    "util_ratio": 0.0 if idle else 0.9, "power_w": 71.0 if idle else 520.0,
                    "memory_used_bytes": 40_000_000_000, "memory_total_bytes": 80_000_000_000,
                }  # fmt: skip


def run(folder: Path, code: str, *arguments: str) -> str:
    """What a Python program prints there, on both of its outputs."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "118", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environ, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def renewed(text: str) -> str:
    """The page with every transcript made anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in HERE.glob("*.yaml"):
            shutil.copy(path, folder)
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events())
        (folder / "events.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
        (folder / "data").mkdir()
        run(folder, STORE)

        def transcript(match: re.Match[str]) -> str:
            shown = run(folder, COMMAND, *match[2].split()[1:])
            return f"{match[1]}```console\n$ {match[2]}\n{shown}```\n{match[3]}"

        return BLOCK.sub(transcript, text)


def main() -> None:
    """Bring the page up to date."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
