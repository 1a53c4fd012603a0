"""What real exporters were recorded saying becomes these events, whichever way it comes."""

import gzip
import re
from pathlib import Path

import pytest

from streams.formats.sniff import Format
from tests.support.telemetry import EXPORTER, NOON_S, VLLM, Ear, Metric, adapter, as_json, as_proto, request, said

DATA = Path(__file__).parents[4] / "shared" / "data" / "exporter_payloads"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded payloads are not here")

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_PAIR = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
T4 = {
    "at": 0.0,
    "workload": "default//",
    "device": "GPU-20c56d28-0da5-6d26-a36a-e7af1ce2586e",
    "span_s": 30.0,
    "node": "424773df46e0",
    "labels": {"DCGM_FI_PROCESS_NAME": "/usr/bin/dcgm-exporter"},
    "gpu_model": "Tesla T4",
    "util_ratio": 0.0,
    "memory_used_bytes": 0,
    "memory_total_bytes": 15109 * 2**20,
    "power_w": 8.969,
}
RTX, H100 = "NVIDIA GeForce RTX 4080 SUPER", "NVIDIA H100 80GB HBM3"
SMI = {"at": 0.0, "workload": "default//", "device": "GPU-00000000-0000-0000-0000-000000000000", "span_s": 30.0}


def smi(model: str, util: float | None, power: float, used: int, total: int) -> dict[str, object]:
    read = {"util_ratio": util, "power_w": power, "memory_used_bytes": used, "memory_total_bytes": total}
    known = {key: value for key, value in read.items() if value is not None}
    return {**SMI, "node": "gpu-node-01", "gpu_model": model, **known}


def metrics_of(name: str) -> list[Metric]:
    """The samples of a recording in Prometheus' text format."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    matches = [_LINE.fullmatch(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    return [Metric(match[1], float(match[3]), dict(_PAIR.findall(match[2] or ""))) for match in matches if match]


def heard(form: Format, metrics: list[Metric], resource: dict[str, str]) -> list[dict[str, object]]:
    """The events of a recording, after one half a minute before in which every counter was at 0."""
    ear = Ear(form)
    events = []
    for second, share in ((-30, 0.0), (0, 1.0)):
        scrape = [
            Metric(
                metric.name,
                metric.value if "uuid" in str(metric.labels).lower() else metric.value * share,
                metric.labels,
                NOON_S + second,
            )
            for metric in metrics
        ]
        if form is Format.PROMETHEUS_JSON:
            events += ear.hear(*[adapter(metric, resource) for metric in scrape])
        else:
            data = request(scrape, resource)
            events += ear.hear(as_proto(data) if form is Format.OTLP_PROTO else as_json(data))
    events += ear.rest()
    assert ear.faults == []
    found = [said(event) for event in events]
    return [event for event in found if event["at"] == 0.0]


FORMS = pytest.mark.parametrize("form", [Format.OTLP_PROTO, Format.OTLP_JSON, Format.PROMETHEUS_JSON])
NODE = {"service.name": "nvidia-gpu-exporter", "service.instance.id": "gpu-node-01:9835"}


@FORMS
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvidia-geforce-rtx-4080-super__595.71.05__idle", smi(RTX, 0.0, 26.2, 624951296, 17171480576)),
        ("nvidia-geforce-rtx-4080-super__595.71.05__load", smi(RTX, 0.07, 84.24, 1545601024, 17171480576)),
        ("nvidia-h100-80gb-hbm3__590.48.01__idle", smi(H100, 0.0, 69.85, 0, 85520809984)),
        ("nvidia-h100-80gb-hbm3__590.48.01__load", smi(H100, 1.0, 631.95, 20780679168, 85520809984)),
        ("nvidia-h100-mig__590.48.01__idle", smi(H100, None, 71.15, 61865984, 85520809984)),
        ("nvidia-h100-mig__590.48.01__load", smi(H100, None, 433.78, 11665408000, 85520809984)),
        ("nvidia-l40s__595.80__idle", smi("NVIDIA L40S", 1.0, 144.97, 0, 48305799168)),
        ("nvidia-l40s__595.80__load", smi("NVIDIA L40S", 0.09, 110.23, 1294991360, 48305799168)),
    ],
)
def test_nvidia_gpu_exporter(form, name, expected):
    (event,) = heard(form, metrics_of(f"nvidia_gpu_exporter/{name}.prom"), NODE)
    assert event == expected


@FORMS
def test_dcgm_exporter(form):
    (event,) = heard(form, metrics_of("dcgm/dcgm_exporter_t4_idle.prom"), {**EXPORTER, "k8s.cluster.name": "default"})
    assert event == T4


@FORMS
def test_a_fragment_without_anything_of_interest_is_no_event(form):
    assert heard(form, metrics_of("dcgm/dcgm_exporter_readme_fragment.prom"), EXPORTER) == []


def served(model: str, **more: object) -> dict[str, object]:
    known = {"at": 0.0, "workload": "prod-eu//vllm", "provider": "self-hosted", "model": model, "span_s": 30.0}
    return {**known, "requests": 0, "input_tokens": 0, "output_tokens": 0, **more}


def without_identity(events: list[dict[str, object]]) -> list[dict[str, object]]:
    assert len({event.pop("event_id") for event in events}) == len(events)
    return events


@pytest.mark.parametrize("form", [Format.OTLP_PROTO, Format.OTLP_JSON])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "vllm/vllm_0.6_qwen_coder",
            served(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct",
                requests=4, input_tokens=148, output_tokens=955, requests_running=0.0, requests_waiting=0.0,
            ),
        ),
        (
            "sglang/sglang_llama31_8b",
            served(
                "meta-llama/Llama-3.1-8B-Instruct",
                input_tokens=8128902, output_tokens=7557572, requests_running=162.0, requests_waiting=2826.0,
            ),
        ),
    ],
)  # fmt: skip
def test_servers_of_models(form, name, expected):
    assert without_identity(heard(form, metrics_of(f"{name}.prom"), VLLM)) == [expected]


@pytest.mark.parametrize("form", [Format.OTLP_PROTO, Format.OTLP_JSON])
def test_triton_says_requests_by_model_and_how_busy_its_accelerator_is(form):
    triton = {"service.name": "triton", "service.instance.id": "triton-0:8002"}
    events = heard(form, metrics_of("triton/triton_t4.prom"), triton)
    assert [event for event in events if "device" in event] == [
        {
            "at": 0.0,
            "workload": "default//triton",
            "device": "GPU-951eeeeb-d284-d263-688e-d98a5306389b",
            "span_s": 30.0,
            "node": "triton-0",
            "util_ratio": 0.0,
            "memory_used_bytes": 266338304,
            "memory_total_bytes": 16106127360,
            "power_w": 32.09,
        }
    ]
    served_here = {event["model"]: (event["requests"], event["errors"]) for event in events if "model" in event}
    assert served_here == {"simple_string": (0, 0), "densenet_onnx": (3, 0), "simple": (0, 0)}


@pytest.mark.parametrize("form", [Format.OTLP_PROTO, Format.OTLP_JSON])
def test_litellm_says_tokens_by_team_and_model_and_the_cost_where_it_knows_it(form):
    gateway = {"service.name": "litellm", "service.instance.id": "gateway:4000"}
    events = heard(form, metrics_of("litellm/litellm_1.95_spend_tokens.prom"), gateway)
    found = sorted(
        (
            event["workload"], event["provider"], event["model"], event["requests"], event.get("errors"),
            event["input_tokens"], event["output_tokens"], event.get("cache_read_tokens"),
            event.get("cache_write_tokens"), None if event.get("cost_usd") is None else str(event["cost_usd"]),
        )
        for event in events
    )  # fmt: skip
    assert found == [
        ("default//litellm", "openai", "gpt-4o", 2, None, 240, 160, None, None, None),
        ("default//litellm", "openai", "gpt-4o", 3, None, 360, 240, None, None, None),
        ("default//litellm", "openai", "gpt-4o", 5, None, 600, 400, None, None, "0.0033"),
        ("default//litellm", "openai", "gpt-4o-audio", 3, None, 360, 240, None, None, None),
        ("default//litellm", "openai", "gpt-4o-cache-read", 3, None, 360, 240, 192, None, None),
        ("default//litellm", "openai", "gpt-4o-cache-write", 3, None, 360, 240, None, 144, None),
        ("default//litellm", "openai", "o3-mini-reason", 3, None, 360, 240, None, None, None),
        ("default//litellm", "unknown", "mock-fail", 0, 2, 0, 0, None, None, None),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dcgm_t4_idle", [T4]),
        ("h100_load", [smi(H100, 1.0, 631.95, 20780679168, 85520809984)]),
        ("l40s_idle", [smi("NVIDIA L40S", 1.0, 144.97, 0, 48305799168) | {"node": "gpu-node-02"}]),
        ("litellm", []),  # one look at a counter says nothing yet
        ("vllm_qwen", []),
    ],
)
@pytest.mark.parametrize("kind", ["otlp.json", "prometheus_kafka_adapter.jsonl"])
def test_messages_as_they_lie_in_kafka(name, expected, kind):
    raw = gzip.decompress((DATA / "derived_kafka_messages" / f"{name}.{kind}.gz").read_bytes())
    ear = Ear(Format.AUTO)
    events = [*ear.hear(*[line for line in raw.split(b"\n") if line]), *ear.rest()]
    moment = 1_763_900_000 - NOON_S
    assert [said(event) for event in events] == [one | {"at": float(moment)} for one in expected]
    assert ear.faults == []
