"""Messages of any known format become the contract's events: each topic has its format.

The contract's own format goes straight to its decoder. What others send is metrics: their values are gathered over
messages (see `gathering`), so that decoding has a state. `decode` changes nothing of it; the step that it returns is
kept once the messages are taken.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.events import Event
from streams.formats import influx
from streams.formats.flat import Flat
from streams.formats.gathering import HOLD_MS, Gathering, Point, Step
from streams.formats.native import Decoded, Decoder, Fault
from streams.formats.otlp_json import OtlpJson
from streams.formats.otlp_proto import OtlpProto
from streams.formats.points import Malformed, Points
from streams.formats.remote_write import RemoteWrite
from streams.formats.series import Names
from streams.formats.sniff import OTLP_TOPIC, WRITE_TOPIC, Format, sniff, unwrapped
from streams.formats.telling import moment

Longs = NDArray[np.int64]
MOST_FAULTS = 50  # of one message that are put on record one by one
UNKNOWN_TOPIC = "unknown"  # of lines and bodies that do not say what they are
ALWAYS = {UNKNOWN_TOPIC: Format.AUTO, OTLP_TOPIC: Format.AUTO, WRITE_TOPIC: Format.REMOTE_WRITE}
_APART = frozenset({Format.PROMETHEUS_JSON, Format.VECTOR_JSON})  # a value a message
_OURS = frozenset({Format.NATIVE, Format.OTLP_JSON})  # what is put back comes in these, whatever its topic's format


class Translated(Struct):
    """Events and faults of messages, which of the messages held none of the contract's events, and what to keep."""

    decoded: Decoded
    foreign: set[int]
    step: Step | None


class Translator:
    """Decodes the messages of a partition."""

    def __init__(
        self, formats: Mapping[str, Format] | None = None, *, cluster: str = "default", max_ahead_s: int = 300
    ) -> None:
        """`formats` by topic; the contract's own for all others. `cluster`: where telemetry does not say one."""
        self.formats = {**ALWAYS, **(formats or {})}
        self.max_ahead_ms = max_ahead_s * 1000
        self.native = Decoder()
        self.gathering = Gathering()
        names = Names(cluster)
        flat = Flat(names)
        self._readers: dict[Format, Callable[[bytes], Points]] = {
            Format.OTLP_PROTO: OtlpProto(names).read,
            Format.OTLP_JSON: OtlpJson(names).read,
            Format.PROMETHEUS_JSON: flat.prometheus,
            Format.REMOTE_WRITE: RemoteWrite(names).read,
            Format.TELEGRAF_JSON: flat.telegraf,
            Format.INFLUX: lambda message: influx.read(flat, message),
            Format.VECTOR_JSON: flat.vector,
        }

    def decode(
        self, topics: Sequence[str], places: Longs, values: Sequence[bytes], arrived_ms: Longs, max_bytes: int
    ) -> Translated:
        """The events of messages: message i is of `topics[places[i]]`. Never raises for what the bytes hold."""
        formats = [self.formats.get(topic, Format.NATIVE) for topic in topics]
        if set(formats) <= {Format.NATIVE}:
            return Translated(self.native.decode(values, max_bytes), set(), None)
        all_ = Translated(Decoded([], [], [], []), set(), self.gathering.begin())
        wait: list[int] = []  # native ones that follow each other
        for owner, message in enumerate(values):
            topic = topics[int(places[owner])]
            form = formats[int(places[owner])]
            if form is Format.AUTO and message and len(message) <= max_bytes:
                form = sniff(message) or Format.NATIVE
            if form is Format.NATIVE or not message or len(message) > max_bytes:
                wait.append(owner)
                continue
            self._native(all_, wait, values, max_bytes)
            wait = []
            self._foreign(all_, owner, message, form, topic, int(arrived_ms[owner]), max_bytes)
        self._native(all_, wait, values, max_bytes)
        return all_

    def _native(self, all_: Translated, owners: Sequence[int], values: Sequence[bytes], max_bytes: int) -> None:
        if owners:
            found = self.native.decode([values[owner] for owner in owners], max_bytes)
            decoded = all_.decoded
            decoded.events += found.events
            decoded.owners += [owners[place] for place in found.owners]
            decoded.places += found.places
            decoded.faults += [(owners[place], fault) for place, fault in found.faults]

    def _foreign(
        self, all_: Translated, owner: int, message: bytes, form: Format, topic: str, arrived_ms: int, max_bytes: int
    ) -> None:
        try:
            if form is Format.CLOUDEVENTS:
                self._native(all_, [owner], {owner: unwrapped(message)}, max_bytes)  # type: ignore[arg-type]
                return
            points = self._readers[form](message)
        except Malformed as error:
            other = sniff(message)
            if other in _OURS and other is not form:
                if other is Format.NATIVE:
                    self._native(all_, [owner], {owner: message}, max_bytes)  # type: ignore[arg-type]
                else:
                    self._foreign(all_, owner, message, other, topic, arrived_ms, max_bytes)
                return
            all_.foreign.add(owner)
            all_.decoded.faults.append((owner, Fault(0, message, str(error))))
            return
        step = all_.step
        assert step is not None
        step.topic = topic
        all_.foreign.add(owner)
        for series in points.gone:
            step.gone(series)
        events, faults = step.take(points.points, together=form not in _APART, latest_ms=arrived_ms + self.max_ahead_ms)
        self._add(all_.decoded, owner, events)
        shown = faults if len(faults) <= MOST_FAULTS else faults[: MOST_FAULTS - 1]
        found = [Fault(len(events) + place, _line(point), reason) for place, (point, reason) in enumerate(shown)]
        if len(shown) < len(faults):
            more = len(faults) - len(shown)
            found.append(
                Fault(len(events) + len(shown), b"", f"{more} more values of the same message: {faults[-1][1]}")
            )
        all_.decoded.faults += [(owner, fault) for fault in found]

    @staticmethod
    def _add(decoded: Decoded, owner: int, events: Sequence[Event]) -> None:
        decoded.events += events
        decoded.owners += [owner] * len(events)
        decoded.places += range(len(events))

    def keep(self, step: Step | None) -> None:
        """The messages that a step is of have been taken."""
        if step is not None:
            self.gathering.keep(step)

    def rest(self, now_ms: int | None = None) -> tuple[list[Event], Step]:
        """Events that still wait for more values: those of `HOLD_MS` before now, without `now_ms` all of them."""
        step = self.gathering.begin()
        return step.rest(2**62 if now_ms is None else now_ms - HOLD_MS), step


def _line(point: Point) -> bytes:
    """A value as people read it."""
    series, at_ms, value, _ = point
    when = f" at {moment(at_ms).isoformat()}" if 0 < at_ms < 32_503_680_000_000 else ""
    return f"{series.text} {value:g}{when}".encode("utf-8", "replace")
