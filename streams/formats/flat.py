"""Metrics one by one, as adapters write them to Kafka in JSON: prometheus-kafka-adapter, Telegraf and Vector."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from streams.formats.points import STALE_NAN, Malformed, Points, Room
from streams.formats.series import CUMULATIVE, DELTA, GAUGE, Names, Series, Unusable
from streams.formats.wire import DOUBLE, UNSIGNED

MOST_FIELDS = 1000
TELEGRAF, VECTOR = "Telegraf's JSON", "Vector's JSON"


class _Sample(Struct, gc=False):
    """A message of prometheus-kafka-adapter."""

    name: str
    timestamp: datetime
    value: str | float
    labels: Raw


class _Measured(Struct, gc=False):
    """A metric of Telegraf's."""

    name: str
    fields: dict[str, float | str | bool | None]
    timestamp: float
    tags: dict[str, str] = {}


class _Value(Struct, gc=False):
    value: float


class _Summed(Struct, gc=False):
    sum: float = 0.0
    count: int = 0


class _Event(Struct, gc=False):
    """A metric of Vector's."""

    name: str
    timestamp: datetime
    kind: str = "absolute"
    tags: dict[str, str | list[str] | None] = {}
    namespace: str | None = None
    gauge: _Value | None = None
    counter: _Value | None = None
    aggregated_histogram: _Summed | None = None
    aggregated_summary: _Summed | None = None


class _Wrapped(Struct, gc=False):
    metric: _Event


class _Measurements(Struct, gc=False):
    metrics: list[_Measured]


T = TypeVar("T")
_sample, _labels = json.Decoder(_Sample), json.Decoder(dict[str, str])
_measured, _measurements, _list = json.Decoder(_Measured), json.Decoder(_Measurements), json.Decoder(list[_Measured])
_event, _wrapped = json.Decoder(_Event), json.Decoder(_Wrapped)


class Flat:
    """Reads such messages; remembers the series it has met."""

    def __init__(self, names: Names) -> None:
        """`names`: which metrics are of interest."""
        self._names = names
        self._by_bytes: dict[tuple[str, bytes], Series | None] = {}
        self._by_labels: dict[tuple[object, ...], Series | None] = {}
        self._room = Room()

    def prometheus(self, data: bytes) -> Points:
        """What prometheus-kafka-adapter writes: a sample a message, its value as text. Raises Malformed."""
        found = Points([], [], 1)
        sample = _decoded(_sample, data, "prometheus-kafka-adapter's JSON")
        if not self._names.aliases(sample.name):
            return found
        key = (sample.name, bytes(sample.labels))
        if key not in self._by_bytes:
            self._make_room()
            labels = _decoded(_labels, key[1], "labels")
            labels.pop("__name__", None)
            self._by_bytes[key] = self._names.series(sample.name, "", GAUGE, labels, {})
            self._room.take(len(key[1]) + 300)
        series = self._by_bytes[key]
        if series is not None:
            try:
                value = float(sample.value)
            except ValueError:
                found.points.append((Unusable("its value is no number", series.text), 0, 0.0, 0))
            else:
                self._add(found, series, _ms(sample.timestamp), value)
        return found

    def telegraf(self, data: bytes) -> Points:
        """What Telegraf writes as JSON: the fields of one measurement, or of several. Raises Malformed."""
        start = data.lstrip()
        if start[:1] == b"[":
            measured = _decoded(_list, data, TELEGRAF)
        elif start[1:].lstrip().startswith(b'"metrics"'):
            measured = _decoded(_measurements, data, TELEGRAF).metrics
        else:
            measured = [_decoded(_measured, data, TELEGRAF)]
        found = Points([], [])
        for metric in measured:
            self.measurement(found, metric.name, metric.fields, metric.tags, epoch_ms(metric.timestamp))
        return found

    def vector(self, data: bytes) -> Points:
        """What Vector writes as JSON, plain or native. Raises Malformed."""
        wrapped = data.lstrip()[1:].lstrip().startswith(b'"metric"')
        event = _decoded(_wrapped, data, VECTOR).metric if wrapped else _decoded(_event, data, VECTOR)
        found = Points([], [], 1)
        name = f"{event.namespace}_{event.name}" if event.namespace else event.name
        labels = {key: value for key, value in event.tags.items() if isinstance(value, str)}
        counter = DELTA if event.kind == "incremental" else CUMULATIVE
        at_ms = _ms(event.timestamp)
        if event.gauge is not None:
            self.value(found, name, "", GAUGE, labels, at_ms, event.gauge.value)
        elif event.counter is not None:
            self.value(found, name, "", counter, labels, at_ms, event.counter.value)
        else:
            summed = event.aggregated_histogram or event.aggregated_summary
            if summed is not None:
                self.value(found, name + "_sum", "", counter, labels, at_ms, summed.sum)
                self.value(found, name + "_count", "", counter, labels, at_ms, float(summed.count))
        return found

    def measurement(
        self,
        found: Points,
        name: str,
        fields: Mapping[str, float | str | bool | None],
        tags: Mapping[str, str],
        at_ms: int,
    ) -> None:
        """The fields of one of Telegraf's measurements: each a metric; those of `prometheus` bear its whole name."""
        if len(fields) > MOST_FIELDS:
            raise Malformed(f"{len(fields)} fields in one measurement, the limit is {MOST_FIELDS}")
        for field, value in fields.items():
            found.number += 1
            if isinstance(value, float):
                whole = field if name == "prometheus" else f"{name}_{field}"
                if name in ("prometheus", "nvidia_smi"):
                    self.value(found, whole, "", GAUGE, tags, at_ms, value)
                elif field in ("gauge", "counter", "value", "sum", "count"):  # version 1 of the Prometheus input
                    suffix = f"_{field}" if field in ("sum", "count") else ""
                    self.value(found, name + suffix, "", GAUGE, tags, at_ms, value)

    def value(
        self, found: Points, name: str, unit: str, counter: int, labels: Mapping[str, str], at_ms: int, value: float
    ) -> None:
        """One value of a metric with labels."""
        if not self._names.aliases(name):
            return
        key = (name, unit, counter, *sorted(labels.items()))
        if key not in self._by_labels:
            self._make_room()
            self._by_labels[key] = self._names.series(name, unit, counter, labels, {})
            self._room.take(600)
        series = self._by_labels[key]
        if series is not None:
            self._add(found, series, at_ms, value)

    @staticmethod
    def _add(found: Points, series: Series, at_ms: int, value: float) -> None:
        if value != value and UNSIGNED.unpack(DOUBLE.pack(value))[0] == STALE_NAN:
            found.gone.append(series)
        else:
            found.points.append((series, at_ms, value, 0))

    def _make_room(self) -> None:
        if self._room.full:
            self._by_bytes.clear()
            self._by_labels.clear()
            self._room.clear()


def _decoded(decoder: "json.Decoder[T]", data: bytes, what: str) -> T:
    try:
        return decoder.decode(data)
    except (ValidationError, DecodeError, ValueError) as error:
        raise Malformed(f"no {what}: {str(error)[:300]}") from None
    except RecursionError:
        raise Malformed("nested too deeply") from None


def _ms(at: datetime) -> int:
    if at.tzinfo is None:
        raise Malformed("its time has no offset")
    return round(at.timestamp() * 1000)


def epoch_ms(at: float) -> int:
    """Milliseconds of a moment in s, ms, us or ns since 1970: its size tells which. 0 where it is none."""
    if not 0 < at < 1e20:
        return 0
    for most, ms in ((1e11, 1e3), (1e14, 1.0), (1e17, 1e-3)):
        if at < most:
            return round(at * ms)
    return round(at * 1e-6)
