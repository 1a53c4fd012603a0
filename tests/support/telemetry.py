"""Metrics as other systems send them, and an ear that hears them as a partition does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf import json_format
from msgspec import structs
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from detectors.events import Event
from streams.formats.sniff import Format
from streams.formats.translate import Translator

NOON_S = 1_795_435_200  # 2026-11-23T12:00:00Z
GAUGE, CUMULATIVE, DELTA = "gauge", 2, 1
GPU = {
    "gpu": "3", "UUID": "GPU-7b1c", "modelName": "NVIDIA H100 80GB HBM3", "Hostname": "gpu-node-17",
    "namespace": "llm-serving", "pod": "llama70b-0", "container": "server",
}  # fmt: skip
EXPORTER = {"service.name": "dcgm-exporter", "service.instance.id": "10.0.0.7:9400", "k8s.cluster.name": "prod-eu"}
VLLM = {"service.name": "vllm", "service.instance.id": "llm-0:8000", "k8s.cluster.name": "prod-eu"}


@dataclass
class Metric:
    """A metric with one point; `kind` is GAUGE or the temporality of a sum."""

    name: str
    value: float | int
    labels: Mapping[str, str] = field(default_factory=lambda: GPU)
    at_s: float = NOON_S
    kind: str | int = GAUGE
    start_s: float = 0
    unit: str = ""
    stale: bool = False


def request(metrics: Sequence[Metric], resource: Mapping[str, str] = EXPORTER) -> MetricsData:
    """One resource's metrics as OTLP."""
    data = MetricsData()
    group = data.resource_metrics.add()
    _attributes(group.resource.attributes, resource)
    scope = group.scope_metrics.add()
    scope.scope.name = "prometheusreceiver"
    for metric in metrics:
        made = scope.metrics.add(name=metric.name, unit=metric.unit, description="what it is")
        if metric.kind == GAUGE:
            point = made.gauge.data_points.add()
        else:
            made.sum.aggregation_temporality = metric.kind
            made.sum.is_monotonic = True
            point = made.sum.data_points.add()
        point.time_unix_nano = round(metric.at_s * 1000) * 10**6
        point.start_time_unix_nano = round(metric.start_s * 1000) * 10**6
        if metric.stale:
            point.flags = 1
        elif isinstance(metric.value, int):
            point.as_int = metric.value
        else:
            point.as_double = metric.value
        _attributes(point.attributes, metric.labels)
    return data


def _attributes(into: Any, labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        into.add(key=key).value.string_value = value


def as_proto(data: MetricsData) -> bytes:
    """As the Collector's `otlp_proto` writes it."""
    return data.SerializeToString()


def as_json(data: MetricsData) -> bytes:
    """As the Collector's `otlp_json` writes it: enumerations are numbers."""
    return json_format.MessageToJson(data, indent=None, use_integers_for_enums=True).encode()


def adapter(metric: Metric, resource: Mapping[str, str] = EXPORTER) -> bytes:
    """As prometheus-kafka-adapter writes it."""
    labels = {"job": resource["service.name"], "instance": resource["service.instance.id"], **metric.labels}
    stamp = np.datetime_as_string(np.datetime64(int(metric.at_s), "s")) + "Z"
    body = {"timestamp": stamp, "value": str(metric.value), "name": metric.name}
    return json.dumps(body | {"labels": {"__name__": metric.name, **labels}}).encode()


@dataclass
class Ear:
    """Hears one message after the other; keeps what was wrong with them."""

    form: Format = Format.OTLP_PROTO
    translator: Translator = field(default_factory=lambda: Translator({"topic": Format.NATIVE}))
    faults: list[str] = field(default_factory=list)

    def hear(self, *messages: bytes, arrived_s: float = NOON_S + 86_400) -> list[Event]:
        """The events that they complete."""
        self.translator.formats["topic"] = self.form
        arrived = np.full(len(messages), round(arrived_s * 1000), dtype=np.int64)
        found = self.translator.decode(["topic"], np.zeros(len(messages), dtype=np.int64), messages, arrived, 2**20)
        self.translator.keep(found.step)
        self.faults += [fault.reason for _, fault in found.decoded.faults]
        return found.decoded.events

    def scrape(self, *metrics: Metric, resource: Mapping[str, str] = EXPORTER) -> list[Event]:
        """The events of one OTLP message."""
        data = request(metrics, resource)
        return self.hear(as_json(data) if self.form is Format.OTLP_JSON else as_proto(data))

    def rest(self) -> list[Event]:
        """What still waits."""
        events, step = self.translator.rest()
        self.translator.keep(step)
        return events


def said(event: Event) -> dict[str, Any]:
    """What an event says, without what it leaves out."""
    told = {key: value for key, value in structs.asdict(event).items() if value is not None}
    told["at"] = round(told["at"].timestamp() - NOON_S, 3)
    return told
