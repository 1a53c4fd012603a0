"""Adapters' JSON, Telegraf, Vector, influx lines, remote_write and CloudEvents: read, told apart, and never trusted."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.formats.sniff import Format, said_at, sniff
from tests.streams.events import encoded, gpu
from tests.support.telemetry import GPU, NOON_S, Ear, Metric, adapter, as_json, as_proto, request, said

LAWFUL = settings(derandomize=True, deadline=None, max_examples=200)
TAGS = {"host": "gpu-node-17", "index": "3", "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-7b1c"}
FIELDS = {"utilization_gpu": 2, "memory_used": 71233, "memory_total": 81559, "power_draw": 71.4, "temperature_gpu": 31}
TOLD = {
    "at": 0.0,
    "workload": "default//",
    "device": "GPU-7b1c",
    "span_s": 30.0,
    "node": "gpu-node-17",
    "gpu_model": "NVIDIA H100 80GB HBM3",
    "util_ratio": 0.02,
    "memory_used_bytes": 71233 * 2**20,
    "memory_total_bytes": 81559 * 2**20,
    "power_w": 71.4,
}
LINE = (
    b"nvidia_smi,host=gpu-node-17,index=3,name=NVIDIA\\ H100\\ 80GB\\ HBM3,uuid=GPU-7b1c "
    b'utilization_gpu=2i,memory_used=71233i,memory_total=81559i,power_draw=71.4,vbios="a b,c=1" '
)


def telegraf(**more: object) -> dict[str, object]:
    return {"fields": FIELDS, "name": "nvidia_smi", "tags": TAGS, "timestamp": NOON_S, **more}


def write_request(series: list[tuple[dict[str, str], list[tuple[float, int]]]]) -> bytes:
    """A `prometheus.WriteRequest`."""

    def field(number: int, body: bytes) -> bytes:
        assert len(body) < 1 << 14
        return bytes((number << 3 | 2, len(body) & 0x7F | 0x80, len(body) >> 7)) + body

    def number(value: int) -> bytes:
        found = bytearray()
        while value >= 0x80:
            found.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes((*found, value))

    return b"".join(
        field(
            1,
            b"".join(field(1, field(1, key.encode()) + field(2, value.encode())) for key, value in labels.items())
            + b"".join(field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + number(ms)) for value, ms in samples),
        )
        for labels, samples in series
    )


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Format.TELEGRAF_JSON, json.dumps(telegraf()).encode()),
        (Format.TELEGRAF_JSON, json.dumps({"metrics": [telegraf()]}).encode()),
        (Format.TELEGRAF_JSON, json.dumps([telegraf(timestamp=NOON_S * 1000)]).encode()),
        (Format.INFLUX, LINE + str(NOON_S * 10**9).encode()),
        (Format.INFLUX, b"# a comment\n\n" + LINE + str(NOON_S).encode() + b"\n"),
    ],
)
@pytest.mark.parametrize("auto", [False, True])
def test_telegraf_says_an_accelerator_in_one_message(form, message, auto):
    if auto and message.startswith(b"#"):
        pytest.skip("a comment tells no format")
    ear = Ear(Format.AUTO if auto else form)
    assert [said(event) for event in ear.hear(message)] == [TOLD]
    assert ear.faults == []


@pytest.mark.parametrize("native", [False, True])
def test_vector_says_gauges_and_counters(native):
    def event(name: str, second: int, **value: object) -> bytes:
        stamp = f"2026-11-23T12:{second // 60:02}:{second % 60:02}Z"
        body = {"name": name, "tags": {"job": "vllm", "model_name": "m"}, "timestamp": stamp, **value}
        return json.dumps({"metric": body} if native else body).encode()

    ear = Ear(Format.VECTOR_JSON)
    heard = []
    for second, kind, value in ((0, "absolute", 100.0), (30, "absolute", 160.0), (60, "absolute", 160.0)):
        heard += ear.hear(event("vllm:generation_tokens_total", second, kind=kind, counter={"value": value}))
        heard += ear.hear(event("vllm:num_requests_running", second, kind="absolute", gauge={"value": 2.0}))
    heard += ear.rest()
    assert [(said(one)["at"], one.output_tokens, one.requests_running) for one in heard] == [
        (30.0, 60, 2.0), (60.0, 0, 2.0),
    ]  # fmt: skip


def test_remote_write_is_joined_over_requests_and_a_stale_series_is_gone():
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    labels = {"UUID": "GPU-7b1c", "exported_pod": "chat-0", "exported_namespace": "llm", "pod": "dcgm-exporter-x2x4z"}

    def sample(name: str, value: float, second: int) -> tuple[dict[str, str], list[tuple[float, int]]]:
        return {"__name__": name, **labels}, [(value, (NOON_S + second) * 1000)]

    ear = Ear(Format.REMOTE_WRITE)
    told = []
    for second in (0, 15, 30):
        power = stale if second == 30 else 71.4
        told += ear.hear(write_request([sample("DCGM_FI_DEV_GPU_UTIL", 40.0, second)]))
        told += ear.hear(write_request([sample("DCGM_FI_DEV_POWER_USAGE", power, second), sample("up", 1.0, second)]))
    told += ear.rest()
    assert [(said(one)["at"], one.util_ratio, one.power_w, one.workload) for one in told] == [
        (0.0, 0.4, None, "default/llm/chat"),
        (15.0, 0.4, 71.4, "default/llm/chat"),
        (30.0, 0.4, None, "default/llm/chat"),
    ]
    assert ear.faults == []


def test_a_structured_cloudevent_brings_one_of_our_events():
    event = {"specversion": "1.0", "type": "x", "source": "y", "id": "1", "data": gpu(at="2026-11-23T12:00:00Z")}
    for form in (Format.CLOUDEVENTS, Format.AUTO):
        (told,) = Ear(form).hear(json.dumps(event, default=str).encode())
        assert said(told)["at"] == 0.0


@pytest.mark.parametrize(
    ("message", "form"),
    [
        (as_proto(request([Metric("up", 1.0)])), Format.OTLP_PROTO),
        (as_json(request([Metric("up", 1.0)])), Format.OTLP_JSON),
        (adapter(Metric("up", 1.0)), Format.PROMETHEUS_JSON),
        (json.dumps(telegraf()).encode(), Format.TELEGRAF_JSON),
        (LINE, Format.INFLUX),
        (b'{"name":"up","tags":{},"timestamp":"2026-11-23T12:00:00Z","kind":"absolute"}', Format.VECTOR_JSON),
        (b'{"specversion":"1.0","data":{}}', Format.CLOUDEVENTS),
        (encoded(gpu()), Format.NATIVE),
        (encoded([gpu(), gpu()]), Format.NATIVE),
        (write_request([({"__name__": "up"}, [(1.0, NOON_S * 1000)])]), None),
        (b"\x0a\x05", None),
        (b"{}", None),
        (b"[" * 100_000, None),
        (b"nonsense", None),
        (b"", None),
    ],
)
def test_a_message_is_told_from_its_bytes(message, form):
    assert sniff(message) is form


def test_what_fits_no_format_is_set_aside_as_before():
    ear = Ear(Format.AUTO)
    assert ear.hear(b"nonsense", b"{}", b"\x0a\x05", encoded(gpu(at="2026-11-23T12:00:00Z")))[0].device == "GPU-1"
    assert len(ear.faults) == 3


def test_a_topic_of_another_format_takes_the_contracts_events_too():
    ear = Ear(Format.OTLP_PROTO)
    told = ear.hear(encoded(gpu(at="2026-11-23T12:00:00Z")), as_json(request([Metric("DCGM_FI_DEV_GPU_UTIL", 40.0)])))
    assert [event.device for event in told] == ["GPU-1", "GPU-7b1c"]


def test_lines_say_when_they_arrived():
    lines = [as_json(request([Metric("up", 1.0)])), adapter(Metric("up", 1.0)), json.dumps(telegraf()).encode(), b"x"]
    assert [None if at is None else at.timestamp() for at in map(said_at, lines)] == [NOON_S, NOON_S, NOON_S, None]


VALUES = st.one_of(st.none(), st.floats(), st.text(max_size=5), st.integers(), st.booleans())
NAMES = st.sampled_from(["DCGM_FI_DEV_GPU_UTIL", "nvidia_smi", "prometheus", "vllm:prompt_tokens_total", ""])
TEXTS = st.dictionaries(st.sampled_from(["UUID", "uuid", "pod", "model_name", "__name__"]), st.text(max_size=5))
STAMPS = st.one_of(st.sampled_from(["2026-11-23T12:00:00Z", "2026-11-23T12:00:00", "x"]), st.floats(), st.integers())
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "timestamp": STAMPS,
        "value": VALUES,
        "labels": TEXTS,
        "tags": TEXTS,
        "kind": st.sampled_from(["absolute", "incremental"]),
        "gauge": st.fixed_dictionaries({"value": VALUES}),
        "counter": st.fixed_dictionaries({"value": VALUES}),
        "fields": st.dictionaries(st.sampled_from(["utilization_gpu", "DCGM_FI_DEV_GPU_UTIL", "x"]), VALUES),
        "specversion": st.just("1.0"),
        "data": VALUES,
    },
)
JSON = st.one_of(OBJECTS, st.lists(OBJECTS, max_size=3), st.builds(lambda one: {"metric": one}, OBJECTS)).map(
    lambda value: json.dumps(value).encode()
)
LINES = st.builds(
    lambda parts, at: "".join(parts).encode() + at,
    st.lists(st.sampled_from(["nvidia_smi", ",uuid=GPU-1", " ", "utilization_gpu=", "2i", '"', "\\", "=", "\n", "é"])),
    st.sampled_from([b"", b" 1795435200000000000", b" -1", b" 99999999999999999999"]),
)


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.NATIVE])
@LAWFUL
@given(st.data())
def test_no_format_raises_for_what_the_bytes_hold(form, data):
    ear = Ear(form)
    message = data.draw(st.one_of(JSON, LINES, st.binary(min_size=1, max_size=200)))
    for event in [*ear.hear(message, message), *ear.rest()]:
        assert said(event)["at"] <= 86_400


@LAWFUL
@given(st.data())
def test_remote_write_survives_any_damage(data):
    whole = write_request([({"__name__": "DCGM_FI_DEV_GPU_UTIL", **GPU}, [(40.0, NOON_S * 1000), (41.0, 1)])])
    message = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    ear = Ear(Format.REMOTE_WRITE)
    for event in [*ear.hear(bytes(message)), *ear.rest()]:
        assert said(event)["at"] <= 86_400
    other = write_request([({"__name__": "DCGM_FI_DEV_GPU_UTIL", **GPU, "UUID": "GPU-9"}, [(40.0, NOON_S * 1000)])])
    (event,) = [*ear.hear(other), *ear.rest()]
    assert said(event)["device"] == "GPU-9"  # and what comes after it is heard as ever
