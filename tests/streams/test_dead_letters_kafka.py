"""Dead letters on a real broker: whole, readable, and there when `put` returns."""

import asyncio
import contextlib
import socket
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from store.facts import RejectRow
from streams.dead_letters import CUT_TO_BYTES, DeadLetterProducer
from streams.topics import KafkaUnreachable, ensure_topics

pytestmark = pytest.mark.kafka

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def topic(kafka_broker: str) -> str:
    name = f"dead.{uuid.uuid4().hex[:12]}"
    ensure_topics(bootstrap=kafka_broker, topics=[], dead_letters=name, partitions=3)
    return name


def reject(
    payload: bytes = b'{"type": "gpu_sample"',
    partition: int = 2,
    offset: int = 41,
    index: int = 0,
    key: bytes | None = None,
) -> RejectRow:
    return RejectRow(
        topic="gpu.samples",
        partition=partition,
        offset=offset,
        index=index,
        reason="util_ratio must be ≤ 1.0, got 55",
        payload=payload,
        at=NOON,
        key=key,
    )


def letters(bootstrap: str, topic: str) -> list[Any]:
    """Everything that is in the topic now, by partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    with contextlib.closing(consumer):
        places = [TopicPartition(topic, p) for p in range(3)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        found: list[Any] = []
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=500).values():
                found += records
    return sorted(found, key=lambda record: (record.partition, record.offset))


def put(bootstrap: str, topic: str, *batches: list[RejectRow]) -> None:
    async def scenario() -> None:
        topics = {"gpu.samples": "fleet.gpu"}
        async with DeadLetterProducer(bootstrap=bootstrap, topic=topic, topics=topics) as producer:
            for batch in batches:
                await producer.put(batch)

    asyncio.run(scenario())


def test_a_letter_holds_the_bytes_and_key_it_came_with_and_its_headers_are_text(kafka_broker: str, topic: str) -> None:
    put(kafka_broker, topic, [reject(b"\x00\xff not json", index=3, key=b"c/n/w")])

    (letter,) = letters(kafka_broker, topic)
    assert (letter.partition, letter.key, letter.value) == (2, b"c/n/w", b"\x00\xff not json")
    assert {name: value.decode() for name, value in letter.headers} == {
        "__connect.errors.topic": "fleet.gpu",
        "__connect.errors.partition": "2",
        "__connect.errors.offset": "41",
        "__connect.errors.connector.name": "emberwatch",
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.class.name": "emberwatch.streams.formats",
        "__connect.errors.exception.class.name": "emberwatch.malformed",
        "__connect.errors.exception.message": "util_ratio must be ≤ 1.0, got 55",
        "emberwatch.index": "3",
        "emberwatch.arrived_at": "2026-11-02T12:00:00+00:00",
    }


def test_letters_of_a_partition_keep_their_order_and_an_unknown_partition_is_no_obstacle(
    kafka_broker: str, topic: str
) -> None:
    put(kafka_broker, topic, [reject(offset=n) for n in range(5)], [reject(offset=9), reject(partition=77)])

    found = letters(kafka_broker, topic)
    in_two = [dict(letter.headers)["__connect.errors.offset"] for letter in found if letter.partition == 2]
    assert [offset for offset in in_two if offset != b"41"] == [b"0", b"1", b"2", b"3", b"4", b"9"]
    assert len(found) == 7


def test_an_event_that_is_too_large_for_the_topic_is_cut_and_says_so_and_the_others_are_whole(
    kafka_broker: str, topic: str
) -> None:
    put(
        kafka_broker,
        topic,
        [reject(b"x" * 2_000_000, offset=1), reject(b"small", offset=2)],
        [reject(b"next", offset=3)],
    )

    found = {dict(letter.headers)["__connect.errors.offset"]: letter for letter in letters(kafka_broker, topic)}
    assert {offset: letter.value for offset, letter in found.items()} == {
        b"1": b"x" * CUT_TO_BYTES,
        b"2": b"small",
        b"3": b"next",
    }
    assert dict(found[b"1"].headers)["emberwatch.cut_from_bytes"] == b"2000000"


def test_a_broker_that_is_away_is_an_error_for_the_caller_to_wait_out(topic: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(KafkaUnreachable, match=address):
            put(address, topic, [reject()])
