"""OTLP metrics in JSON: 64-bit integers are text, enumerations are numbers, NaN and Infinity are text."""

from collections.abc import Iterable
from typing import Any

from msgspec import DecodeError, Raw, Struct, ValidationError, field, json

from streams.formats.otlp_proto import NO_RECORDED_VALUE, NS_PER_MS
from streams.formats.points import Malformed, Points, Room
from streams.formats.series import CUMULATIVE, DELTA, GAUGE, Names, Series, Unusable

_Number = int | float | str | None


class _Value(Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Number = None
    double_value: _Number = None


class _Pair(Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Point(Struct, rename="camel", gc=False):
    time_unix_nano: int | str = 0
    start_time_unix_nano: int | str = 0
    as_double: _Number = None
    as_int: int | str | None = None
    count: int | str | None = None
    sum: _Number = None
    attributes: Raw = Raw(b"[]")
    flags: int = 0


class _Data(Struct, rename="camel", gc=False):
    data_points: list[_Point] = []
    aggregation_temporality: int | str = 0


class _Metric(Struct, rename="camel", gc=False):
    name: str = ""
    unit: str = ""
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None


class _Scope(Struct, gc=False):
    metrics: list[_Metric] = []


class _Source(Struct, gc=False):
    attributes: list[_Pair] = []


class _ResourceMetrics(Struct, rename="camel", gc=False):
    scope_metrics: list[_Scope] = []
    resource: Raw = Raw(b"{}")


class _Request(Struct, gc=False):
    resource_metrics: list[_ResourceMetrics] = field(default_factory=list, name="resourceMetrics")


_request, _source, _pairs = json.Decoder(_Request), json.Decoder(_Source | None), json.Decoder(list[_Pair])
_TEMPORALITY = {1: DELTA, 2: CUMULATIVE, "AGGREGATION_TEMPORALITY_DELTA": DELTA}
_Known = dict[bytes, Series | None]


class _Resource:
    __slots__ = ("attributes", "fault", "known")

    def __init__(self, attributes: dict[str, str], fault: str) -> None:
        self.attributes, self.fault = attributes, fault
        self.known: dict[tuple[str, str, int], _Known] = {}


class OtlpJson:
    """Reads messages; remembers the series it has met."""

    def __init__(self, names: Names) -> None:
        """`names`: which metrics are of interest."""
        self._names = names
        self._resources: dict[bytes, _Resource] = {}
        self._wanted: dict[str, bool] = {}
        self._room = Room()

    def read(self, data: bytes) -> Points:
        """The points of a message. Raises Malformed."""
        if self._room.full or len(self._wanted) > 100_000:
            self._resources.clear()
            self._wanted.clear()
            self._room.clear()
        try:
            request = _request.decode(data)
        except (ValidationError, DecodeError, ValueError) as error:
            raise Malformed(f"no OTLP in JSON: {str(error)[:300]}") from None
        except RecursionError:
            raise Malformed("nested too deeply") from None
        found = Points([], [])
        for group in request.resource_metrics:
            raw = bytes(group.resource)
            resource = self._resources.get(raw)
            if resource is None:
                resource = self._resources[raw] = _read_resource(raw)
                self._room.take(len(raw))
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    self._metric(metric, resource, found)
        return found

    def _is_wanted(self, name: str) -> bool:
        known = self._wanted.get(name)
        if known is None:
            known = any(map(self._names.aliases, (name, name + "_sum", name + "_count")))
            self._wanted[name] = known
        return known

    def _metric(self, metric: _Metric, resource: _Resource, found: Points) -> None:
        if not self._is_wanted(metric.name):
            return
        numbers = metric.gauge or metric.sum
        if numbers is not None:
            counter = GAUGE if numbers is metric.gauge else _TEMPORALITY.get(numbers.aggregation_temporality, GAUGE)
            key = (metric.name, metric.unit, counter)
            known = resource.known.setdefault(key, {})
            found.number += len(numbers.data_points)
            for point in numbers.data_points:
                raw = bytes(point.attributes)
                series = known.get(raw)
                if series is None:
                    if raw in known:
                        continue
                    series = self._series(raw, key, known, resource)
                    if series is None:
                        continue
                value: _Number = point.as_double
                if value is None:
                    value = point.as_int
                if point.flags & NO_RECORDED_VALUE:
                    found.gone.append(series)
                else:
                    found.points.append(_point(series, point, value))
            return
        histogram = metric.histogram or metric.exponential_histogram
        summed = histogram or metric.summary
        if summed is not None:
            counter = CUMULATIVE
            if histogram is not None:
                counter = _TEMPORALITY.get(histogram.aggregation_temporality, CUMULATIVE)
            self._sums(metric, summed.data_points, counter, resource, found)

    def _sums(
        self, metric: _Metric, points: Iterable[_Point], counter: int, resource: _Resource, found: Points
    ) -> None:
        for point in points:
            found.number += 1
            for suffix, value in (("_count", point.count), ("_sum", point.sum)):
                key = (metric.name + suffix, "" if suffix == "_count" else metric.unit, counter)
                if not self._is_wanted(key[0]):
                    continue
                known = resource.known.setdefault(key, {})
                raw = bytes(point.attributes)
                series = known[raw] if raw in known else self._series(raw, key, known, resource)
                if series is None:
                    continue
                if point.flags & NO_RECORDED_VALUE:
                    found.gone.append(series)
                elif value is not None:
                    found.points.append(_point(series, point, value))

    def _series(self, raw: bytes, key: tuple[str, str, int], known: _Known, resource: _Resource) -> Series | None:
        series: Series | None
        try:
            labels = _labels(_pairs.decode(raw))
        except (ValidationError, DecodeError, ValueError, RecursionError) as error:
            series = Unusable(f"its attributes: {str(error)[:200]}", key[0][:256])
        else:
            if resource.fault:
                series = Unusable(resource.fault, key[0][:256])
            else:
                series = self._names.series(*key, labels, resource.attributes)
        known[raw] = series
        self._room.take(len(raw) + 300)
        return series


def _read_resource(raw: bytes) -> _Resource:
    try:
        source = _source.decode(raw)
    except (ValidationError, DecodeError, ValueError, RecursionError) as error:
        return _Resource({}, f"its resource: {str(error)[:200]}")
    return _Resource({} if source is None else _labels(source.attributes), "")


def _labels(pairs: Iterable[_Pair]) -> dict[str, str]:
    """Keys with values that are text or a number; lists and maps say nothing here."""
    found: dict[str, str] = {}
    for pair in pairs:
        value = pair.value
        if value is None:
            continue
        if value.string_value is not None:
            found[pair.key] = value.string_value
        elif value.bool_value is not None:
            found[pair.key] = "true" if value.bool_value else "false"
        elif value.int_value is not None:
            found[pair.key] = str(value.int_value)
        elif value.double_value is not None:
            found[pair.key] = _shown(value.double_value)
    return found


def _shown(value: Any) -> str:
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)


def _point(series: Series, point: _Point, value: _Number) -> tuple[Series, int, float, int]:
    """A point with its numbers as numbers."""
    if value is None:
        return Unusable("it has no value", series.text), 0, 0.0, 0
    try:
        number = float(value)
        at_ns, start_ns = int(point.time_unix_nano), int(point.start_time_unix_nano)
    except (ValueError, OverflowError):
        return Unusable("a number that can't be read", series.text), 0, 0.0, 0
    if series.reason:
        return series, 0, 0.0, 0
    return series, min(at_ns // NS_PER_MS, 2**53), number, min(start_ns // NS_PER_MS, 2**53)


def number_of_points(data: bytes) -> int:
    """How many points a message holds, of any metric. Raises Malformed."""
    try:
        request = _request.decode(data)
    except (ValidationError, DecodeError, ValueError, RecursionError) as error:
        raise Malformed(f"no OTLP in JSON: {str(error)[:300]}") from None
    number = 0
    for group in request.resource_metrics:
        for scope in group.scope_metrics:
            for one in scope.metrics:
                kinds = (one.gauge, one.sum, one.histogram, one.exponential_histogram, one.summary)
                number += sum(len(kind.data_points) for kind in kinds if kind is not None)
    return number
