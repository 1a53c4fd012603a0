import gzip
import json
import struct

import cramjam
import pytest

from console.ingest_metrics import MetricsDoors
from streams.intake import IntakeDown, IntakeFull
from tests.console.doors import BEARER, INGEST_TOKEN, House
from tests.support.telemetry import Metric, as_json, as_proto, request

PROTOBUF = {**BEARER, "content-type": "application/x-protobuf"}
JSON = {**BEARER, "content-type": "application/json"}
SNAPPY = {**PROTOBUF, "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}
OTLP, WRITE = "/v1/metrics", "/api/v1/write"
DATA = request([Metric("DCGM_FI_DEV_GPU_UTIL", 40.0)])


class Log:
    """Keeps what it is given, or raises what it is told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.kept: list[tuple[bytes, str | None]] = []
        self.fault = fault

    def __call__(self, values, topic=None):
        if self.fault is not None:
            raise self.fault
        self.kept += [(value, topic) for value in values]


def post(path: str, body: bytes, headers, log: Log | None = None, **more):
    kept = log or Log()
    return House(append=kept, **more).stranger().post(path, content=body, headers=headers), kept.kept


def write_request(value: float = 1.0) -> bytes:
    """A WriteRequest of one series with one sample."""
    label = b"\x0a\x08__name__\x12\x02up"
    sample = b"\x09" + struct.pack("<d", value) + b"\x10\x01"
    series = b"\x0a" + bytes((len(label),)) + label + b"\x12" + bytes((len(sample),)) + sample
    return b"\x0a" + bytes((len(series),)) + series


@pytest.mark.parametrize("packed", [False, True])
def test_otlp_in_protobuf_is_kept_and_answered_in_kind(packed):
    body = as_proto(DATA)
    headers = {**PROTOBUF, "content-encoding": "gzip"} if packed else PROTOBUF
    answer, kept = post(OTLP, gzip.compress(body) if packed else body, headers)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "application/x-protobuf")
    assert kept == [(body, "otlp.metrics")]


def test_otlp_in_json_is_kept_and_answered_in_kind():
    answer, kept = post(OTLP, as_json(DATA), JSON)
    assert (answer.status_code, answer.json()) == (200, {})
    ((value, topic),) = kept
    assert (json.loads(value), topic) == (json.loads(as_json(DATA)), "otlp.metrics")


def test_an_empty_request_is_nothing_to_keep():
    assert post(OTLP, b"", PROTOBUF)[1] == post(OTLP, b"{}", JSON)[1] == []


def test_remote_write_is_unpacked_kept_and_answered_204():
    answer, kept = post(WRITE, bytes(cramjam.snappy.compress_raw(write_request())), SNAPPY)
    assert (answer.status_code, answer.content) == (204, b"")
    assert kept == [(write_request(), "prometheus.write")]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (OTLP, b"\xff\xff", PROTOBUF, 400),
        (OTLP, b"\x12\x03abc", PROTOBUF, 400),
        (OTLP, as_proto(DATA)[:-3], PROTOBUF, 400),
        (OTLP, b'{"resourceMetrics": 1}', JSON, 400),
        (OTLP, b"[" * 10_000, JSON, 400),
        (OTLP, as_proto(DATA), {**PROTOBUF, "content-encoding": "gzip"}, 400),
        (OTLP, as_proto(DATA), {**PROTOBUF, "content-encoding": "zstd"}, 415),
        (OTLP, as_proto(DATA), {**BEARER, "content-type": "text/plain"}, 415),
        (OTLP, gzip.compress(bytes(9 * 1024 * 1024)), {**PROTOBUF, "content-encoding": "gzip"}, 413),
        (OTLP, bytes(9 * 1024 * 1024), PROTOBUF, 413),
        (WRITE, write_request(), PROTOBUF, 415),
        (WRITE, b"not snappy", SNAPPY, 400),
        (WRITE, b"\xff\xff\xff\xff\x0f", SNAPPY, 413),
        (WRITE, b"", SNAPPY, 400),
        (
            WRITE,
            bytes(cramjam.snappy.compress_raw(write_request())),
            SNAPPY | {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
            415,
        ),
    ],
)
def test_what_is_no_such_body_is_refused_for_good(path, body, headers, status):
    answer, kept = post(path, body, headers)
    assert (answer.status_code, kept) == (status, [])


def test_a_refusal_says_why_as_a_status_of_the_senders_encoding():
    answer, _ = post(OTLP, b'{"resourceMetrics": 1}', JSON)
    assert answer.json()["code"] == 3
    assert answer.json()["message"].startswith("the body is not OTLP in JSON: ")
    answer, _ = post(OTLP, b"\xff\xff", PROTOBUF)
    assert answer.content.startswith(b"\x08\x03\x12")
    assert b"no protobuf: it ends inside a number" in answer.content


@pytest.mark.parametrize(("fault", "status"), [(IntakeFull("slow down", 3), 429), (IntakeDown("the store", 5), 503)])
@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [(OTLP, as_proto(DATA), PROTOBUF), (WRITE, bytes(cramjam.snappy.compress_raw(write_request())), SNAPPY)],
)
def test_when_it_can_not_be_kept_the_sender_is_told_when_to_come_again(fault, status, path, body, headers):
    answer, _ = post(path, body, headers, Log(fault))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, str(fault.retry_after_s))


@pytest.mark.parametrize("path", [OTLP, WRITE])
def test_nobody_delivers_without_a_token(path):
    answer, kept = post(path, as_proto(DATA), {"content-type": "application/x-protobuf"})
    assert (answer.status_code, kept) == (401, [])
    weaker = {**PROTOBUF, "authorization": f"Bearer {INGEST_TOKEN}"}
    assert post(OTLP, as_proto(DATA), weaker)[0].status_code == 200


def test_a_large_body_becomes_several_messages_cut_between_resources():
    parts = [as_proto(request([Metric("DCGM_FI_DEV_GPU_UTIL", float(number))])) for number in range(50)]
    doors = MetricsDoors(Log(), message_bytes=1000)
    messages = doors._parts(b"".join(parts))
    assert b"".join(messages) == b"".join(parts)
    assert max(map(len, messages)) <= 1000
    assert len(messages) < 50
    groups = [json.loads(as_json(request([Metric("up", float(number))])))["resourceMetrics"][0] for number in range(50)]
    messages = doors._json_parts(json.dumps({"resourceMetrics": groups}).encode())
    assert [group for message in messages for group in json.loads(message)["resourceMetrics"]] == groups
    assert max(map(len, messages)) <= 1000


def test_a_resource_beyond_the_limit_of_a_message_is_refused():
    body = as_proto(request([Metric("up", 1.0, {"x": "y" * 2000})]))
    answer, kept = post(OTLP, body, PROTOBUF, body_bytes=1000)
    assert (answer.status_code, kept) == (413, [])
