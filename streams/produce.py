"""Files of events into Kafka: each line to the topic of its type, keyed by workload, in order of arrival."""

import gzip
import heapq
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec import Struct

from streams.kafka_login import NO_LOGIN, KafkaLogin
from streams.topics import BOOTSTRAP_TIMEOUT_S, MAX_MESSAGE_BYTES, KafkaUnreachable, first_line, partition_counts

TOPIC_OF_TYPE: Mapping[str, str] = {
    "gpu_sample": "gpu.samples",
    "token_usage": "token.usage",
    "charge": "billing.charges",
    "change": "ops.changes",
}
"""The logical topic of each kind of event."""

MAX_UNACKNOWLEDGED = 10_000  # lines in flight: bounds the memory, whatever the length of the files
MAX_SKIPS_REPORTED = 1_000
DELIVERY_TIMEOUT_S = 60.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class ProduceFailed(Exception):
    """Kafka did not take a line; what came before it in its partition is there. The message names file and line."""


class Skip(Struct, frozen=True):
    """A line that cannot be sent, and why."""

    path: str
    line: int
    reason: str


class ProduceReport(Struct, kw_only=True):
    """What was sent where, and what was not."""

    sent: dict[str, int]  # topic -> messages acknowledged by all replicas
    skipped: int = 0
    skips: list[Skip] = []  # the first MAX_SKIPS_REPORTED of them


class Progress(Struct, frozen=True):
    """How far one file has been read."""

    path: Path
    read_bytes: int  # of the file as it lies on disk, so that it can be compared with its size


class _Head(Struct):
    """The few fields of an event that decide where it goes; they may hold anything, the worker judges them."""

    type: Any = None
    workload: Any = None
    at: Any = None
    arrived_at: Any = None
    resource_id: Any = None
    event_id: Any = None


class _Line(Struct):
    path: Path
    number: int
    value: bytes
    head: _Head | None
    fault: str | None
    arrived_at: datetime


_decoder = msgspec.json.Decoder(_Head | list[msgspec.Raw])


def produce(
    paths: Sequence[Path],
    *,
    bootstrap: str,
    topics: Mapping[str, str],
    raw_topic: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    timeout_s: float = BOOTSTRAP_TIMEOUT_S,
    login: KafkaLogin = NO_LOGIN,
) -> ProduceReport:
    """Publish `.jsonl` and `.jsonl.gz` files; `topics` maps logical names to topics.

    Several files are merged by arrival (`arrived_at` if present, else `at`), each kept in its own order. A line that is
    no JSON object or array of objects, or of an unknown type, is sent as it stands to `raw_topic` if there is one, else
    skipped and reported. Returns when all replicas have acknowledged everything.
    Raises KafkaUnreachable, ProduceFailed.
    """
    report = ProduceReport(sent={})
    wanted = [*topics.values(), *([raw_topic] if raw_topic is not None else [])]
    counts = partition_counts(bootstrap=bootstrap, topics=wanted, timeout_s=timeout_s, login=login)
    if missing := [topic for topic in wanted if counts[topic] is None]:
        raise ProduceFailed(f"topics missing: {', '.join(missing)}; make them with `emberwatch topics ensure`")
    producer = _producer(bootstrap, timeout_s, login)
    waiting: deque[tuple[_Line, str, Any]] = deque()
    try:
        readers = [_lines(path, on_progress) for path in paths]
        for line in heapq.merge(*readers, key=lambda line: line.arrived_at):
            topic, key, fault = _destination(line, topics)
            if fault is not None and raw_topic is None:
                report.skipped += 1
                if len(report.skips) < MAX_SKIPS_REPORTED:
                    report.skips.append(Skip(str(line.path), line.number, fault))
                continue
            topic = topic if fault is None else cast("str", raw_topic)
            waiting.append((line, topic, _send(producer, line, topic, key)))
            while waiting and (len(waiting) > MAX_UNACKNOWLEDGED or waiting[0][2].is_done):
                _settle(waiting.popleft(), report)
        producer.flush(timeout=DELIVERY_TIMEOUT_S)
        while waiting:
            _settle(waiting.popleft(), report)
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "take the events", error) from error
    finally:
        producer.close(timeout=5)
    return report


def _producer(bootstrap: str, timeout_s: float, login: KafkaLogin) -> KafkaProducer:
    try:
        return KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            client_id="emberwatch-produce",
            acks="all",
            enable_idempotence=True,  # retries keep the order and write nothing twice
            linger_ms=20,
            batch_size=131_072,
            max_request_size=4 * MAX_MESSAGE_BYTES,  # the broker is the judge of what is too large
            allow_auto_create_topics=False,
            max_block_ms=int(timeout_s * 1000),
            delivery_timeout_ms=int(DELIVERY_TIMEOUT_S * 1000),
            bootstrap_timeout_ms=int(timeout_s * 1000),
            **login.client_options(),
        )
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "be reached", error) from error


def _send(producer: KafkaProducer, line: _Line, topic: str, key: bytes | None) -> Any:
    try:
        return producer.send(topic, key=key, value=line.value)
    except KafkaError as error:
        raise _failed(line, topic, error) from error


def _settle(sent: tuple[_Line, str, Any], report: ProduceReport) -> None:
    line, topic, future = sent
    try:
        future.get(timeout=DELIVERY_TIMEOUT_S)
    except KafkaError as error:
        raise _failed(line, topic, error) from error
    report.sent[topic] = report.sent.get(topic, 0) + 1


def _failed(line: _Line, topic: str, error: KafkaError) -> ProduceFailed:
    return ProduceFailed(
        f"{line.path}, line {line.number}: Kafka did not take it for topic {topic}: {first_line(error)}; "
        "check that the topic exists (`emberwatch topics ensure`) and that the line is below its max.message.bytes, "
        "then send the file again: events sent twice are counted once"
    )


def _destination(line: _Line, topics: Mapping[str, str]) -> tuple[str, bytes | None, str | None]:
    """Topic, key and fault of a line. Without a workload the key is what later versions of the row have in common."""
    if line.head is None:
        return "", None, line.fault
    logical = TOPIC_OF_TYPE.get(line.head.type) if isinstance(line.head.type, str) else None
    if logical is None or logical not in topics:
        return "", None, f"type must be one of {', '.join(TOPIC_OF_TYPE)}, got {str(line.head.type)[:64]!r}"
    for part in (line.head.workload, line.head.resource_id, line.head.event_id):
        if isinstance(part, str) and part:
            return topics[logical], part.encode("utf-8", "replace"), None
    return topics[logical], None, None


def _lines(path: Path, on_progress: Callable[[Progress], None]) -> Iterator[_Line]:
    """The lines of a file that are not blank; one without a time of its own arrives with the line before it."""
    arrived_at = LONG_AGO
    number = 0
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else nullcontext(raw) as text:
            for number, line in enumerate(text, start=1):
                if number % 1000 == 0:
                    on_progress(Progress(path, raw.tell()))
                value = line.strip()
                if not value:
                    continue
                head, fault = _head(value)
                if head is not None:
                    arrived_at = _moment(head.arrived_at) or _moment(head.at) or arrived_at
                yield _Line(path, number, value, head, fault, arrived_at)
    except (OSError, EOFError, zlib.error) as error:
        raise ProduceFailed(f"{path}, after line {number}: cannot be read further: {first_line(error)}") from error
    on_progress(Progress(path, path.stat().st_size))


def _head(value: bytes) -> tuple[_Head | None, str | None]:
    try:
        decoded = _decoder.decode(value)
        if not isinstance(decoded, list):
            return decoded, None
        if not decoded:
            return None, "an empty envelope"
        return msgspec.json.decode(decoded[0], type=_Head), None
    except (msgspec.DecodeError, RecursionError) as error:
        return None, f"neither a JSON object nor an array of objects: {first_line(error)}"


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
