"""The labelled benchmark, in its small form: exact spend, and better than a threshold would do."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
NAIVE_SUMMARY = 0.223  # what thresholds on the same events reach
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (SHARED / "bench" / "make.py").is_file(), reason="the benchmark's generator is not here"),
]


def run(*arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both twins, replayed, and the score."""
    out = tmp_path_factory.mktemp("bench")
    make = ("-B", "-m", "bench.make", "--data", SHARED / "data", "--out", out, "--profile", "smoke", "--seed", "1")
    run(*make, cwd=SHARED)
    for twin in ("injected", "clean"):
        events = sorted((out / twin).glob("*.jsonl.gz"))
        cli = ("-c", "from console.cli import main; main()", "replay", *events)
        run(*cli, "--config", out / twin / "config.yaml", "--out", out / "run" / twin, cwd=ROOT)
    score = ("-B", "-m", "bench.score", "--truth", out, "--run", out / "run" / "injected")
    run(*score, "--clean", out / "run" / "clean", "--out", out, cwd=SHARED)
    return out


def spend(path: Path) -> dict[tuple[str, str], float]:
    with path.open(newline="") as file:
        return {(row["hour"], row["workload"]): float(row["usd"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize(("twin", "column"), [("injected", "usd"), ("clean", "usd_clean")])
def test_spend_is_exact_for_every_workload(bench, twin, column):
    told = spend(bench / "run" / twin / "spend.csv")
    true_usd: dict[str, float] = {}
    told_usd: dict[str, float] = {}
    with (bench / "spend_truth.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["exact"] == "1":
                name = row["workload"]
                true_usd[name] = true_usd.get(name, 0.0) + float(row[column])
                told_usd[name] = told_usd.get(name, 0.0) + told.get((row["hour"], name), 0.0)

    wrong = {
        name: (usd, told_usd[name])
        for name, usd in true_usd.items()
        if abs(told_usd[name] - usd) > 1e-6 * max(abs(usd), 1e-3)
    }
    assert len(true_usd) > 20
    assert wrong == {}


def test_it_is_better_than_thresholds_and_passes_where_nothing_may_be_said(bench):
    score = json.loads((bench / "score.json").read_text())

    assert score["problems"] == []
    assert score["summary"] > NAIVE_SUMMARY
    assert {label: row["passed"] for label, row in score["zero_tolerance"].items()} == dict.fromkeys(
        score["zero_tolerance"], True
    )
