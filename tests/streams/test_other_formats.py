"""Telemetry of other systems on its whole way: through a partition, an interruption, the inbox and a replay."""

import asyncio
import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.assemble import pipelines, router
from console.commands.replay import replay
from console.settings import Settings, parse_settings
from console.settings_sources import Sources
from store.store import Store
from streams.embedded import Embedded
from streams.keeper import Keeper
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.poison import PoisonGuard, PoisonLimit
from streams.records import Slice
from tests.streams.events import nano_usd
from tests.support.telemetry import GPU, NOON_S, VLLM, Metric, adapter, as_json, as_proto, request

CONFIG = """
prices:
  gpu:
    - {model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}
  tokens:
    - {provider: self-hosted, model: llama, from: 2026-01-01, input_usd_per_million: 1, output_usd_per_million: 2}
kafka:
  formats: {gpu_samples: FORMAT}
stream: {cluster: home}
"""
UTIL, POWER = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE"
NOON = datetime.fromtimestamp(NOON_S, UTC)
LAWFUL = settings(derandomize=True, max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ACCELERATOR_HOUR, TOKENS = 4_000_000_000, 3_000  # nano-dollars: one accelerator's hour, one token in and one out


def settings_of(form: str) -> Settings:
    return parse_settings(CONFIG.replace("FORMAT", form), "formats.yaml", Sources(Path("."), {}))


STORE = Store.open("sqlite://")


def build(form: str, store: Store = STORE) -> Pipeline:
    wanted = settings_of(form)
    return pipelines(wanted, router(wanted), store)(0)


def scrapes(minutes: int, accelerators: int = 2) -> list[tuple[list[Metric], dict[str, str]]]:
    """What an exporter and a server say each half minute: the counters grow by 10 in and 10 out."""
    found = []
    for step in range(minutes * 2 + 1):
        at_s = NOON_S + 30 * step
        devices = [{**GPU, "UUID": f"GPU-{number}"} for number in range(accelerators)]
        gpus = [Metric(name, 40.0, labels, at_s) for name in (UTIL, POWER) for labels in devices]
        found.append((gpus, {"service.name": "dcgm", "service.instance.id": "node:9400"}))
        tokens = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
        counted = [Metric(name, 10 * step, {"model_name": "llama"}, at_s, 2, NOON_S - 600) for name in tokens]
        found.append((counted, VLLM))
    return found


def messages(form: str, minutes: int) -> list[tuple[float, bytes]]:
    """Those, each with the time at which it arrives."""
    found = []
    for metrics, resource in scrapes(minutes):
        arrived_s = metrics[0].at_s + 1
        if form == "prometheus_json":
            found += [(arrived_s, adapter(metric, resource)) for metric in metrics]
        else:
            data = request(metrics, resource)
            found.append((arrived_s, as_proto(data) if form == "otlp_proto" else as_json(data)))
    return found


def hand(one: Pipeline, part: list[tuple[float, bytes]], first: int) -> None:
    offsets = range(first, first + len(part))
    one.observe(Slice("gpu.samples", 0, offsets, [round(at * 1000) for at, _ in part], [value for _, value in part]))


def ledger(one: Pipeline) -> dict[Any, int]:
    return nano_usd(one.drain().ledger)


@pytest.mark.parametrize("form", ["otlp_proto", "otlp_json", "prometheus_json", "auto"])
def test_every_accelerator_and_token_is_paid_once(form):
    one = build(form)
    hand(one, messages(form, 60), 0)
    one.finish()
    assert one.tally.rejects == {}
    spent = sum(ledger(one).values())
    first_span = 2 * ACCELERATOR_HOUR // 120  # a first sample is of the half minute before it
    assert spent == pytest.approx(2 * ACCELERATOR_HOUR + first_span + 120 * 10 * TOKENS, rel=1e-6)


@pytest.mark.parametrize("form", ["otlp_proto", "prometheus_json"])
@LAWFUL
@given(st.randoms(use_true_random=False))
def test_how_messages_are_cut_and_where_it_stops_changes_nothing(form, rng: random.Random):
    log = messages(form, 8)
    whole, broken = build(form), build(form)
    hand(whole, log, 0)
    parts: dict[str, bytes] = {}
    at = 0
    while at < len(log):
        size = rng.randint(1, 12)
        hand(broken, log[at : at + size], at)
        at += size
        for name, body in broken.changes().items():
            if body is None:
                parts.pop(name, None)
            else:
                parts[name] = bytes(body)
        if rng.random() < 0.3:  # it dies, and the next one begins where the last snapshot stands
            offsets = dict(broken.offsets)
            lost = rng.randint(0, 5)
            hand(broken, log[at : at + lost], at)
            broken = build(form)
            broken.load(parts, offsets)
    for one in (whole, broken):
        one.finish()
    assert broken.snapshot() == whole.snapshot()


def test_a_scrape_that_nothing_follows_is_told_when_time_passes():
    one = build("prometheus_json")
    hand(one, messages("prometheus_json", 0), 0)
    assert ledger(one) == {}
    one.tick(NOON + timedelta(seconds=59))
    assert ledger(one) == {}
    one.tick(NOON + timedelta(seconds=60), frozenset({"gpu.samples"}))  # there are unread messages: they may have more
    assert ledger(one) == {}
    one.tick(NOON + timedelta(seconds=60))
    assert sum(ledger(one).values()) == 2 * ACCELERATOR_HOUR // 120
    assert one.offsets == {"gpu.samples": 6}


def test_what_is_too_old_is_set_aside_as_the_contract_would_write_it():
    one = build("otlp_proto")
    old = as_proto(request([Metric(UTIL, 40.0, GPU, NOON_S - 500 * 86_400)]))
    hand(one, [(NOON_S, old)], 0)
    (reject,) = one.drain().rejects
    payload = json.loads(reject.payload)
    assert (reject.fault, payload["type"], payload["device"], payload["util_ratio"]) == (
        "too_old", "gpu_sample", "GPU-7b1c", 0.4,
    )  # fmt: skip
    hand(one, [(NOON_S - 500 * 86_400, reject.payload)], 1)  # and can be put back where it came from
    assert one.drain().rejects == []


def test_faults_have_places_of_their_own():
    one = build("otlp_proto")
    wrong = [Metric("DCGM_FI_PROF_SM_ACTIVE", 50.0, {**GPU, "UUID": name}) for name in "ab"]
    hand(one, [(NOON_S, as_proto(request([Metric(UTIL, 40.0), *wrong]))), (NOON_S, b"\x0a\x05")], 0)
    rejects = one.drain().rejects
    assert [(reject.offset, reject.index, reject.fault) for reject in rejects] == [
        (0, 1, "malformed"), (0, 2, "malformed"), (1, 0, "malformed"),
    ]  # fmt: skip
    assert rejects[0].payload.startswith(b"DCGM_FI_PROF_SM_ACTIVE{")
    assert one.tally.events == {"GpuSample": 1}


def test_a_flaw_in_good_messages_does_not_stop_a_partition_and_junk_does():
    def trip(values: list[bytes]) -> Any:
        guard = PoisonGuard(PoisonLimit(max_in_a_row=10, max_ratio=0.5, window=100), together=False, allowance=0)
        one = build("otlp_proto")
        part = Slice("gpu.samples", 0, range(len(values)), [NOON_S * 1000] * len(values), values)
        one.observe(part)
        return guard.judge(part, one.facts.rejects)

    devices = [{**GPU, "UUID": f"GPU-{number}"} for number in range(8)]
    flawed = [Metric("DCGM_FI_PROF_SM_ACTIVE", 50.0), *[Metric(UTIL, 40.0, labels) for labels in devices]]
    assert trip([as_proto(request(flawed))] * 20) is None
    assert trip([as_json(request(flawed))] * 20) is None
    assert trip([b"\x0a\x05"] * 20) is not None


def test_what_comes_by_http_is_read_from_the_inbox():
    store = Store.open("sqlite://")
    now = NOON + timedelta(seconds=40)
    keeper = Keeper(
        beside_bytes=0, store=store, build=lambda partition: build("native", store), owner="me", clock=lambda: now,
        metrics=Metrics("test"),
    )  # fmt: skip
    embedded = Embedded(store, keeper, lambda: now)
    for second in (0, 30):
        data = [Metric(UTIL, 40.0, GPU, NOON_S + second), Metric(POWER, 71.4, GPU, NOON_S + second)]
        embedded.append([as_proto(request(data))], "otlp.metrics")

    async def run() -> None:
        await keeper.assigned({0})
        await embedded.drain()
        await keeper.revoked({0})

    asyncio.run(run())
    rows = store.ledger_rows(NOON - timedelta(hours=1), NOON + timedelta(hours=2))
    assert sum(nano_usd(rows).values()) == 2 * (ACCELERATOR_HOUR // 120)
    assert {row.workload for row in rows} == {"prod-eu/llm-serving/llama70b"}
    store.close()


@pytest.mark.parametrize("form", ["otlp_json", "prometheus_json"])
def test_a_replay_of_such_lines_says_what_they_cost(form, tmp_path):
    config, lines, out = tmp_path / "emberwatch.yaml", tmp_path / "lines.jsonl", tmp_path / "out"
    config.write_text(CONFIG.replace("FORMAT", "native"), encoding="utf-8")
    lines.write_bytes(b"\n".join(value for _, value in messages(form, 30)) + b"\n")
    replay([str(lines)], config=config, out=out)
    with (out / "spend.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["hour"][11:13], row["workload"]): float(row["usd"]) for row in csv.DictReader(file)}
    assert rows == {
        ("11", "home/llm-serving/llama70b"): pytest.approx(4 / 60, abs=1e-6),
        ("12", "home/llm-serving/llama70b"): pytest.approx(4, abs=1e-6),
        ("12", "home//vllm" if form == "prometheus_json" else "prod-eu//vllm"): pytest.approx(
            600 * TOKENS / 1e9, abs=1e-6
        ),
    }
    assert (out / "rejects.jsonl").read_text() == ""
