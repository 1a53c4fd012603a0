"""Prometheus remote_write 1.0: `prometheus.WriteRequest`, unpacked from its snappy block."""

from streams.formats.points import STALE_NAN, Malformed, Points, Room
from streams.formats.series import GAUGE, Names, Series, Unusable
from streams.formats.wire import BYTES, DOUBLE, FIXED64, UNSIGNED, VARINT, fields, text


class RemoteWrite:
    """Reads messages; remembers the series it has met."""

    def __init__(self, names: Names) -> None:
        """`names`: which metrics are of interest."""
        self._names = names
        self._known: dict[bytes, Series | None] = {}
        self._room = Room()

    def read(self, data: bytes) -> Points:
        """The points of a message. Raises Malformed."""
        if self._room.full:
            self._known.clear()
            self._room.clear()
        found = Points([], [])
        for number, wire, begin, end in fields(data, 0, len(data)):
            if number == 1 and wire == BYTES:
                self._series_of(data, begin, end, found)
        return found

    def _series_of(self, data: bytes, begin: int, end: int, found: Points) -> None:
        labels: list[bytes] = []
        samples: list[tuple[int, int]] = []
        for number, wire, first, last in fields(data, begin, end):
            if number == 1 and wire == BYTES:
                labels.append(data[first:last])
            elif number == 2 and wire == BYTES:
                samples.append((first, last))
        found.number += len(samples)
        key = b"".join(len(label).to_bytes(4, "big") + label for label in labels)
        if key not in self._known:
            self._known[key] = self._series(labels)
            self._room.take(len(key) + 300)
        series = self._known[key]
        if series is None:
            return
        for first, last in samples:
            value, at_ms = 0.0, 0
            for number, wire, content, after in fields(data, first, last):
                if number == 1 and wire == FIXED64:
                    (value,) = DOUBLE.unpack_from(data, content)
                    if value != value and UNSIGNED.unpack_from(data, content)[0] == STALE_NAN:
                        at_ms = -1
                        break
                elif number == 2 and wire == VARINT:
                    at_ms = content if content < 1 << 63 else 0
                if after > last:
                    raise Malformed("no protobuf: it ends inside a field")
            if at_ms < 0:
                found.gone.append(series)
            else:
                found.points.append((series, at_ms, value, 0))

    def _series(self, labels: list[bytes]) -> Series | None:
        try:
            pairs = [_label(label) for label in labels]
        except Malformed as error:
            return Unusable(str(error), "a series")
        known = dict(pairs)
        name = known.pop("__name__", "")
        return self._names.series(name, "", GAUGE, known, {}) if self._names.aliases(name) else None


def _label(label: bytes) -> tuple[str, str]:
    name = value = ""
    for number, wire, first, last in fields(label, 0, len(label)):
        if number == 1 and wire == BYTES:
            name = text(label, first, last)
        elif number == 2 and wire == BYTES:
            value = text(label, first, last)
    return name, value
