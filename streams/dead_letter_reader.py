"""The dead-letter topic, read back: each letter once, with where it came from. Putting letters back where they were.

Headers that are missing, or hold something else, make no letter unreadable: it then has the place that it lies at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from msgspec import Struct

from store.facts import UNREADABLE, RejectRow
from store.rejects import Place
from streams.kafka_login import NO_LOGIN, KafkaLogin
from streams.topics import BOOTSTRAP_TIMEOUT_S, MAX_MESSAGE_BYTES, KafkaUnreachable, partition_counts, reach

MAX_REJECT_BYTES = 65_536  # of an event that is set aside; one that is as long may have been longer
DELIVERY_TIMEOUT_S = 60.0
SILENCE_S = 30.0  # after which a broker that sends nothing more counts as gone
OWN_CLASS = "emberwatch."


class Letter(Struct, frozen=True, kw_only=True):
    """An event that was set aside, and its headers as they are."""

    reject: RejectRow
    headers: dict[str, str] = {}
    whole: bool = True  # all its bytes are there, and so is where it came from

    @property
    def place(self) -> Place:
        """Where it stood."""
        return Place(self.reject.topic, self.reject.partition, self.reject.offset, self.reject.index)


def read_letters(
    *,
    bootstrap: str,
    topic: str,
    since: datetime | None = None,
    wanted: Callable[[Letter], bool] = lambda letter: True,
    login: KafkaLogin = NO_LOGIN,
) -> Iterator[Letter]:
    """The letters that lie in the topic now, partition by partition; one that was put twice comes twice.

    `topic` of a letter is the physical one. Raises KafkaUnreachable.
    """
    try:
        reach(bootstrap, BOOTSTRAP_TIMEOUT_S)
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            client_id="emberwatch-dlq",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **login.client_options(),
        )
        with closing(consumer):
            for partition in sorted(consumer.partitions_for_topic(topic) or ()):
                place = TopicPartition(topic, partition)
                consumer.assign([place])
                end = consumer.end_offsets([place])[place]
                if since is None:
                    consumer.seek_to_beginning(place)
                else:
                    found = consumer.offsets_for_times({place: int(since.timestamp() * 1000)})[place]
                    consumer.seek(place, end if found is None else found.offset)
                for record in records_until(consumer, place, end):
                    letter = _letter(record)
                    if wanted(letter):
                        yield letter
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, f"read {topic}", error) from error


def records_until(
    consumer: Any,
    place: TopicPartition,
    end: int,
    *,
    silence_s: float = SILENCE_S,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Any]:
    """The records of a place up to an offset. Raises KafkaTimeoutError where none comes for so long."""
    position, heard_s = consumer.position(place), clock()
    while position < end:
        yield from (one for one in consumer.poll(timeout_ms=1000, max_records=2000).get(place, []) if one.offset < end)
        before, position = position, consumer.position(place)
        if position > before:
            heard_s = clock()
        elif clock() - heard_s > silence_s:
            raise KafkaTimeoutError(f"nothing came for {silence_s:.0f} s, at offset {position} of {end}")


def put_back(letters: Sequence[Letter], *, bootstrap: str, login: KafkaLogin = NO_LOGIN) -> Mapping[str, int]:
    """Send letters to the topics and partitions they came from, as they came; returns how many, by topic.

    All replicas have them when it returns. Raises KafkaUnreachable: some may be there then; coming twice is harmless.
    """
    sent: dict[str, int] = {}
    topics = sorted({letter.reject.topic for letter in letters})
    counts = partition_counts(bootstrap=bootstrap, topics=topics, login=login)
    if missing := [name for name in topics if not counts[name]]:
        raise KafkaUnreachable(bootstrap, "take the events back", KeyError(f"no topic {', '.join(missing)}"))
    try:
        producer = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            client_id="emberwatch-dlq",
            acks="all",
            enable_idempotence=True,
            max_request_size=4 * MAX_MESSAGE_BYTES,
            allow_auto_create_topics=False,
            delivery_timeout_ms=int(DELIVERY_TIMEOUT_S * 1000),
            **login.client_options(),
        )
        try:
            waiting = []
            for letter in letters:
                reject = letter.reject
                name = reject.topic
                partition = reject.partition if reject.partition < (counts[name] or 0) else None
                waiting.append(producer.send(name, key=reject.key, value=reject.payload, partition=partition))
                sent[name] = sent.get(name, 0) + 1
            for future in waiting:
                future.get(timeout=DELIVERY_TIMEOUT_S)
        finally:
            producer.close(timeout=5)
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "take the events back", error) from error
    return sent


def _letter(record: Any) -> Letter:
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    put_at = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC)
    fault = headers.get("__connect.errors.exception.class.name", "")
    return Letter(
        reject=RejectRow(
            topic=headers.get("__connect.errors.topic", record.topic),
            partition=_number(headers.get("__connect.errors.partition"), record.partition),
            offset=_number(headers.get("__connect.errors.offset"), record.offset),
            index=_number(headers.get("emberwatch.index"), 0),
            reason=headers.get("__connect.errors.exception.message", ""),
            payload=record.value or b"",
            at=_moment(headers.get("emberwatch.arrived_at"), put_at),
            fault=fault.removeprefix(OWN_CLASS) if fault.startswith(OWN_CLASS) else "unknown",
            key=record.key,
        ),
        headers=headers,
        whole="emberwatch.cut_from_bytes" not in headers
        and "__connect.errors.topic" in headers
        and len(record.value or b"") < MAX_REJECT_BYTES
        and fault != OWN_CLASS + UNREADABLE,
    )


def _number(text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        return default


def _moment(text: str | None, default: datetime) -> datetime:
    try:
        at = default if text is None else datetime.fromisoformat(text)
    except ValueError:
        return default
    return at if at.tzinfo is not None else default
