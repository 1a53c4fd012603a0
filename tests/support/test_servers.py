"""The harness itself: real servers answer, keep what they were told over a kill, and are not silently gone without."""

from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from sqlalchemy import create_engine, make_url, text

from tests.support.kafka_broker import KafkaBroker
from tests.support.kafka_jars import kafka_version
from tests.support.kafka_mock import MockKafka
from tests.support.missing import do_without, in_continuous_integration
from tests.support.postgres import PostgresCluster, driver_address


def make_topic(bootstrap: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    try:
        for sent in [producer.send(topic, value) for value in values]:
            sent.get(timeout=60.0)
    finally:
        producer.close()


def consume(bootstrap: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, consumer_timeout_ms=20_000)
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        (end,) = consumer.end_offsets([place]).values()
        return [next(consumer).value for _ in range(end)]
    finally:
        consumer.close()


def test_a_message_goes_through_the_real_broker(kafka_broker: str):
    make_topic(kafka_broker, "harness.one")
    produce(kafka_broker, "harness.one", b"first", b"second")

    assert consume(kafka_broker, "harness.one") == [b"first", b"second"]


@pytest.mark.slow
def test_what_a_broker_acknowledged_is_there_after_a_kill(tmp_path: Path, kafka_programs: Path):
    broker = KafkaBroker(tmp_path, kafka_programs)
    broker.start()
    try:
        make_topic(broker.bootstrap, "harness.kept")
        produce(broker.bootstrap, "harness.kept", b"kept")
        broker.kill()
        assert not broker.running

        broker.start()

        assert consume(broker.bootstrap, "harness.kept") == [b"kept"]
    finally:
        broker.stop()


def test_the_mock_cluster_serves_a_group_in_this_process(mock_kafka: MockKafka):
    partitions = mock_kafka.create("harness.mock")
    producer = Producer({"bootstrap.servers": mock_kafka.bootstrap})
    producer.produce("harness.mock", b"hello", partition=partitions - 1)
    assert producer.flush(10.0) == 0

    consumer = Consumer(
        {"bootstrap.servers": mock_kafka.bootstrap, "group.id": "harness", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["harness.mock"])
    message = consumer.poll(30.0)
    consumer.close()

    assert message is not None
    assert (message.value(), message.partition(), message.offset()) == (b"hello", partitions - 1, 0)


def test_the_pinned_version_of_kafka_is_a_full_version():
    assert kafka_version().count(".") == 2


def test_postgres_answers(postgres_url: str):
    engine = create_engine(postgres_url)
    try:
        with engine.connect() as connection:
            assert connection.execute(text("select 1")).scalar_one() == 1
    finally:
        engine.dispose()


def test_each_database_is_empty(postgres_database: str):
    with psycopg.connect(driver_address(make_url(postgres_database))) as connection:
        tables = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()

    assert tables == (0,)


@pytest.mark.slow
def test_what_postgres_committed_is_there_after_a_kill(postgres_programs: Path):
    server = PostgresCluster(postgres_programs)
    try:
        server.start()
        with psycopg.connect(driver_address(server.url)) as connection:
            connection.execute("create table kept (n integer)")
            connection.execute("insert into kept values (7)")
        server.kill()

        server.start()

        with psycopg.connect(driver_address(server.url)) as connection:
            assert connection.execute("select n from kept").fetchall() == [(7,)]
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("value", "answer"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("", False), (None, False)]
)
def test_ci_is_told_by_its_variable(value: str | None, answer: bool):
    environ = {} if value is None else {"CI": value}

    assert in_continuous_integration(environ) is answer


def test_without_a_server_a_test_is_skipped_with_its_reason():
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED, Apache Kafka could not be had: no java"):
        do_without("Apache Kafka", "no java", {})


def test_without_a_server_a_test_fails_in_ci():
    with pytest.raises(pytest.fail.Exception, match="PostgreSQL is required in CI and could not be had: no initdb"):
        do_without("PostgreSQL", "no initdb", {"CI": "true"})
