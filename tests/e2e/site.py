"""One installation for an end-to-end test: a config, topics of its own, and the real processes on it."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import create_engine, make_url, text

from store.failpoints import VARIABLE
from store.store import Store
from tests.support.ports import LOOPBACK, free_ports
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EMBERWATCH = [sys.executable, "-W", "ignore", "-c", "from console.cli import main; main()"]
INPUTS = {
    "gpu.samples": "gpu_samples",
    "token.usage": "token_usage",
    "billing.charges": "charges",
    "ops.changes": "changes",
}


class Process:
    """A command of the service that runs on, with its log."""

    def __init__(self, arguments: Sequence[str], log: Path, port: int, failpoint: str | None = None) -> None:
        """`failpoint`: where it is to die, as `EMBERWATCH_FAILPOINT` names it."""
        self.log, self.port = log, port
        armed = {} if failpoint is None else {VARIABLE: failpoint}
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                [*EMBERWATCH, *arguments],
                cwd=ROOT,
                env={**os.environ, **armed},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, **options: Any) -> httpx.Response | None:
        """Its answer to a GET; None while nobody listens."""
        try:
            return httpx.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=30.0, **options)
        except httpx.TransportError:
            return None

    def checks(self) -> dict[str, str]:
        """What /readyz says of each check; empty while nobody listens."""
        answer = self.get("/readyz")
        checks: dict[str, str] = {} if answer is None else answer.json()["checks"]
        return checks

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample in /metrics; 0 where there is none."""
        answer = self.get("/metrics")
        assert answer is not None
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        start = f"{name}{{{inside}}} " if inside else f"{name} "
        return sum(float(line.rsplit(" ", 1)[1]) for line in answer.text.splitlines() if line.startswith(start))

    def terminate(self, within_s: float = 60.0) -> int:
        """SIGTERM; its exit code: that of a clean end says that it kept its own limit, which lies below ten seconds."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(within_s)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.popen.kill()
        self.popen.wait(60.0)

    def has_said(self, event: str) -> bool:
        """Whether its log has this event."""
        return any(line["event"] == event for line in self.said())

    def said(self) -> list[dict[str, Any]]:
        """Its log, line by line."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


class Site:
    """Config, topics and database of one test; what it starts is killed at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: str,
        store_url: str,
        config: Mapping[str, Any] | None = None,
        topics: Mapping[str, str] | None = None,
    ) -> None:
        """`topics`: those of another site, to read the same log with a group of its own."""
        self.folder, self.kafka, self.store_url = folder, kafka, store_url
        mark = uuid.uuid4().hex[:10]
        self.group, self.dead_letters = f"group-{mark}", f"dead.{mark}"
        self.topics = dict(topics or {name: f"{name}.{mark}" for name in INPUTS})
        self.base: dict[str, Any] = {
            "store": {
                "url": make_url(store_url).render_as_string(hide_password=False).replace("+psycopg", "", 1),
                "data_dir": str(folder),
            },
            "kafka": {
                "bootstrap_servers": kafka,
                "group": self.group,
                "partitions": 3,
                "dead_letter_topic": self.dead_letters,
                "topics": {INPUTS[name]: topic for name, topic in self.topics.items()},
            },
            "log": {"format": "json"},
            **(config or {}),
        }
        self.started: list[Process] = []
        self._stores: list[Store] = []

    def config(self, **sections: Any) -> Path:
        """A config file for one process: it has a metrics port and a console port of its own."""
        path = self.folder / f"config-{uuid.uuid4().hex[:6]}.yaml"
        path.write_text(json.dumps({**self.base, **sections}, default=str))
        return path

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [*EMBERWATCH, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300.0, check=False
        )

    def ensure_topics(self) -> None:
        """`emberwatch topics ensure`."""
        made = self.command("topics", "ensure", "--config", str(self.config()))
        assert made.returncode == 0, made.stderr

    def produce(self, *files: Path) -> None:
        """`emberwatch produce`."""
        sent = self.command("produce", *map(str, files), "--config", str(self.config()))
        assert sent.returncode == 0, sent.stderr

    def replay(self, out: Path, *files: Path) -> None:
        """`emberwatch replay`."""
        done = self.command("replay", *map(str, files), "--config", str(self.config()), "--out", str(out))
        assert done.returncode == 0, done.stderr

    def worker(self, instance: str | None = None, failpoint: str | None = None) -> Process:
        """Start a worker; one with an instance's name comes back without a rebalance."""
        (port,) = free_ports(1)
        words = ["worker", "--config", str(self.config(metrics={"port": port}))]
        words += ["--instance", instance] if instance is not None else []
        return self._start(words, self.folder / f"worker-{len(self.started)}.log", port, failpoint)

    def run(self, failpoint: str | None = None, **sections: Any) -> Process:
        """Start the whole service in one process, without Kafka."""
        (port,) = free_ports(1)
        config = self.config(console={"port": port, **sections})
        return self._start(
            ["run", "--config", str(config)], self.folder / f"run-{len(self.started)}.log", port, failpoint
        )

    def serve(self, **sections: Any) -> Process:
        """Start the console."""
        (port,) = free_ports(1)
        config = self.config(console={"port": port, **sections})
        return self._start(["serve", "--config", str(config)], self.folder / "serve.log", port)

    def _start(self, arguments: list[str], log: Path, port: int, failpoint: str | None = None) -> Process:
        process = Process(arguments, log, port, failpoint)
        self.started.append(process)
        return process

    def store(self) -> Store:
        """The database, as another reader of it."""
        if not self._stores:
            self._stores.append(Store.open(self.store_url))
        return self._stores[0]

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of each place's log, by logical topic and partition; empty places left out."""
        places = {TopicPartition(topic, p): (name, p) for name, topic in self.topics.items() for p in range(3)}
        consumer = KafkaConsumer(bootstrap_servers=self.kafka)
        try:
            found = consumer.end_offsets(list(places))
        finally:
            consumer.close()
        return {places[place]: end for place, end in found.items() if end}

    def read(self) -> dict[tuple[str, int], int]:
        """How far the store says that each place was read."""
        rows = self._rows("select topic, partition, next_offset from offsets")
        return {(topic, partition): offset for topic, partition, offset in rows if offset}

    def owners(self) -> dict[str, int]:
        """How many partitions each process owns, as the store says."""
        return dict(Counter(owner for (owner,) in self._rows("select owner from progress where partition >= 0")))

    def _rows(self, query: str) -> Sequence[Any]:
        self.store()  # makes the tables where no worker has done so yet
        engine = create_engine(self.store_url)
        try:
            with engine.connect() as connection:
                return connection.execute(text(query)).all()
        finally:
            engine.dispose()

    def wait_read(self, within_s: float) -> None:
        """Until everything that is in the topics is in the store."""
        ends = self.ends()
        assert wait_until(lambda: self.read() == ends, within_s), f"read {self.read()} of {ends}; {self.tails()}"

    def tails(self) -> str:
        """The end of every log, for a failure's message."""
        return "\n".join(f"{one.log.name}: {one.log.read_text()[-1500:]}" for one in self.started)

    def send_raw(self, topic: str, value: bytes, key: bytes | None = None, partition: int = 0) -> None:
        """One message with these very bytes."""
        producer = KafkaProducer(bootstrap_servers=self.kafka)
        producer.send(self.topics[topic], value=value, key=key, partition=partition).get(timeout=60)
        producer.close()

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.started:
            if process.popen.poll() is None:
                process.kill()
        for store in self._stores:
            store.close()


def listening_ports(process_id: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which a process listens."""
    links = [os.readlink(link) for link in Path(f"/proc/{process_id}/fd").iterdir() if link.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process_id}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return found


def usage_of(process: Process) -> tuple[float, float]:
    """CPU seconds so far, and the largest resident size in MiB."""
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / ticks, peak_kib / 1024
