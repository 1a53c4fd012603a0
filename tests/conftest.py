"""Fixtures for all tests: real Kafka, real PostgreSQL, and librdkafka's mock cluster.

Each server is looked for in the same order: an address in the environment, Docker, then the programs themselves.
A test that asks for a server bears its marker by itself, so `-m "not kafka and not postgres"` is the quick run.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.containers import engine_answers
from tests.support.kafka_broker import KafkaBroker, KafkaContainer
from tests.support.kafka_jars import java, kafka_jars
from tests.support.kafka_mock import MockKafka
from tests.support.missing import CannotBeHad, do_without
from tests.support.postgres import Databases, PostgresCluster, PostgresContainer, server_programs

MARKERS = {
    "kafka_broker": "kafka",
    "kafka_programs": "kafka",
    "postgres_url": "postgres",
    "postgres_database": "postgres",
    "postgres_programs": "postgres",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a server."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKERS:
                item.add_marker(MARKERS[fixture])


@pytest.fixture(scope="session")
def kafka_programs() -> Path:
    """Kafka's jars, for a test that makes a `KafkaBroker` of its own in order to kill it."""
    try:
        java()
        return kafka_jars()
    except CannotBeHad as why:
        do_without("Apache Kafka", str(why))


@pytest.fixture(scope="session")
def kafka_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Kafka that all tests share; topics are the tests' own to name apart."""
    if address := os.environ.get("EMBERWATCH_TEST_KAFKA"):
        yield address
        return
    broker: KafkaBroker | KafkaContainer
    if engine_answers():
        broker = KafkaContainer()
    else:
        broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), request.getfixturevalue("kafka_programs"))
    try:
        broker.start()
    except CannotBeHad as why:
        do_without("Apache Kafka", str(why))
    yield broker.bootstrap
    broker.stop()


@pytest.fixture
def mock_kafka() -> MockKafka:
    """librdkafka's mock cluster; ask it to `create` each topic before a worker starts."""
    return MockKafka()


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, for a test that makes a `PostgresCluster` of its own in order to kill it."""
    try:
        return server_programs()
    except CannotBeHad as why:
        do_without("PostgreSQL", str(why))


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The SQLAlchemy address of a real PostgreSQL that all tests share."""
    if address := os.environ.get("EMBERWATCH_TEST_POSTGRES"):
        yield make_url(address).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    server = PostgresContainer() if engine_answers() else PostgresCluster(request.getfixturevalue("postgres_programs"))
    try:
        server.start()
    except CannotBeHad as why:
        server.remove()
        do_without("PostgreSQL", str(why))
    yield server.url.render_as_string(hide_password=False)
    server.remove()


@pytest.fixture(scope="session")
def _postgres_databases(postgres_url: str) -> Databases:
    return Databases(postgres_url)


@pytest.fixture
def postgres_database(_postgres_databases: Databases) -> Iterator[str]:
    """The SQLAlchemy address of an empty database of the test's own."""
    url = _postgres_databases.create()
    yield url
    _postgres_databases.drop(str(make_url(url).database))
