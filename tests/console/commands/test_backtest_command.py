"""`emberwatch backtest`: two policies on the same past, from events and from what a store keeps."""

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.assemble import forecast_duty, pipelines, router, scale_down_policy
from console.cli import app
from console.commands.backtest_progress import size_of
from console.settings import load_settings
from store.store import Store
from streams.arrivals import records
from streams.replay import Replay
from streams.scale_down_duty import ScaleDownDuty
from tests.streams.events import CHAT, MINUTE, NOON, NOTEBOOK, encoded, gpu, idle_gpu

RUN = CliRunner()
LAB = "lab/bob/notebook"
POLICY = """\
prices:
  gpu: [{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}]
channels: [{type: recorder, name: costs}]
store: {data_dir: data}
"""
QUIETER = """\
severity: {warn_usd_per_hour: 100, warn_usd: 15}
scale_down: {act_after: 90m, max_gpu_ratio_per_hour: 1, max_gpu_ratio_per_day: 1}
"""
HOURS = 10


def fleet() -> list[dict[str, Any]]:
    """Alice's notebook is idle for five hours, Bob's for 100 minutes; chat works on."""
    values = []
    for number in range(1, HOURS * 60 + 1):
        at = NOON + number * MINUTE
        values.append((idle_gpu if 120 < number <= 420 else gpu)(at, span_s=60))
        bob = idle_gpu if 60 < number <= 160 else gpu
        values.append(bob(at, span_s=60, workload=LAB, device="GPU-2"))
        values += [gpu(at, span_s=60, workload=CHAT, device=f"GPU-{device}") for device in (3, 4)]
    return values


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "e.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(encoded(value) + b"\n" for value in fleet())))
    return path


@pytest.fixture
def policies(tmp_path: Path) -> tuple[Path, Path]:
    current, new = tmp_path / "current.yaml", tmp_path / "new.yaml"
    current.write_text(POLICY)
    new.write_text(POLICY + QUIETER)
    return new, current


def backtest(*arguments: object) -> Result:
    return RUN.invoke(app, ["backtest", *map(str, arguments)], env={"COLUMNS": "160"})


def answer(*arguments: object) -> dict[str, Any]:
    result = backtest(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def stored(events: Path, config: Path, folder: Path) -> Path:
    """A store that has seen the events, and the config that names it."""
    settings = load_settings(config)
    store = Store.open(f"sqlite:///{folder}/emberwatch.db")
    route = router(settings)
    Replay(
        store,
        pipelines(settings, route, store)(0),
        forecast_duty(settings, store, route, "test", None),
        ScaleDownDuty(store, scale_down_policy(settings), route),
    ).run(records([events]))
    store.close()
    config.write_text(config.read_text().replace("data_dir: data", f"data_dir: {folder}"))
    return config


def what_is_told(told: dict[str, Any], policy: str) -> list[tuple[str, int, int]]:
    return [(one["kind"], one["incidents"], one["alerts"]) for one in told[policy]["kinds"]]


def test_events_are_judged_under_both_policies(events, policies):
    new, current = policies

    told = answer("--config", new, "--against", current, "--events", events)

    assert (told["history"]["from"], told["history"]["events"]) == ("events", HOURS * 240)
    assert what_is_told(told, "new") == [("idle", 2, 1)]
    assert what_is_told(told, "current") == [("idle", 2, 2)]
    assert told["new"]["caught_usd"] == pytest.approx(20.0, abs=0.2)
    assert told["current"]["caught_usd"] == pytest.approx(20 + 100 / 15, abs=0.3)
    assert [(one["subject"], one["severity"], one["other"]) for one in told["missed"]] == [
        (LAB, "warn", "recorded only")
    ]
    assert told["missed_usd"] == pytest.approx(100 / 15, abs=0.2)
    assert told["gained"] == []
    assert [(one["week"], one["alerts"], one["pages"]) for one in told["new"]["weeks"]] == [
        ("2026-W10", {"idle": 1}, 0)
    ]
    assert told["current"]["messages"] == {"costs": told["current"]["weeks"][0]["messages"]}


def test_what_would_have_been_stopped_is_judged_by_what_came_after(events, policies):
    told = answer("--config", policies[0], "--against", policies[1], "--events", events)

    stops = {one["workload"]: one for one in told["stops"]}
    assert {name: one["outcome"] for name, one in stops.items()} == {LAB: "busy_again", NOTEBOOK: "quiet"}
    assert stops[LAB]["would_have_saved_usd"] == 0.0
    assert stops[NOTEBOOK]["would_have_saved_usd"] == pytest.approx(4 * 3.5, abs=0.5)
    assert (told["new"]["regret"]["stops"], told["new"]["regret"]["regret_ratio"]) == (2, 0.5)
    assert (told["current"]["regret"]["stops"], told["current"]["regret"]["held_back"]) == (0, 1)


def test_a_store_is_judged_anew_and_stays_as_it_is(events, policies, tmp_path):
    new, current = policies
    current = stored(events, current, tmp_path)
    new.write_text(new.read_text() + "detection: {idle: {after: 10m}}\n")
    from_events = answer("--config", new, "--against", current, "--events", events)
    before = (tmp_path / "emberwatch.db").read_bytes()

    told = answer("--config", new, "--against", current, "--from-store")

    assert (tmp_path / "emberwatch.db").read_bytes() == before
    assert told["history"]["not_replayed"] == ["detection differs between the two, and needs events (--events)"]
    assert (told["history"]["from"], told["history"]["hours"]) == ("store", HOURS)
    assert what_is_told(told, "current") == what_is_told(from_events, "current")
    again = told["current"]["messages"]["costs"], from_events["current"]["messages"]["costs"]
    assert abs(again[0] - again[1]) <= 1  # the last minutes before an end, when dollars double, are not known
    assert told["current"]["caught_usd"] == pytest.approx(from_events["current"]["caught_usd"], abs=0.01)
    assert what_is_told(told, "new") == [("idle", 2, 1)]
    outcomes = {one["workload"]: one["outcome"] for one in told["stops"]}
    assert outcomes == {LAB: "busy_again", NOTEBOOK: "quiet"}


def test_people_get_tables(events, policies):
    result = backtest("--config", policies[0], "--against", policies[1], "--events", events)

    assert (result.exit_code, result.stderr) == (0, "")
    for line in (
        f"NEW is {policies[0]}, CURRENT is {policies[1]}",
        "Told by the current policy and missed by the new one (1):",
        "In mode auto: 2 stops, ",
        "after 1 of them work came within 30 minutes.",
        "The current policy: Held back by a limit alone: 1 stop, ",
    ):
        assert line in result.stdout


def test_without_another_config_it_stands_beside_the_built_in_policy(events, policies):
    told = answer("--config", policies[0], "--events", events, "--since", "2026-03-02T14:00:00Z")

    assert told["current"]["name"] == "built-in policy"
    assert what_is_told(told, "current") == [("idle", 1, 1)]
    assert told["current"]["caught_usd"] == pytest.approx(20.0, abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give either --events FILES or --from-store"),
        (["--from-store", "--events", "x"], 2, "give either --events FILES or --from-store"),
        (["--events", "none.jsonl"], 2, "no such file: none.jsonl"),
        (["--events", "-"], 2, "standard input can be read only once"),
        (["--events", "x", "--until", "noon"], 2, "an RFC 3339 time"),
        (["--from-store"], 4, "there is no store at"),
    ],
)
def test_what_is_wrong_is_said(policies, arguments, code, said):
    result = backtest("--config", policies[0], *arguments)

    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_files_without_events_and_an_empty_store_are_told(policies, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    Store.open(f"sqlite:///{tmp_path}/emberwatch.db").close()
    policies[0].write_text(POLICY.replace("data_dir: data", f"data_dir: {tmp_path}"))

    nothing = backtest("--config", policies[0], "--events", empty)
    no_history = backtest("--config", policies[0], "--from-store")

    assert (nothing.exit_code, nothing.stderr) == (1, "there was no event in the files\n")
    assert (no_history.exit_code, no_history.stderr) == (1, "the store keeps no history yet (or none before --until)\n")


def test_the_size_of_a_packed_file_is_that_of_what_is_in_it(tmp_path):
    packed, plain = tmp_path / "a.gz", tmp_path / "b"
    packed.write_bytes(gzip.compress(b"x" * 5000))
    plain.write_bytes(b"x" * 300)

    assert (size_of(str(packed)), size_of(str(plain))) == (5000, 300)


def test_a_config_that_names_secrets_needs_none_of_them(events, policies):
    policies[0].write_text(
        POLICY.replace(
            "channels: [{type: recorder, name: costs}]",
            'channels: [{type: slack, name: s, channel: C01234567, token: "${env:NOT_SET_HERE}"}]',
        )
    )

    told = answer("--config", policies[0], "--events", events, "--until", (NOON + timedelta(hours=2)).isoformat())

    assert told["new"]["messages"] == {"s": 1}
