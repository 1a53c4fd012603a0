"""Telemetry of other systems: samples (values of a metric) a second and core, beside the obvious loop.

No broker and no database: decoding alone, and decoding with everything that follows it in a partition, by CPU time.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from time import process_time

import numpy as np
from google.protobuf import json_format
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from benchmarks.figures import Result, Run, Verdict, add_ratios, figure_of, row_of
from console import assemble
from console.settings import parse_settings
from console.settings_sources import Sources
from store.store import Store
from streams.formats.sniff import Format
from streams.formats.translate import Translator
from streams.records import Slice

GPUS, NODES = 8, 20
METRICS = (
    "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE",
)  # fmt: skip
BEGIN_S, EVERY_S = 1_795_435_200, 30
LOOP, JSON_LOOP = "protobuf and a loop", "json and a loop"
SHUFFLED = "OTLP protobuf to events, metrics in any order"
PROTO, WHOLE = "OTLP protobuf to events", "OTLP protobuf, whole partition"
PIECE = 200  # messages a call, as a slice of Kafka's has them
Fields = dict[str, float]
FIGURE = "samples_per_cpu_s"


def run(quick: bool) -> Result:
    """Each way on the same scrapes of 20 nodes with eight accelerators."""
    steps, rounds = (10, 1) if quick else (120, 5)
    data = [scrape(node, step) for step in range(steps) for node in range(NODES)]
    samples = len(data) * GPUS * len(METRICS)
    proto = [one.SerializeToString() for one in data]
    text = [json_format.MessageToJson(one, indent=None, use_integers_for_enums=True).encode() for one in data]
    mixed = [scrape(node, step, shuffled=True).SerializeToString() for step in range(steps) for node in range(NODES)]
    ways: dict[str, Callable[[], float]] = {
        LOOP: lambda: by_protobuf(proto),
        JSON_LOOP: lambda: by_json(text),
        PROTO: lambda: translated(Format.OTLP_PROTO, proto),
        SHUFFLED: lambda: translated(Format.OTLP_PROTO, mixed),
        "OTLP JSON to events": lambda: translated(Format.OTLP_JSON, text),
        WHOLE: lambda: observed("otlp_proto", proto),
        "OTLP JSON, whole partition": lambda: observed("otlp_json", text),
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            runs[name].append({FIGURE: samples / way()})
    rows = [row_of(name, found) for name, found in runs.items()]
    add_ratios(rows, LOOP, FIGURE, "core_ratio")
    verdicts = [
        Verdict(aim=f"samples a second and core: {name}", wanted=300_000.0, got=figure_of(rows, name, FIGURE))
        for name in (PROTO, SHUFFLED, WHOLE)
    ]
    sizes = f"{sum(map(len, proto)) // samples} bytes a sample in protobuf, {sum(map(len, text)) // samples} in JSON"
    notes = [
        f"A sample is one value of a metric; a message is a scrape of {GPUS} accelerators with {len(METRICS)} metrics "
        f"each and eight labels: {sizes}. {len(METRICS)} samples become one event.",
        "A scrape that repeats the one before it byte for byte, but for times and values, is read in one step; one "
        "with its metrics in another order is read metric by metric.",
        "The loops read every sample with its labels and join what an accelerator says at one moment; they know no "
        "units, duplicates, counters or owners, and set nothing aside. A whole partition detects, prices and keeps its "
        "ledger too. First sight of every series is included.",
    ]
    return Result(suite="decode", quick=quick, rounds=rounds, rows=rows, verdicts=verdicts, notes=notes)


def scrape(node: int, step: int, *, shuffled: bool = False) -> MetricsData:
    """What the Collector makes of one scrape of a node; `shuffled`: its metrics in another order each time."""
    order = list(enumerate(METRICS))
    if shuffled:
        Random(node * 1000 + step).shuffle(order)
    data = MetricsData()
    group = data.resource_metrics.add()
    for key, value in {
        "service.name": "dcgm-exporter", "service.instance.id": f"node-{node}:9400", "k8s.cluster.name": "prod"
    }.items():  # fmt: skip
        group.resource.attributes.add(key=key).value.string_value = value
    scope = group.scope_metrics.add()
    scope.scope.name = "prometheusreceiver"
    for place, name in order:
        metric = scope.metrics.add(name=name, description="What it is, in a few words.")
        for gpu in range(GPUS):
            point = metric.gauge.data_points.add(time_unix_nano=(BEGIN_S + EVERY_S * step) * 10**9)
            point.as_double = round(0.1 + 0.01 * ((step * 7 + gpu * 3 + place) % 80), 4)
            labels = {
                "gpu": str(gpu), "UUID": f"GPU-{node:08x}-{gpu}", "modelName": "NVIDIA H100 80GB HBM3",
                "Hostname": f"node-{node}", "device": f"nvidia{gpu}", "namespace": f"team-{node % 5}",
                "pod": f"chat-{node}", "container": "server",
            }  # fmt: skip
            for key, value in labels.items():
                point.attributes.add(key=key).value.string_value = value
    return data


def translated(form: Format, messages: Sequence[bytes]) -> float:
    """CPU seconds from messages to events, as a partition makes them."""
    translator, events, began_s = Translator({"topic": form}), 0, process_time()
    arrived_ms = (BEGIN_S + 86_400) * 1000
    for begin in range(0, len(messages), PIECE):
        part = messages[begin : begin + PIECE]
        zeros = np.zeros(len(part), dtype=np.int64)
        found = translator.decode(["topic"], zeros, part, zeros + arrived_ms, 2**20)
        translator.keep(found.step)
        events += len(found.decoded.events)
    return _took(began_s, events, len(messages) * GPUS)


def observed(form: str, messages: Sequence[bytes]) -> float:
    """The same with detection, prices, the ledger and what a snapshot has to write."""
    text = f"""
prices: {{gpu: [{{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}}]}}
kafka: {{formats: {{gpu_samples: {form}}}}}
"""
    settings = parse_settings(text, "benchmark", Sources(environ={}))
    store = Store.open("sqlite://")
    one = assemble.pipelines(settings, assemble.router(settings), store)(0)
    began_s = process_time()
    for begin in range(0, len(messages), PIECE):
        part = messages[begin : begin + PIECE]
        arrived = [(BEGIN_S + EVERY_S * ((begin + place) // NODES)) * 1000 + 500 for place in range(len(part))]
        one.observe(Slice("gpu.samples", 0, range(begin, begin + len(part)), arrived, part))
        one.drain()
        one.changes()
    took_s = _took(began_s, one.take_tally().events.get("GpuSample", 0), len(messages) * GPUS)
    store.close()
    return took_s


def by_protobuf(messages: Sequence[bytes]) -> float:
    """The obvious way: the protobuf library, and a loop over what it made."""
    gathered: dict[tuple[str, int], Fields] = {}
    began_s = process_time()
    for message in messages:
        for group in MetricsData.FromString(message).resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.gauge.data_points:
                        labels = {pair.key: pair.value.string_value for pair in point.attributes}
                        key = labels["UUID"], point.time_unix_nano
                        gathered.setdefault(key, {})[metric.name] = point.as_double
    return _took(began_s, len(gathered), len(messages) * GPUS)


def by_json(messages: Sequence[bytes]) -> float:
    """The same with the JSON of the standard library."""
    gathered: dict[tuple[str, int], Fields] = {}
    began_s = process_time()
    for message in messages:
        for group in json.loads(message)["resourceMetrics"]:
            for scope in group["scopeMetrics"]:
                for metric in scope["metrics"]:
                    for point in metric["gauge"]["dataPoints"]:
                        labels = {pair["key"]: pair["value"]["stringValue"] for pair in point["attributes"]}
                        key = labels["UUID"], int(point["timeUnixNano"])
                        gathered.setdefault(key, {})[metric["name"]] = point["asDouble"]
    return _took(began_s, len(gathered), len(messages) * GPUS)


def _took(began_s: float, events: int, wanted: int) -> float:
    """CPU seconds since then. Raises RuntimeError where not all events are there."""
    took_s = process_time() - began_s
    if events != wanted:
        raise RuntimeError(f"{events} events, {wanted} were expected")
    return took_s
