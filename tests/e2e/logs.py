"""The logs that the end-to-end tests read: the labelled benchmark where it is there, and a small made-up fleet."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from console.demo.fleet import DemoFleet
from console.demo.settings import CONFIG
from tests.e2e.site import ROOT

SHARED = ROOT.parent / "shared"
STREAM = {"retention_days": 3660, "silence_after": "3s"}  # a test waits for silence; a person would not


def benchmark(folder: Path) -> Path:
    """Generate the benchmark's smoke profile; skip where its generator is not there."""
    if not (SHARED / "bench" / "make.py").is_file():
        pytest.skip("NOT TESTED, the labelled benchmark is not there")
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.make",
            "--data",
            "data",
            "--out",
            str(folder),
            "--profile",
            "smoke",
            "--seed",
            "1",
        ],
        cwd=SHARED,
        capture_output=True,
        text=True,
        timeout=60.0,
    )
    assert made.returncode == 0, made.stderr
    return folder / "injected"


def benchmark_config(folder: Path) -> dict[str, Any]:
    """Its prices, its budgets cut to a twentieth so that some break, and the stream's settings of a test."""
    with (folder / "config.yaml").open() as file:
        config = YAML(typ="safe").load(file)
    budgets = [{**row, "usd_per_month": row["usd_per_month"] / 20} for row in config["budgets"]]
    return {**config, "budgets": budgets, "stream": STREAM}


def fleet_config() -> dict[str, Any]:
    """The prices of the made-up fleet."""
    filled = CONFIG % {"slack": "", "receiver": "", "data_dir": "", "port": 1}
    return {"prices": YAML(typ="safe").load(filled)["prices"], "stream": STREAM}


def fleet_files(folder: Path, until: datetime, parts: int = 1, length: timedelta = timedelta(minutes=75)) -> list[Path]:
    """What the fleet said in the time before `until`, in files that follow each other."""
    fleet = DemoFleet(7, until)
    paths = []
    for part in range(parts):
        start = until - length + part * length / parts
        paths.append(folder / f"fleet-{part}.jsonl")
        with paths[-1].open("w") as file:
            for envelope in fleet.events(start, start + length / parts):
                file.writelines(json.dumps(event) + "\n" for event in json.loads(envelope))
    return paths
