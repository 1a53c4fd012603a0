import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.assemble import forecast_duty, pipelines, router, scale_down_policy
from console.settings import load_settings
from store.store import Store
from streams.arrivals import records
from streams.replay import Replay, Summary
from streams.scale_down_duty import ScaleDownDuty
from tests.streams.events import CHAT, MINUTE, NOON, NOTEBOOK, change, charge, encoded, gpu, idle_gpu, stamp, usage

ROOT = Path(__file__).parents[2]
FILES = ["actions.jsonl", "forecasts.jsonl", "incidents.jsonl", "notifications.jsonl", "rejects.jsonl", "spend.csv"]
CONFIG = """\
prices:
  gpu: [{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}]
  tokens:
    - {provider: openai, model: gpt-5-mini, from: 2026-01-01, input_usd_per_million: 0.25, output_usd_per_million: 2}
budgets: [{name: all, match: {}, usd_per_month: 100}]
channels: [{type: recorder, name: recorder}]
default_route: [recorder]
"""
DAYS = 3
INCIDENT_FIELDS = [
    *("incident_id", "kind", "cause", "workload", "team", "model", "devices", "budget", "severity"),
    *("began_at", "detected_at", "resolved_at", "usd_per_hour", "usd_so_far", "usd_if_ignored"),
    *("observed", "expected", "unit", "confidence", "evidence", "changes"),
]
FORECAST_FIELDS = [
    *("issued_at", "workload", "budget", "period_start", "period_end"),
    *("p10_usd", "p50_usd", "p90_usd", "method"),
]


def stream() -> list[Any]:
    """Three days: an idle notebook, a server with tokens, an unknown model, a bill, a deploy, and what is wrong."""
    values: list[Any] = []
    for number in range(DAYS * 24 * 6):
        at = NOON + number * 10 * MINUTE
        if 150 <= number < 200:
            values += [idle_gpu(at - part * MINUTE, span_s=60) for part in range(9, -1, -1)]
        else:
            values.append(idle_gpu(at, span_s=600) if 100 < number < 300 else gpu(at, span_s=600))
        values.append(usage(at, span_s=600, requests=100 + number % 7))
        values.append(gpu(at, device="GPU-2", workload=CHAT, span_s=600))
        if number % 30 == 0:
            values.append(usage(at, event_id=f"m{number}", workload="lab/x/y", model="mystery-1"))
        if number == 200:
            values.append(change(at))
        if number % 144 == 143:
            values.append(charge(at))
    values.insert(300, gpu(NOON + timedelta(days=400), device="GPU-9"))
    values.insert(400, gpu(util_ratio=101))
    values.insert(500, b'{"type": "gpu_sample", "power_w": NaN}')
    values.append(values[-3])
    return values


def write(path: Path, values: Iterable[Any]) -> Path:
    data = b"".join(encoded(value) + b"\n" for value in values)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "emberwatch.yaml"
    path.write_text(CONFIG)
    return path


def replayed(config: Path, out: Path, *files: Path, until: datetime | None = None) -> Summary:
    settings = load_settings(config)
    route = router(settings)
    store = Store.open("sqlite://")
    run = Replay(
        store,
        pipelines(settings, route, store)(0),
        forecast_duty(settings, store, route, "replay", None),
        ScaleDownDuty(store, scale_down_policy(settings), route),
    )
    run.run(records(files), until=until)
    summary = run.write(out)
    store.close()
    return summary


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def spend(out: Path) -> list[tuple[str, str, str, str]]:
    with (out / "spend.csv").open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows[0] == ("hour", "workload", "usd", "usd_billed")
    return rows[1:]  # type: ignore[return-value]


def moments(value: Any) -> list[str]:
    """Every moment in a line, by the name of its field."""
    return [found for name, found in value.items() if name.endswith(("_at", "_start", "_end")) or name == "at"]


def test_a_second_run_writes_the_same_bytes(config, tmp_path):
    events = write(tmp_path / "e.jsonl", stream())

    for name in ("one", "two"):
        replayed(config, tmp_path / name, events)

    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_files_say_what_the_contract_says(config, tmp_path):
    out = tmp_path / "out"

    summary = replayed(config, out, write(tmp_path / "e.jsonl.gz", stream()))

    incidents, notes = lines(out / "incidents.jsonl"), lines(out / "notifications.jsonl")
    actions, forecasts = lines(out / "actions.jsonl"), lines(out / "forecasts.jsonl")
    rejects = lines(out / "rejects.jsonl")
    assert list(incidents[0]) == INCIDENT_FIELDS
    assert list(notes[0]) == ["at", "channel", "incident_id", "reason", "title"]
    assert list(actions[0]) == ["at", "action_id", "workload", "step", "mode", "usd_per_hour", "evidence"]
    assert list(forecasts[0]) == FORECAST_FIELDS
    assert list(rejects[0]) == ["topic", "offset", "index", "arrived_at", "reason", "payload"]
    for line in [*incidents, *notes, *actions, *forecasts, *rejects]:
        assert all(found is None or (found.endswith("Z") and datetime.fromisoformat(found)) for found in moments(line))

    idle = [line for line in incidents if line["kind"] == "idle"]
    assert [(line["workload"], line["devices"], line["resolved_at"] is not None) for line in idle] == [
        (NOTEBOOK, ["GPU-1"], True)
    ]
    assert {line["kind"] for line in incidents} >= {"idle", "unpriced", "budget"}
    assert {(line["workload"], line["budget"]) for line in incidents if line["kind"] == "budget"} == {(None, "all")}
    assert {line["incident_id"] for line in notes} <= {line["incident_id"] for line in incidents} | {None}
    assert {(line["step"], line["mode"]) for line in actions} <= {
        (step, "observe") for step in ("warned", "proposed", "kept")
    }
    assert {(line["workload"] is None) != (line["budget"] is None) for line in forecasts} == {True}
    assert all(line["p10_usd"] <= line["p50_usd"] <= line["p90_usd"] for line in forecasts)
    assert [line["payload"][:40] for line in rejects] == [
        encoded(gpu(NOON + timedelta(days=400), device="GPU-9")).decode()[:40],
        encoded(gpu(util_ratio=101)).decode()[:40],
        '{"type": "gpu_sample", "power_w": NaN}',
    ]
    assert (summary.incidents, summary.notifications, summary.actions, summary.rejects) == (
        len(incidents),
        len(notes),
        len(actions),
        3,
    )
    assert (summary.records, summary.duplicates) == (len(stream()), 1)


def test_spend_is_exact_by_hour_and_bears_the_bill(config, tmp_path):
    out = tmp_path / "out"

    summary = replayed(config, out, write(tmp_path / "e.jsonl", stream()))

    rows = spend(out)
    by_workload: dict[str, list[tuple[str, str]]] = {}
    for hour, workload, usd, billed in rows:
        assert datetime.fromisoformat(hour).minute == 0
        assert hour.endswith("Z")
        by_workload.setdefault(workload, []).append((usd, billed))
    assert {usd for usd, _ in by_workload[CHAT][1:-1]} == {"4.038999996"}
    assert {billed for usd, billed in by_workload[NOTEBOOK] if billed} == {"2.000000000"}
    assert {usd for usd, _ in by_workload["lab/x/y"]} == {"0.000000000"}
    assert round(sum(float(usd) for _, _, usd, _ in rows), 6) == round(summary.usd, 6)
    assert rows == sorted(rows)


def test_until_ends_the_stream_before_that_moment(config, tmp_path):
    events = write(tmp_path / "e.jsonl", [gpu(NOON + number * MINUTE) for number in range(60)])

    summary = replayed(config, tmp_path / "out", events, until=NOON + 10 * MINUTE)

    assert (summary.records, summary.last_at) == (10, NOON + 9 * MINUTE)
    assert spend(tmp_path / "out") == [
        ("2026-03-02T11:00:00Z", NOTEBOOK, "0.033333333", ""),
        ("2026-03-02T12:00:00Z", NOTEBOOK, "0.299999997", ""),
    ]


@pytest.mark.parametrize("place", [0, 1, 50, 119])
def test_a_line_from_the_future_does_not_stall_the_others(config, tmp_path, place):
    values = [gpu(NOON + number * MINUTE) for number in range(120)]
    values.insert(place, gpu(NOON + timedelta(days=200), device="GPU-9"))

    summary = replayed(config, tmp_path / "out", write(tmp_path / "e.jsonl", values))

    (reject,) = lines(tmp_path / "out" / "rejects.jsonl")
    assert reject["reason"].startswith("dated ")
    assert (summary.events, summary.late, summary.first_at) == (120, 0, NOON)
    assert sum(float(usd) for _, _, usd, _ in spend(tmp_path / "out")) == pytest.approx(120 * 0.033333333)


def test_an_ancient_first_line_does_not_hold_up_the_forecasts(config, tmp_path):
    values = [gpu(datetime.fromisoformat("1970-01-01T00:00:00Z"), device="GPU-9"), *stream()]

    replayed(config, tmp_path / "out", write(tmp_path / "e.jsonl", values))
    replayed(config, tmp_path / "plain", write(tmp_path / "p.jsonl", stream()))

    assert lines(tmp_path / "out" / "rejects.jsonl")[0]["reason"] == "older than the retention of 400 days"
    assert lines(tmp_path / "out" / "forecasts.jsonl") == lines(tmp_path / "plain" / "forecasts.jsonl")


def test_nothing_in_gives_empty_files(config, tmp_path):
    summary = replayed(config, tmp_path / "out", write(tmp_path / "e.jsonl", []))

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        **dict.fromkeys(FILES, b""),
        "spend.csv": b"hour,workload,usd,usd_billed\n",
    }
    assert (summary.records, summary.usd, summary.first_at) == (0, 0.0, None)


def emberwatch(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from console.cli import main; main()", "replay", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, timeout=300, check=False)


def test_the_command_reads_standard_input(config, tmp_path):
    values = [gpu(NOON + number * MINUTE) for number in range(60)]
    data = b"".join(encoded(value) + b"\n" for value in values)

    until = stamp(NOON + 9 * MINUTE)
    done = emberwatch("-", "--config", config, "--out", tmp_path / "out", "--until", until, "--json", stdin=data)
    replayed(config, tmp_path / "file", write(tmp_path / "e.jsonl", values[:9]))

    assert (done.returncode, done.stderr) == (0, b"")
    said = json.loads(done.stdout)
    assert (said["records"], said["events"], said["rejects"]) == (9, 9, 0)
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
def test_the_command_says_that_a_file_is_damaged(config, tmp_path, damage):
    whole = gzip.compress(b"".join(encoded(gpu(NOON + number * MINUTE)) + b"\n" for number in range(500)), mtime=0)
    flipped = whole[:300] + bytes([whole[300] ^ 0xFF] * 40) + whole[340:]
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes({"cut": whole[:200], "flipped": flipped, "plain": b"no gzip"}[damage])

    done = emberwatch(path, "--config", config, "--out", tmp_path / "out")

    assert done.returncode == 1
    assert done.stderr.startswith(b"cannot read the events: ")
    assert b"Traceback" not in done.stderr


def test_a_name_that_a_spreadsheet_would_run_is_written_as_text(config, tmp_path):
    file = write(tmp_path / "events.jsonl", [gpu(workload="=1+1/a/b"), gpu(workload="prod/a/b", device="GPU-2")])

    replayed(config, tmp_path / "out", file)

    assert [row[1] for row in spend(tmp_path / "out")] == ["'=1+1/a/b", "prod/a/b"]
