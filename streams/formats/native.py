"""The contract's own format: one JSON object, or an array of them. What is wrong is set aside, the rest goes on."""

import re
from collections.abc import Sequence
from typing import Annotated

from msgspec import DecodeError, Meta, Raw, Struct, ValidationError, json

from detectors.events import WORKLOAD_PATTERN, Change, Charge, Count, Event, GpuSample, Power, Ratio, TokenUsage

MAX_EVENT_BYTES = 65_536
NAN = float("nan")
MOST_NAMES = 150_000  # of workloads, that are known to be well formed

_event = json.Decoder(Event)
_raw = json.Decoder(list[Raw])

_Unchecked = Annotated[str, Meta(min_length=3, max_length=512)]


class _GpuSample(GpuSample, frozen=True, kw_only=True, gc=False, tag="gpu_sample"):
    """A sample whose workload is still to be checked: once for each name, not once for each sample.

    What is absent is NaN here, as it will be in the columns.
    """

    workload: _Unchecked
    util_ratio: Ratio | None = NAN
    engine_active_ratio: Ratio | None = NAN
    sm_active_ratio: Ratio | None = NAN
    tensor_active_ratio: Ratio | None = NAN
    power_w: Power | None = NAN
    memory_used_bytes: Count | None = NAN  # type: ignore[assignment]
    memory_total_bytes: Count | None = NAN  # type: ignore[assignment]


class _TokenUsage(TokenUsage, frozen=True, kw_only=True, gc=False, tag="token_usage"):
    """Usage whose workload is still to be checked."""

    workload: _Unchecked


SAMPLE, USAGE, CHARGE, CHANGE = range(4)
KINDS: dict[type, int] = {
    GpuSample: SAMPLE,
    _GpuSample: SAMPLE,
    TokenUsage: USAGE,
    _TokenUsage: USAGE,
    Charge: CHARGE,
    Change: CHANGE,
}

_Quick = _GpuSample | _TokenUsage | Charge | Change
_message = json.Decoder(_Quick | list[_Quick])
_well_formed = re.compile(WORKLOAD_PATTERN)
_LEAP_SECOND = re.compile(rb'"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60')


class Fault:
    """An event that can't be used: its place in the message, its bytes, and why."""

    __slots__ = ("index", "payload", "reason")

    def __init__(self, index: int, payload: bytes, reason: str) -> None:
        """`index` is 0 for a message that is no envelope."""
        self.index, self.payload, self.reason = index, payload, reason


class Decoded(Struct):
    """The events of many messages, in order, and what could not be used of them."""

    events: list[Event]
    owners: list[int]  # by event: which message it is of
    places: list[int]  # by event: where in its message
    faults: list[tuple[int, Fault]]  # the message, and what is wrong


class Decoder:
    """Decodes messages, many at a time; remembers which workload names are well formed."""

    def __init__(self) -> None:
        """No name is known yet."""
        self._names: set[str] = set()

    def decode(self, messages: Sequence[bytes], max_bytes: int) -> Decoded:
        """The events of messages with their places, and the faults. Never raises for what the bytes hold."""
        single = self._singles(messages, max_bytes)
        if single is not None:
            return Decoded(single, list(range(len(single))), [0] * len(single), [])
        found = Decoded([], [], [], [])
        for owner, message in enumerate(messages):
            events, faults = self._one(message, max_bytes)
            if len(events) == 1:
                place, event = events[0]
                found.events.append(event)
                found.owners.append(owner)
                found.places.append(place)
            else:
                found.events += [event for _, event in events]
                found.owners += [owner] * len(events)
                found.places += [place for place, _ in events]
            found.faults += [(owner, fault) for fault in faults]
        return found

    def _singles(self, messages: Sequence[bytes], max_bytes: int) -> list[Event] | None:
        """The events where every message is one good event; None where one is something else."""
        if not messages or max(map(len, messages)) > min(max_bytes, MAX_EVENT_BYTES):
            return None
        decoder = _message.decode
        try:
            events = [decoder(message) for message in messages]
        except (ValidationError, DecodeError, RecursionError, ValueError):
            return None
        if list in set(map(type, events)) or not self._all_well_formed(events):
            return None
        return events

    def _one(self, message: bytes, max_bytes: int) -> tuple[list[tuple[int, Event]], list[Fault]]:
        if len(message) <= max_bytes:
            try:
                events = _message.decode(message)
            except (ValidationError, DecodeError, RecursionError, ValueError):
                return decode(message, max_bytes)
            if not isinstance(events, list):
                if len(message) <= MAX_EVENT_BYTES and self._all_well_formed([events]):
                    return [(0, events)], []
            elif self._all_well_formed(events) and (
                len(message) <= MAX_EVENT_BYTES or max(map(len, elements(message))) <= MAX_EVENT_BYTES
            ):
                return list(enumerate(events)), []
        return decode(message, max_bytes)

    def _all_well_formed(self, events: Sequence[Event]) -> bool:
        names = self._names
        for event in [event for event in events if event.workload not in names]:
            name = event.workload
            if name is not None and type(event) in (_GpuSample, _TokenUsage):
                if not _well_formed.search(name):
                    return False
                if len(names) >= MOST_NAMES:
                    names.clear()
                names.add(name)
        return True


def decode(message: bytes, max_bytes: int) -> tuple[list[tuple[int, Event]], list[Fault]]:
    """The events of one message with their places, and its faults. Never raises for what the bytes hold."""
    events: list[tuple[int, Event]]
    if not message:
        return [], [Fault(0, message, "empty message")]
    if len(message) > max_bytes:
        return [], [Fault(0, message, f"message of {len(message)} bytes, the limit is {max_bytes}")]
    if message.lstrip()[:1] != b"[":
        try:
            return [(0, _single(message))], []
        except (ValidationError, DecodeError, RecursionError, ValueError) as error:
            return [], [Fault(0, message, _words(error, message))]
    try:
        parts = elements(message)
    except (DecodeError, RecursionError, ValueError) as error:
        return [], [Fault(0, message, _words(error, message))]
    events = []
    faults = []
    for index, part in enumerate(parts):
        try:
            events.append((index, _single(part)))
        except (ValidationError, DecodeError, RecursionError, ValueError) as error:
            faults.append(Fault(index, part, _words(error, part)))
    return events, faults


def elements(message: bytes) -> list[bytes]:
    """The bytes of each event of a message that can be decoded, by its place."""
    if message.lstrip()[:1] != b"[":
        return [message]
    return [bytes(part) for part in _raw.decode(message)]


def _single(message: bytes) -> Event:
    if len(message) > MAX_EVENT_BYTES:
        raise ValueError(f"event of {len(message)} bytes, the limit is {MAX_EVENT_BYTES}")
    event: Event = _event.decode(message)
    return event


def _words(error: Exception, message: bytes) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if "RFC3339" in str(error) and _LEAP_SECOND.search(message):
        return f"{error}: a leap second, for which UTC as computers keep it has no place; send it as the second before"
    return str(error)[:300]
