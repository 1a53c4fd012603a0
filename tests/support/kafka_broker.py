"""A real Apache Kafka for the tests: one node in KRaft mode, in a process of its own."""

import socket
import subprocess
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.containers import Container
from tests.support.kafka_jars import java, kafka_version
from tests.support.missing import CannotBeHad
from tests.support.ports import LOOPBACK, free_ports
from tests.support.waiting import wait_until

START_S = 240.0
STOP_S = 120.0
CLUSTER_ID = "ZW1iZXJ3YXRjaC10ZXN0cw"  # sixteen bytes, as Kafka writes a UUID
LOGGING = Path(__file__).resolve().parents[1] / "kafka" / "log4j2.properties"

# what a single node needs, and what makes a test quick
ONE_NODE = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
}


class KafkaBroker:
    """Apache Kafka on a free port of 127.0.0.1. What it was told survives `kill` and a new `start`."""

    def __init__(self, home: Path, jars: Path) -> None:
        self.home = home
        self._jars = jars
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self._controller_port = free_ports(2)
        self.bootstrap = self.advertised = f"{LOOPBACK}:{self._port}"  # clients go on to what is advertised

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start on the data of `home`, formatted the first time, and wait until it answers. Raises CannotBeHad."""
        if self.running:
            return
        self.home.mkdir(parents=True, exist_ok=True)
        settings = self.home / "server.properties"
        if not settings.exists():
            settings.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
            self._format(settings)
        with (self.home / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(settings)),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(self._process)

    def stop(self) -> None:
        """End the broker as an operator would, and wait for it; it is killed if that takes too long."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End the broker with SIGKILL, as a machine that loses power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def _settings(self) -> dict[str, str]:
        controller = f"{LOOPBACK}:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.advertised}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.home / "data"),
            **ONE_NODE,
        }

    def _java(self, main: str, *arguments: str) -> list[str]:
        flags = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOGGING}"]
        return [java(), *flags, "-cp", f"{self._jars}/*", main, *arguments]

    def _format(self, settings: Path) -> None:
        line = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings))
        formatted = subprocess.run(line, cwd=self.home, capture_output=True, text=True, timeout=START_S)
        if formatted.returncode != 0:
            raise CannotBeHad(f"Kafka could not format its storage: {formatted.stderr.strip()[-500:]}")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        wait_until(lambda: process.poll() is not None or _answers(self.bootstrap), within_s=START_S)
        if process.poll() is not None or not _answers(self.bootstrap):
            self.kill()
            raise CannotBeHad(f"Kafka did not start: {(self.home / 'kafka.log').read_text()[-800:]}")


class KafkaContainer:
    """The same Kafka from its official image, where a Docker engine answers."""

    def __init__(self) -> None:
        (port,) = free_ports(1)
        self.bootstrap = f"{LOOPBACK}:{port}"
        single = {f"KAFKA_{key.replace('.', '_').upper()}": value for key, value in ONE_NODE.items()}
        self._container = Container(
            image=f"apache/kafka:{kafka_version()}",
            ports={port: 9092},
            environment={
                "KAFKA_PROCESS_ROLES": "broker,controller",
                "KAFKA_NODE_ID": "1",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
                "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
                "KAFKA_LISTENERS": "OUTSIDE://:9092,CONTROLLER://:9093,INSIDE://:9094",
                "KAFKA_ADVERTISED_LISTENERS": f"OUTSIDE://{self.bootstrap},INSIDE://localhost:9094",
                "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
                **single,
            },
        )

    def start(self) -> None:
        """Start the container and wait until Kafka answers. Raises CannotBeHad."""
        self._container.start()
        if not wait_until(lambda: _answers(self.bootstrap), within_s=START_S):
            self.stop()
            raise CannotBeHad(f"Kafka in Docker did not answer within {START_S:g} s")

    def stop(self) -> None:
        """Remove the container."""
        self._container.stop()


def _answers(bootstrap: str) -> bool:
    host, port = bootstrap.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
        # librdkafka asks again by itself until its time is over; it would write each failure to the standard error
        client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        return len(client.list_topics(timeout=5.0).brokers) == 1
    except (OSError, KafkaException):
        return False
