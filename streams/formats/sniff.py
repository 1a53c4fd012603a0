"""What a message is, told from its bytes: for topics whose format is `auto`, and for lines of event files."""

import re
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError, json

from streams.formats.points import Malformed
from streams.formats.wire import BYTES, FIXED64, fields


class Format(StrEnum):
    """How the messages of a topic are written."""

    NATIVE = "native"  # the contract's own events
    AUTO = "auto"  # told from the bytes of each message
    OTLP_PROTO = "otlp_proto"
    OTLP_JSON = "otlp_json"
    PROMETHEUS_JSON = "prometheus_json"  # prometheus-kafka-adapter
    REMOTE_WRITE = "remote_write"  # an unpacked WriteRequest of version 1.0
    TELEGRAF_JSON = "telegraf_json"
    INFLUX = "influx"
    VECTOR_JSON = "vector_json"
    CLOUDEVENTS = "cloudevents"  # structured, with one of the contract's events in it


OTLP_TOPIC, WRITE_TOPIC = "otlp.metrics", "prometheus.write"
"""The inputs of what comes by HTTP."""

JSON_LOOK_BYTES = 65_536
_NANOSECONDS = re.compile(rb'"timeUnixNano"\s*:\s*"?(\d{10,20})')
_INFLUX = re.compile(rb"[A-Za-z_][^\n]{0,4000}=[^\n]{0,4000}")


class _Keys(Struct, gc=False):
    """What tells the JSON formats apart."""

    type: Raw | UnsetType = UNSET
    at: Raw | UnsetType = UNSET
    resourceMetrics: Raw | UnsetType = UNSET
    specversion: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    name: Raw | UnsetType = UNSET
    labels: Raw | UnsetType = UNSET
    value: Raw | UnsetType = UNSET
    fields: Raw | UnsetType = UNSET
    metrics: Raw | UnsetType = UNSET
    metric: Raw | UnsetType = UNSET
    kind: Raw | UnsetType = UNSET
    timestamp: str | float | UnsetType = UNSET


_keys, _list = json.Decoder(_Keys), json.Decoder(list[Raw])


def sniff(message: bytes) -> Format | None:
    """The format of a message; None where it is none that is known."""
    first = message.lstrip()[:1]
    if first == b"{":
        return _of_keys(_keys_of(message))
    if first == b"[":
        try:
            parts = _list.decode(message)
        except (ValidationError, DecodeError, RecursionError):
            return None
        inner = _of_keys(_keys_of(bytes(parts[0]))) if parts else None
        return inner if inner in (Format.TELEGRAF_JSON, Format.NATIVE) else None
    if message[:1] == b"\n":
        return Format.OTLP_PROTO if _is_otlp(message) else None
    return Format.INFLUX if _INFLUX.match(message) else None


def _keys_of(message: bytes) -> _Keys | None:
    try:
        return _keys.decode(message)
    except (ValidationError, DecodeError, RecursionError, ValueError):
        return None


def _of_keys(keys: _Keys | None) -> Format | None:
    if keys is None:
        return None
    if keys.resourceMetrics is not UNSET:
        return Format.OTLP_JSON
    if keys.specversion is not UNSET and keys.data is not UNSET:
        return Format.CLOUDEVENTS
    if keys.type is not UNSET and keys.at is not UNSET:
        return Format.NATIVE
    if keys.name is not UNSET and keys.labels is not UNSET and keys.value is not UNSET:
        return Format.PROMETHEUS_JSON
    if (keys.name is not UNSET and keys.fields is not UNSET) or keys.metrics is not UNSET:
        return Format.TELEGRAF_JSON
    if keys.metric is not UNSET or (keys.name is not UNSET and keys.kind is not UNSET):
        return Format.VECTOR_JSON
    return None


def _is_otlp(message: bytes) -> bool:
    """Whether it is protobuf whose field 1 holds scope metrics (2), as that of a WriteRequest never does alone."""
    try:
        for number, wire, begin, end in fields(message, 0, len(message)):
            if number != 1 or wire != BYTES:
                return False
            for inner, form, first, last in fields(message, begin, end):
                if inner not in (1, 2, 3) or form != BYTES:
                    return False
                if inner == 2:  # scope metrics hold messages, a sample begins with a number of 64 bits
                    return all(form != FIXED64 for _, form, _, _ in fields(message, first, last))
    except Malformed:
        return False
    return True


def unwrapped(message: bytes) -> bytes:
    """The data of a structured CloudEvent. Raises Malformed."""
    keys = _keys_of(message)
    if keys is None or keys.data is UNSET or keys.specversion is UNSET:
        raise Malformed("no structured CloudEvent with data in JSON")
    return bytes(keys.data)


def said_at(message: bytes) -> datetime | None:
    """The newest moment that a line of another format than ours speaks of; None where it says none."""
    found = [int(ns) // 1_000_000 for ns in _NANOSECONDS.findall(message)]
    if found:
        at_ms = max(found)
        return datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms < 32_503_680_000_000 else None
    keys = _keys_of(message)
    if keys is None or keys.timestamp is UNSET:
        return None
    try:
        stamp = keys.timestamp
        at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at.astimezone(UTC) if at.tzinfo is not None and 1 < at.year < 9999 else None
