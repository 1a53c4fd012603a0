"""Making topics on a real broker: once, alike, and said clearly when they are not."""

import contextlib
import re
import socket
import uuid

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import MessageSizeTooLargeError

from streams.topics import KafkaUnreachable, TopicReport, TopicState, ensure_topics, partition_counts

pytestmark = pytest.mark.kafka


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex[:12]


def test_absent_topics_are_made_alike_and_a_second_time_changes_nothing(kafka_broker: str, mark: str) -> None:
    topics = [f"gpu.samples.{mark}", f"token.usage.{mark}"]
    dead = f"dead.{mark}"

    first = ensure_topics(bootstrap=kafka_broker, topics=topics, dead_letters=dead, partitions=3, retention_s=3600)
    second = ensure_topics(bootstrap=kafka_broker, topics=topics, dead_letters=dead, partitions=3, retention_s=7200)

    def report(topic: str, state: TopicState) -> TopicReport:
        return TopicReport(topic=topic, state=state, partitions=3, wanted_partitions=3)

    assert first == [report(topic, TopicState.CREATED) for topic in [*topics, dead]]
    assert second == [report(topic, TopicState.PRESENT) for topic in [*topics, dead]]
    assert [found.fault for found in first + second] == [None] * 6
    assert partition_counts(bootstrap=kafka_broker, topics=[*topics, "no." + mark]) == {
        topics[0]: 3,
        topics[1]: 3,
        "no." + mark: None,
    }
    assert topic_settings(kafka_broker, topics[0]) == {
        "cleanup.policy": "delete",
        "compression.type": "uncompressed",
        "max.message.bytes": "1048576",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "3600000",
    }
    assert topic_settings(kafka_broker, dead)["max.message.bytes"] == "1114112"


@pytest.mark.parametrize(
    ("present", "wanted", "remedy"),
    [
        (
            2,
            3,
            "grow it with kafka-topics.sh --alter --topic {} --partitions 3 while no worker runs, "
            "or name a fresh topic",
        ),
        (3, 2, "set kafka.partitions to 3 for all topics"),
    ],
)
def test_another_number_of_partitions_is_reported_with_its_remedy_and_left_alone(
    kafka_broker: str, mark: str, present: int, wanted: int, remedy: str
) -> None:
    topic = f"gpu.samples.{mark}"
    ensure_topics(bootstrap=kafka_broker, topics=[topic], dead_letters=None, partitions=present)

    (report,) = ensure_topics(bootstrap=kafka_broker, topics=[topic], dead_letters=None, partitions=wanted)

    assert report == TopicReport(
        topic=topic, state=TopicState.WRONG_PARTITIONS, partitions=present, wanted_partitions=wanted
    )
    assert report.fault == (
        f"topic {topic} has {present} partitions, {wanted} are wanted; "
        "all topics need the same number, or a workload's events would be split between workers: "
        + remedy.format(topic)
    )


def test_a_small_batch_that_unpacks_to_more_than_the_limit_is_refused_by_the_broker(
    kafka_broker: str, mark: str
) -> None:
    topic = f"gpu.samples.{mark}"
    ensure_topics(bootstrap=kafka_broker, topics=[topic], dead_letters=None, partitions=1)
    producer = KafkaProducer(
        bootstrap_servers=kafka_broker, compression_type="gzip", max_request_size=64_000_000, batch_size=64_000_000
    )
    with contextlib.closing(producer):
        producer.send(topic, value=b"0" * 1_000_000).get(timeout=60)
        bomb = producer.send(topic, value=b"0" * 20_000_000)  # 20 kB on the wire
        with pytest.raises(MessageSizeTooLargeError):
            bomb.get(timeout=60)


def test_an_address_where_nobody_listens_is_named_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(
            KafkaUnreachable, match=f"^Kafka at {re.escape(address)} could not be reached: .*; check that"
        ):
            ensure_topics(bootstrap=address, partitions=1)


def topic_settings(bootstrap: str, topic: str) -> dict[str, str]:
    """What the topic was given, apart from the broker's defaults."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"][topic]
    names = ("cleanup.policy", "compression.type", "max.message.bytes", "message.timestamp.type", "retention.ms")
    return {name: found[name]["value"] for name in names if name in found}
