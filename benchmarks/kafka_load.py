"""Topics and what is in them before a measurement begins, by confluent-kafka."""

import uuid
from collections.abc import Iterable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.events import Message

PARTITIONS = 4


def make_topics(bootstrap: str, names: Iterable[str]) -> None:
    """Make topics of four partitions, dated by the broker as the service's own are. Raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})  # its futures are void once it is gone
    made = admin.create_topics(
        [NewTopic(name, PARTITIONS, 1, config={"message.timestamp.type": "LogAppendTime"}) for name in names]
    )
    for done in made.values():
        done.result(30)


def producer(bootstrap: str) -> Producer:
    """One that waits for all replicas, and keeps the order."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 3,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 131_072,
            "partitioner": "murmur2_random",
        }
    )


def preload(bootstrap: str, messages: Iterable[Message], topic: str | None = None) -> str:
    """Fill a new topic, or `topic`, with messages; return its name when all of them are acknowledged."""
    if topic is None:
        topic = f"bench.{uuid.uuid4().hex[:10]}"
        make_topics(bootstrap, [topic])
    out = producer(bootstrap)
    for place, (key, value) in enumerate(messages):
        while True:
            try:
                out.produce(topic, value, key)
            except BufferError:
                out.poll(0.1)
            else:
                break
        if place % 1000 == 0:
            out.poll(0)
    if left := out.flush(60):
        raise RuntimeError(f"{left} messages of topic {topic} were not acknowledged")
    return topic
