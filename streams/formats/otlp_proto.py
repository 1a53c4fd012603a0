"""OTLP metrics in protobuf, as the OpenTelemetry Collector writes them to Kafka and posts them.

Built for speed: a scrape repeats the labels of the one before it byte for byte, so that a point is two numbers at known
places and a look-up of the bytes that follow. Anything that is laid out otherwise is read field by field.
"""

from struct import Struct

from streams.formats.otlp_attributes import attribute, framed
from streams.formats.plans import MOST_MISSES, MOST_PLAN_BYTES, Place, Plan, mixed
from streams.formats.points import Malformed, Points, Room
from streams.formats.series import CUMULATIVE, DELTA, GAUGE, Names, Series, Unusable
from streams.formats.wire import BYTES, DOUBLE, FIXED64, LONG, UNSIGNED, VARINT, fields, varint

_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL, _SUMMARY = 5, 7, 9, 10, 11
_TIMED, _TIMED_INT = Struct("<xQxd"), Struct("<xQxq")
_BEGUN, _BEGUN_INT = Struct("<xQxQxd"), Struct("<xQxQxq")
_START_TAG, _TIME_TAG, _DOUBLE_TAG, _INT_TAG = 0x11, 0x19, 0x21, 0x31
_LAYOUTS = {_GAUGE: (7, 8), _SUM: (7, 8), _HISTOGRAM: (9, 10), _EXPONENTIAL: (1, 10), _SUMMARY: (7, 8)}
"""By kind of metric: the field numbers of a point's attributes and flags."""

NO_RECORDED_VALUE = 1
NS_PER_MS = 1_000_000
_Known = dict[bytes, Series | None]


class _Resource:
    """A resource that was met, and the series known of it."""

    __slots__ = ("attributes", "fault", "known", "plans")

    def __init__(self, attributes: dict[str, str], fault: str) -> None:
        self.attributes, self.fault = attributes, fault
        self.known: dict[tuple[bytes, bytes, int], _Known] = {}
        self.plans: dict[tuple[bytes, bytes, int], Plan | int] = {}  # by name, unit and size of a metric


class OtlpProto:
    """Reads messages; remembers the series it has met."""

    def __init__(self, names: Names) -> None:
        """`names`: which metrics are of interest."""
        self._names = names
        self._resources: dict[bytes, _Resource] = {}
        self._wanted: dict[bytes, bool] = {}
        self._room = Room()
        self._plans: dict[tuple[int, bytes], Plan | int] = {}  # or how often there was none that fits
        self._places: list[Place] | None = None  # of the points of the group at hand, while a plan may be made of it
        self._unread: list[tuple[int, int]] = []

    def read(self, data: bytes) -> Points:
        """The points of a message. Raises Malformed."""
        if self._room.full or len(self._wanted) > 100_000:
            self._resources.clear()
            self._wanted.clear()
            self._plans.clear()
            self._room.clear()
        found = Points([], [])
        for number, wire, begin, end in fields(data, 0, len(data)):
            if number == 1 and wire == BYTES:
                self._group(data, begin, end, found)
        return found

    def _group(self, data: bytes, begin: int, end: int, found: Points) -> None:
        """A resource's metrics: by plan where it is as it was, else field by field, and a plan made of it."""
        group = data[begin:end]
        head = b""
        if group[:1] == b"\x0a":  # its resource
            size, at = varint(group, 1, len(group))
            head = group[at : at + size]
        key = (len(group), head)
        plan = self._plans.get(key, 0)
        if isinstance(plan, Plan):
            points = plan.read(group)
            if points is not None:
                found.points += points
                found.number += plan.number
                return
            plan = plan.misses + 1
        learn = plan < MOST_MISSES and len(group) <= MOST_PLAN_BYTES
        self._places, self._unread = [] if learn else None, []
        self._resource_metrics(group, 0, len(group), found)
        places, self._places = self._places, None
        if places is None or mixed(places):
            self._plans[key] = plan + 1
        else:
            self._plans[key] = Plan(group, places, self._unread, plan)
        if not plan:
            self._room.take(3 * len(group))

    def _resource_metrics(self, data: bytes, begin: int, end: int, found: Points) -> None:
        scopes: list[tuple[int, int]] = []
        resource = b""
        for number, wire, first, last in fields(data, begin, end):
            if number == 1 and wire == BYTES:
                resource += data[first:last]  # two of them are merged, as protobuf says
            elif number == 2 and wire == BYTES:
                scopes.append((first, last))
        met = self._resources.get(resource)
        if met is None:
            met = self._resources[resource] = self._resource(resource)
            self._room.take(len(resource))
        for first, last in scopes:
            for number, wire, metric, over in fields(data, first, last):
                if number == 2 and wire == BYTES:
                    self._metric(data, metric, over, met, found)

    @staticmethod
    def _resource(resource: bytes) -> _Resource:
        try:
            pairs = [
                attribute(resource, first, last)
                for number, wire, first, last in fields(resource, 0, len(resource))
                if number == 1 and wire == BYTES
            ]
        except Malformed as error:
            return _Resource({}, f"its resource: {error}")
        return _Resource({key: value for key, value in pairs if value is not None}, "")

    def _metric(self, data: bytes, begin: int, end: int, resource: _Resource, found: Points) -> None:
        name = unit = b""
        kind = first = last = 0
        at = begin
        while at < end:  # as `fields` does it, for what is met most
            tag = data[at]
            at += 1
            if tag & 7 != BYTES or tag >= 0x80:
                for number, wire, content, after in fields(data, at - 1, end):
                    if wire == BYTES:
                        if number in _LAYOUTS:
                            kind, first, last = number, content, after
                        elif number == 1:
                            name = data[content:after]
                        elif number == 3:
                            unit = data[content:after]
                break
            size = data[at] if at < end else 0
            at += 1
            if size >= 0x80:
                size, at = varint(data, at - 1, end)
            after = at + size
            if after > end:
                raise Malformed("no protobuf: a field is longer than what holds it")
            number = tag >> 3
            if number == 1:
                name = data[at:after]
                if not self._is_wanted(name):
                    self._unread.append((after, end))
                    return
            elif number in _LAYOUTS:
                kind, first, last = number, at, after
            elif number == 3:
                unit = data[at:after]
            at = after
        if kind and self._is_wanted(name):
            if kind <= _SUM:
                self._numbers(data, first, last, name, unit, resource, found)
            else:
                self._sums(data, first, last, kind, name, unit, resource, found)

    def _is_wanted(self, name: bytes) -> bool:
        known = self._wanted.get(name)
        if known is None:
            spelt = name.decode("utf-8", "replace")
            known = any(map(self._names.aliases, (spelt, spelt + "_sum", spelt + "_count")))
            self._wanted[name] = known
        return known

    def _numbers(
        self, data: bytes, begin: int, end: int, name: bytes, unit: bytes, resource: _Resource, found: Points
    ) -> None:
        """The points of a gauge or a sum: by a plan of its own where there is none of the whole group."""
        if self._places is not None:
            self._read_numbers(data, begin, end, name, unit, resource, found)
            return
        body = data[begin:end]
        key = (name, unit, len(body))
        plan = resource.plans.get(key, 0)
        if isinstance(plan, Plan):
            points = plan.read(body)
            if points is not None:
                found.points += points
                found.number += plan.number
                return
            plan = plan.misses + 1
        self._places = [] if plan < MOST_MISSES and len(body) <= MOST_PLAN_BYTES else None
        self._read_numbers(body, 0, len(body), name, unit, resource, found)
        places, self._places = self._places, None
        resource.plans[key] = plan + 1 if places is None or mixed(places) else Plan(body, places, (), plan)
        if not plan:
            self._room.take(3 * len(body))

    def _read_numbers(
        self, data: bytes, begin: int, end: int, name: bytes, unit: bytes, resource: _Resource, found: Points
    ) -> None:
        """The points of a gauge or a sum."""
        counter = GAUGE
        begins: list[int] = []
        ends: list[int] = []
        at = begin
        while at < end:
            if data[at] == 0x0A:
                if at + 2 >= end:
                    size, at = varint(data, at + 1, end)
                elif (size := data[at + 1]) < 0x80:
                    at += 2
                elif (more := data[at + 2]) < 0x80:  # as nearly all have it
                    size = size & 0x7F | more << 7
                    at += 3
                else:
                    size, at = varint(data, at + 1, end)
                begins.append(at)
                at += size
                ends.append(at)
                if at > end:
                    raise Malformed("no protobuf: a point is longer than what holds it")
            else:
                for number, wire, content, after in fields(data, at, end):
                    if number == 1 and wire == BYTES:
                        begins.append(content)
                        ends.append(after)
                    elif number == 2 and wire == VARINT:
                        counter = DELTA if content == 1 else CUMULATIVE if content == 2 else GAUGE
                break
        key = (name, unit, counter)
        known = resource.known.get(key)
        if known is None:
            known = resource.known[key] = {}
        look, add, places = known.get, found.points.append, self._places
        found.number += len(begins)
        for first, last in zip(begins, ends, strict=True):
            size = last - first
            start_ns = 0
            if size >= 18 and data[first] == _TIME_TAG:
                tag = data[first + 9]
                if tag == _DOUBLE_TAG:
                    at_ns, value = _TIMED.unpack_from(data, first)
                elif tag == _INT_TAG:
                    at_ns, value = _TIMED_INT.unpack_from(data, first)
                else:
                    self._slow(data, first, last, key, known, resource, found)
                    continue
                tail = data[first + 18 : last]
            elif size >= 27 and data[first] == _START_TAG and data[first + 9] == _TIME_TAG:
                tag = data[first + 18]
                if tag == _DOUBLE_TAG:
                    start_ns, at_ns, value = _BEGUN.unpack_from(data, first)
                elif tag == _INT_TAG:
                    start_ns, at_ns, value = _BEGUN_INT.unpack_from(data, first)
                else:
                    self._slow(data, first, last, key, known, resource, found)
                    continue
                tail = data[first + 27 : last]
            else:
                self._slow(data, first, last, key, known, resource, found)
                continue
            series = look(tail)
            if series is not None:
                add((series, at_ns // 1_000_000, value, start_ns // 1_000_000))
            elif tail not in known:
                self._slow(data, first, last, key, known, resource, found)
                continue
            if places is not None:
                begun = last - len(tail) - first == 27
                at = first + 10 if begun else first + 1
                places.append((first + 1 if begun else -1, at, at + 9, tag == _INT_TAG, series))

    def _slow(
        self,
        data: bytes,
        begin: int,
        end: int,
        key: tuple[bytes, bytes, int],
        known: _Known,
        resource: _Resource,
        found: Points,
    ) -> None:
        """A point of a gauge or a sum, field by field."""
        self._places = None
        at_ns = start_ns = flags = 0
        value: float | None = None
        parts: list[bytes] = []
        for number, wire, content, after in fields(data, begin, end):
            if number == 7 and wire == BYTES:
                parts.append(data[content:after])
            elif number == 8 and wire == VARINT:
                flags = content
            elif wire == FIXED64:
                if number == 2:
                    (start_ns,) = UNSIGNED.unpack_from(data, content)
                elif number == 3:
                    (at_ns,) = UNSIGNED.unpack_from(data, content)
                elif number == 4:
                    (value,) = DOUBLE.unpack_from(data, content)
                elif number == 6:
                    (value,) = LONG.unpack_from(data, content)
        series = self._series(parts, key, known, resource)
        if series is None:
            return
        if flags & NO_RECORDED_VALUE:
            found.gone.append(series)
        elif value is None:
            found.points.append((Unusable("it has no value", series.text), 0, 0.0, 0))
        else:
            found.points.append((series, at_ns // NS_PER_MS, value, start_ns // NS_PER_MS))

    def _series(
        self, parts: list[bytes], key: tuple[bytes, bytes, int], known: _Known, resource: _Resource
    ) -> Series | None:
        """The series of these attributes; looked up next time by all of them as they follow each other."""
        whole = b"".join(framed(part) for part in parts)
        if whole in known:
            return known[whole]
        name, unit, counter = key
        spelt = name.decode("utf-8", "replace")
        try:
            pairs = [attribute(part, 0, len(part)) for part in parts]
            fault = resource.fault
        except Malformed as error:
            pairs, fault = [], str(error)
        series: Series | None
        if fault:
            series = Unusable(fault, spelt[:256])
        else:
            labels = {label: value for label, value in pairs if value is not None}
            series = self._names.series(spelt, unit.decode("utf-8", "replace"), counter, labels, resource.attributes)
        known[whole] = series
        self._room.take(len(whole) + 300)
        return series

    def _sums(
        self, data: bytes, begin: int, end: int, kind: int, name: bytes, unit: bytes, resource: _Resource, found: Points
    ) -> None:
        """The sums and counts of histograms and summaries, each as a counter of its own."""
        self._places = None
        counter = CUMULATIVE
        ranges: list[tuple[int, int]] = []
        for number, wire, content, after in fields(data, begin, end):
            if number == 1 and wire == BYTES:
                ranges.append((content, after))
            elif number == 2 and wire == VARINT and content == 1 and kind != _SUMMARY:
                counter = DELTA
        attributes, flags_at = _LAYOUTS[kind]
        found.number += len(ranges)
        for first, last in ranges:
            at_ns = start_ns = flags = 0
            values: dict[bytes, float] = {}
            parts: list[bytes] = []
            for number, wire, content, after in fields(data, first, last):
                if number == attributes and wire == BYTES:
                    parts.append(data[content:after])
                elif number == flags_at and wire == VARINT:
                    flags = content
                elif wire == FIXED64 and number == 2:
                    (start_ns,) = UNSIGNED.unpack_from(data, content)
                elif wire == FIXED64 and number == 3:
                    (at_ns,) = UNSIGNED.unpack_from(data, content)
                elif wire == FIXED64 and number == 4:
                    (values[b"_count"],) = UNSIGNED.unpack_from(data, content)
                elif wire == FIXED64 and number == 5:
                    (values[b"_sum"],) = DOUBLE.unpack_from(data, content)
            for suffix in (b"_count", b"_sum"):
                key = (name + suffix, b"" if suffix == b"_count" else unit, counter)
                if not self._is_wanted(key[0]):
                    continue
                known = resource.known.setdefault(key, {})
                series = self._series(parts, key, known, resource)
                if series is None:
                    continue
                if flags & NO_RECORDED_VALUE:
                    found.gone.append(series)
                elif suffix in values:
                    found.points.append((series, at_ns // NS_PER_MS, values[suffix], start_ns // NS_PER_MS))
