"""A broker that refuses us is named with what to mend, again and again, and the worker neither ends nor spins."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.app import KafkaSettings
from streams.kafka_login import KafkaLogin
from streams.topics import INPUTS, ensure_topics
from tests.streams.test_worker_kafka import Keeping, running, until
from tests.support.kafka_broker import LOOPBACK, KafkaBroker
from tests.support.ports import free_ports

RIGHT = KafkaLogin(protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", username="ember", password="right-secret")
WRONG = KafkaLogin(protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", username="ember", password="wrong-secret")


class GuardedBroker(KafkaBroker):
    """A broker with a second listener that asks for a password."""

    def __init__(self, home: Path, jars: Path) -> None:
        super().__init__(home, jars)
        (port,) = free_ports(1)
        self.guarded = f"{LOOPBACK}:{port}"

    def _settings(self) -> dict[str, str]:
        made = super()._settings()
        plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ember="right-secret";'
        return made | {
            "listeners": made["listeners"] + f",GUARDED://{self.guarded}",
            "advertised.listeners": made["advertised.listeners"] + f",GUARDED://{self.guarded}",
            "listener.security.protocol.map": made["listener.security.protocol.map"] + ",GUARDED:SASL_PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.guarded.plain.sasl.jaas.config": plain,
        }


@pytest.fixture(scope="module")
def guarded(kafka_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = GuardedBroker(tmp_path_factory.mktemp("guarded"), kafka_programs)
    broker.start()
    ensure_topics(bootstrap=broker.bootstrap, partitions=1)
    yield broker.guarded
    broker.stop()


def settings(bootstrap: str, login: KafkaLogin) -> KafkaSettings:
    return KafkaSettings(bootstrap=bootstrap, login=login, group="guarded", topics={name: name for name in INPUTS})


def test_a_wrong_password_is_called_that_and_the_right_one_is_let_in(guarded: str) -> None:
    async def refused() -> None:
        async with running(settings(guarded, WRONG), Keeping()) as worker:
            await until(lambda: worker.unready and worker.unready.startswith("Kafka at"))
            assert worker.unready == (
                f"Kafka at {guarded} refused the login of 'ember' over SASL_PLAINTEXT with PLAIN: [Error 58] "
                "SaslAuthenticationFailed: Authentication failed: Invalid username or password; check protocol, "
                "sasl_mechanism, username and password under kafka.security, and that the broker knows this user"
            )

    async def let_in() -> None:
        async with running(settings(guarded, RIGHT), Keeping()) as worker:
            await until(worker.ready)

    with capture_logs() as logs:
        asyncio.run(refused())
    asyncio.run(let_in())

    assert "secret" not in json.dumps(logs, default=str)


def test_a_refused_connection_is_tried_again_at_a_pace_and_never_ends_the_worker() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        nobody = settings(f"{LOOPBACK}:{taken.getsockname()[1]}", KafkaLogin())
        with capture_logs() as logs:

            async def scenario() -> None:
                async with running(nobody, Keeping()):
                    await until(lambda: len(waits(logs)) >= 3)

            asyncio.run(scenario())

    assert waits(logs)[:3] == [0.2, 0.4, 0.8]


def waits(logs: list[Any]) -> list[float]:
    """How long the worker said it would wait, each time."""
    return [entry["retry_in_s"] for entry in logs if entry["event"] == "worker_waiting_for_kafka"]
