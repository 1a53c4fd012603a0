"""OTLP in protobuf and in JSON say the same; what is hostile is set aside, and nothing else of its message."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from detectors.events import Event
from streams.formats.otlp_json import OtlpJson
from streams.formats.otlp_proto import OtlpProto
from streams.formats.points import Malformed
from streams.formats.series import CUMULATIVE, DELTA, GAUGE, Names
from streams.formats.sniff import Format
from tests.support.telemetry import EXPORTER, GPU, NOON_S, VLLM, Ear, Metric, as_json, as_proto, request, said

LAWFUL = settings(derandomize=True, deadline=None, max_examples=150)
NAMES = (
    "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_PROF_SM_ACTIVE",
    "vllm:generation_tokens_total", "vllm:num_requests_running", "gen_ai.client.token.usage", "up",
)  # fmt: skip
TEXTS = st.text(max_size=12)
LABELS = st.dictionaries(
    st.sampled_from(["UUID", "gpu", "pod", "namespace", "model_name", "gen_ai.token.type", "x", ""]), TEXTS, max_size=6
)
NUMBERS = st.one_of(st.floats(0, 200), st.floats(), st.integers(0, 10**6), st.integers(-(2**63), 2**63 - 1))


@st.composite
def requests(draw) -> MetricsData:
    """Any request, of metrics of interest or not, plain or odd."""
    data = MetricsData()
    for _ in range(draw(st.integers(1, 2))):
        group = data.resource_metrics.add()
        _put(group.resource.attributes, draw(LABELS), draw(st.integers(0, 4)))
        scope = group.scope_metrics.add()
        for _ in range(draw(st.integers(0, 4))):
            unit = draw(st.sampled_from(["", "1", "%", "W"]))
            metric = scope.metrics.add(name=draw(st.sampled_from(NAMES)), unit=unit)
            kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
            body = getattr(metric, kind)
            if kind not in ("gauge", "summary"):
                body.aggregation_temporality = draw(st.integers(0, 2))
            for _ in range(draw(st.integers(0, 3))):
                point = body.data_points.add()
                at_s = draw(st.sampled_from([0, *range(NOON_S - 60, NOON_S + 60, 15)]))
                point.time_unix_nano = at_s * 10**9
                point.start_time_unix_nano = draw(st.sampled_from([0, (NOON_S - 100) * 10**9]))
                point.flags = draw(st.sampled_from([0, 0, 0, 1]))
                _put(point.attributes, draw(LABELS), draw(st.integers(0, 4)))
                value = draw(NUMBERS)
                if kind in ("gauge", "sum"):
                    if isinstance(value, float):
                        point.as_double = value
                    elif draw(st.booleans()):
                        point.as_int = value
                    if draw(st.integers(0, 5)) == 0:
                        point.exemplars.add(as_double=1.0, trace_id=b"0123456789abcdef")
                else:
                    point.count = abs(value) if isinstance(value, int) else 3
                    point.sum = float(value)
    return data


def _put(into, labels: Mapping[str, str], kind: int) -> None:
    for key, value in labels.items():
        said = into.add(key=key).value
        if kind == 1:
            said.int_value = len(value) - 3
        elif kind == 2:
            said.bool_value = bool(value)
        elif kind == 3:
            said.kvlist_value.values.add(key=value)
        else:
            said.string_value = value


def heard(form: Format, message: bytes) -> tuple[object, list[str]]:
    ear = Ear(form)
    events = [*ear.hear(message), *ear.hear(message, arrived_s=NOON_S + 10**6), *ear.rest()]
    return events, ear.faults


@LAWFUL
@given(requests())
def test_protobuf_and_json_of_the_same_data_give_the_same_events(data):
    assert heard(Format.OTLP_JSON, as_json(data)) == heard(Format.OTLP_PROTO, as_proto(data))


def by_reference(message: bytes) -> list[tuple[object, ...]]:
    """What the protobuf library reads: metric, temporality, labels, time, value, or None where it is stale."""
    found = []
    kinds = {0: GAUGE, 1: DELTA, 2: CUMULATIVE}
    for group in MetricsData.FromString(message).resource_metrics:
        for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
            kind = metric.WhichOneof("data")
            if kind not in ("gauge", "sum"):
                continue
            body = getattr(metric, kind)
            counter = kinds[body.aggregation_temporality] if kind == "sum" else GAUGE
            for point in body.data_points:
                which = point.WhichOneof("value")
                value = None if which is None else getattr(point, which)
                labels = {pair.key: pair.value.string_value for pair in point.attributes}
                found.append((metric.name, counter, tuple(labels.items()), point.time_unix_nano // 10**6, value))
    return found


class Plain(Names):
    """Names that are all of interest, of which series are what they are."""

    def aliases(self, name):
        return (name,)

    def series(self, name, unit, counter, labels, resource):
        series = Names("default").series("DCGM_FI_DEV_GPU_UTIL", "", GAUGE, {"UUID": "x"}, {})
        series.text = (name, counter, tuple(labels.items()))
        return series


@LAWFUL
@given(
    st.lists(
        st.builds(
            Metric,
            name=st.sampled_from(["a", "b" * 200]),
            value=st.one_of(st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)),
            labels=st.dictionaries(TEXTS, st.text(max_size=300), max_size=4),
            kind=st.sampled_from(["gauge", 1, 2]),
            start_s=st.sampled_from([0, NOON_S - 60]),
        ),
        max_size=5,
    )
)
def test_points_are_read_as_the_protobuf_library_reads_them(metrics):
    reader = OtlpProto(Plain("default"))
    message = as_proto(request(metrics))
    for _ in range(2):  # the second time they are known by their bytes
        points = reader.read(message).points
        read = [(*series.text, at_ms, value) for series, at_ms, value, _ in points]
        assert read == by_reference(message)


METRICS = st.builds(
    Metric,
    name=st.sampled_from(["a", "b" * 200, "c"]),
    value=st.floats(allow_nan=False),
    labels=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    at_s=st.sampled_from([NOON_S, NOON_S + 1]),
    kind=st.sampled_from(["gauge", 1, 2]),
    start_s=st.sampled_from([0, NOON_S - 60]),
)


class SomeOf(Plain):
    """The same, but for metrics of no interest."""

    def aliases(self, name):
        return () if name.startswith("c") else (name,)


@settings(LAWFUL, max_examples=40)
@given(st.lists(METRICS, min_size=1, max_size=4), st.data())
def test_messages_that_look_alike_are_read_as_the_protobuf_library_reads_them(metrics, data):
    reader = OtlpProto(SomeOf("default"))
    for _ in range(8):
        for metric in metrics:
            if data.draw(st.booleans()):
                metric.value = data.draw(st.one_of(st.floats(allow_nan=False), st.integers(0, 9)))
                metric.at_s += 30
        if data.draw(st.integers(0, 4)) == 0:
            metrics[0].labels = {"k": data.draw(st.text("xy", min_size=1, max_size=1))}
        message = as_proto(request(metrics))
        read = [(*series.text, at_ms, value) for series, at_ms, value, _ in reader.read(message).points]
        assert read == [point for point in by_reference(message) if point[0] != "c"]


@LAWFUL
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_bytes_of_any_kind_are_points_or_malformed(message):
    good = request([Metric("DCGM_FI_DEV_POWER_USAGE", 70.0)])
    for reader, whole in ((OtlpProto(Names("default")), as_proto(good)), (OtlpJson(Names("default")), as_json(good))):
        with suppress(Malformed):
            reader.read(message)
        assert [value for _, _, value, _ in reader.read(whole).points] == [70.0]  # and the next one is read as ever


def elsewhere(ear: Ear) -> list[Event]:
    """What comes of a good scrape of another exporter."""
    labels = {**GPU, "UUID": "GPU-elsewhere", "Hostname": "elsewhere"}
    metrics = [Metric("DCGM_FI_DEV_GPU_UTIL", 40.0, labels), Metric("DCGM_FI_DEV_POWER_USAGE", 70.0, labels)]
    resource = {**EXPORTER, "service.instance.id": "10.9.9.9:9400"}
    events = [*ear.scrape(*metrics, resource=resource), *ear.rest()]
    assert events
    return events


@LAWFUL
@given(st.data())
def test_a_broken_message_never_raises_anything_else(data):
    message = bytearray(as_proto(request([Metric("DCGM_FI_DEV_GPU_UTIL", 40.0), Metric("up", 1.0)])))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    ear = Ear()
    damaged = bytes(message)[: data.draw(st.integers(1, len(message)))]
    for event in [*ear.hear(damaged), *ear.rest()]:
        assert said(event)["at"] <= 86_400
    assert elsewhere(ear) == elsewhere(Ear())  # and what another exporter says is heard as ever


@pytest.mark.parametrize("form", [Format.OTLP_PROTO, Format.OTLP_JSON])
def test_hostile_labels_are_set_aside_and_the_rest_counts(form):
    many = {**GPU, **{f"label-{number}": "x" for number in range(200)}}
    ear = Ear(form)
    (event,) = ear.scrape(
        Metric("DCGM_FI_DEV_POWER_USAGE", 71.4),
        Metric("DCGM_FI_DEV_GPU_UTIL", 1.0, {**GPU, "UUID": "G" * 5000}),
        Metric("DCGM_FI_DEV_GPU_UTIL", 1.0, {**GPU, "UUID": "G" * 300}),
        Metric("DCGM_FI_DEV_GPU_UTIL", 1.0, {**GPU, "pod": "a\nb"}),
        Metric("DCGM_FI_DEV_GPU_UTIL", 1.0, many),
        Metric("DCGM_FI_DEV_GPU_UTIL", 1.0, {"pod": "nameless"}),
        resource={},
    )
    assert event.power_w == 71.4
    assert ear.faults == [
        "a label of 5000 characters, the limit is 4096",
        "the name of its accelerator has 316 characters, the limit is 252",
        "the name of its workload holds a control character",
        "207 labels, the limit is 128",
        "no label names the accelerator: UUID, gpu_uuid, uuid or hw.id, or an index and a host",
    ]


def test_many_faults_of_one_message_are_put_on_record_together():
    ear = Ear()
    ear.scrape(*[Metric("DCGM_FI_DEV_GPU_UTIL", 200.0, {**GPU, "UUID": f"GPU-{number}"}) for number in range(80)])
    assert len(ear.faults) == 50
    assert ear.faults[-1].startswith("31 more values of the same message: ")


def test_deep_nesting_is_refused_or_passed_over():
    deep = b'{"resourceMetrics":' + b"[" * 100_000
    assert heard(Format.OTLP_JSON, deep)[1][0].startswith("n")
    value: dict[str, object] = {"stringValue": "x"}
    for _ in range(200):
        value = {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
    message = json.loads(as_json(request([Metric("DCGM_FI_DEV_GPU_UTIL", 40.0)])))
    message["resourceMetrics"][0]["resource"]["attributes"].append({"key": "deep", "value": value})
    ear = Ear(Format.OTLP_JSON)
    assert len(ear.hear(json.dumps(message).encode())) == 1


def test_unknown_fields_and_other_signals_are_passed_over():
    assert heard(Format.OTLP_JSON, b'{"resourceMetrics":[{"new":1,"scopeMetrics":[{"metrics":[{"name":"up"}]}]}]}') == (
        [],
        [],
    )


def test_integers_may_be_text_or_numbers_and_values_not_numbers_text():
    text = as_json(request([Metric("DCGM_FI_DEV_FB_USED", 71233), Metric("DCGM_FI_DEV_GPU_UTIL", 40.0)]))
    for form in (text, text.replace(b'"71233"', b"71233"), text.replace(b'": 40.0', b'": "40"')):
        ((event,), faults) = Ear(Format.OTLP_JSON).hear(form), []
        assert (event.memory_used_bytes, event.util_ratio, faults) == (71233 * 2**20, 0.4, [])
    ear = Ear(Format.OTLP_JSON)
    assert ear.hear(text.replace(b'": 40.0', b'": "NaN"'))[0].util_ratio is None
    assert ear.faults == ["the value is nan"]


def test_a_histogram_of_tokens_is_counted_by_its_sum():
    ear = Ear()
    told = []
    for second, into, out in ((0, 100, 10), (30, 400, 70)):
        data = MetricsData()
        group = data.resource_metrics.add()
        _put(group.resource.attributes, VLLM, 0)
        metric = group.scope_metrics.add().metrics.add(name="gen_ai.client.token.usage", unit="{token}")
        metric.histogram.aggregation_temporality = 2
        for kind, total in (("input", into), ("output", out)):
            point = metric.histogram.data_points.add(
                time_unix_nano=(NOON_S + second) * 10**9, count=2 + second, sum=total
            )
            labels = {"gen_ai.token.type": kind, "gen_ai.provider.name": "azure.ai.openai"}
            _put(point.attributes, labels | {"gen_ai.request.model": "gpt-5-mini"}, 0)
        told += ear.hear(as_proto(data))
    (event,) = told
    assert (event.provider, event.model, event.requests) == ("azure", "gpt-5-mini", 30)
    assert (event.input_tokens, event.output_tokens, event.span_s) == (300, 60, 30.0)


def test_the_official_example_is_read_whole():
    message = as_proto(request([Metric("DCGM_FI_DEV_GPU_UTIL", 40.0)], EXPORTER))
    again = json_format.MessageToJson(MetricsData.FromString(message), use_integers_for_enums=True).encode()
    assert heard(Format.AUTO, again) == heard(Format.AUTO, message)
    assert not math.isnan(heard(Format.AUTO, message)[0][0].util_ratio)
