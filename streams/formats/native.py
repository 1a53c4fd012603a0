"""The contract's own format: one JSON object, or an array of them. What is wrong is set aside, the rest goes on."""

import re

from msgspec import DecodeError, Raw, ValidationError, json

from detectors.events import Event

_event = json.Decoder(Event)
_envelope = json.Decoder(list[Event])
_raw = json.Decoder(list[Raw])

MAX_EVENT_BYTES = 65_536
_LEAP_SECOND = re.compile(rb'"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60')


class Fault:
    """An event that can't be used: its place in the message, its bytes, and why."""

    __slots__ = ("index", "payload", "reason")

    def __init__(self, index: int, payload: bytes, reason: str) -> None:
        """`index` is 0 for a message that is no envelope."""
        self.index, self.payload, self.reason = index, payload, reason


def decode(message: bytes, max_bytes: int) -> tuple[list[tuple[int, Event]], list[Fault]]:
    """The events of a message with their places, and its faults. Never raises for what the bytes hold."""
    events: list[tuple[int, Event]]
    if not message:
        return [], [Fault(0, message, "empty message")]
    if len(message) > max_bytes:
        return [], [Fault(0, message, f"message of {len(message)} bytes, the limit is {max_bytes}")]
    try:
        if message.lstrip()[:1] != b"[":
            return [(0, _single(message))], []
        events = list(enumerate(_envelope.decode(message)))
        if len(message) <= MAX_EVENT_BYTES or max(map(len, elements(message))) <= MAX_EVENT_BYTES:
            return events, []
    except (ValidationError, DecodeError, RecursionError, ValueError) as error:
        if message.lstrip()[:1] != b"[":
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
