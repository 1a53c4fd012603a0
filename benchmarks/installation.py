"""The service as it is run, seen from outside: its real worker processes, its config, and how far its store is.

The rate is read from the offsets in the store, so that a message counts when it is handled, judged and durable.
"""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from msgspec import Struct
from sqlalchemy import Engine, create_engine, make_url, text

from benchmarks.events import PRICES
from benchmarks.figures import Run
from benchmarks.kafka_load import PARTITIONS, make_topics
from store.store import Store
from tests.e2e.site import INPUTS, Process, usage_of
from tests.support.ports import free_ports

START_S = 90.0
POLL_S = 0.02


class Window(Struct):
    """What was handled between two commits, and what it cost."""

    messages: int
    wall_s: float
    cpu_s: float
    rss_mib: float
    from_start_s: float

    def figures(self, per_message: int = 1, unit: str = "events") -> Run:
        """Rates, by wall and by CPU, and memory."""
        units = self.messages * per_message
        return {
            f"{unit}_per_s": units / self.wall_s,
            f"{unit}_per_cpu_s": units / self.cpu_s,
            "rss_mib": self.rss_mib,
        }


class Installation:
    """One consumer group, one database, and the workers on them."""

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        store_url: str,
        topics: Mapping[str, str],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """`topics`: those that are there already, by logical name; the rest is made, and stays empty."""
        mark, address = uuid.uuid4().hex[:8], make_url(store_url)
        address = address.set(drivername=address.get_backend_name())
        self.folder, self.store_url, self.mark = folder, store_url, mark
        self.topics = {name: topics.get(name, f"{name}.{mark}") for name in INPUTS}
        make_topics(bootstrap, [self.topics[name] for name in INPUTS if name not in topics] + [f"dead.{mark}"])
        self._config: dict[str, Any] = {
            "prices": PRICES,
            "store": {
                "url": address.render_as_string(hide_password=False),
                "data_dir": str(folder),
            },
            "kafka": {
                "bootstrap_servers": bootstrap,
                "group": f"bench-{mark}",
                "partitions": PARTITIONS,
                "dead_letter_topic": f"dead.{mark}",
                "topics": {INPUTS[name]: topic for name, topic in self.topics.items()},
            },
            "log": {"format": "json"},
            **(config or {}),
        }
        Store.open(store_url).close()  # the tables
        self._engine: Engine = create_engine(store_url)
        self.workers: list[Process] = []
        self.began_s = 0.0

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, instance: str | None = None) -> Process:
        """Start a worker; one with an instance's name comes back without a rebalance."""
        (port,) = free_ports(1)
        path = self.folder / f"{self.mark}-{len(self.workers)}.yaml"
        path.write_text(json.dumps({**self._config, "metrics": {"port": port}}, default=str))
        words = ["worker", "--config", str(path), *(["--instance", instance] if instance else [])]
        self.began_s = monotonic()
        worker = Process(words, path.with_suffix(".log"), port)
        self.workers.append(worker)
        return worker

    def handled(self) -> int:
        """How many messages are durably handled, over all topics and partitions."""
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(text("select sum(next_offset) from offsets"))
        return int(found or 0)

    def owners(self) -> list[int]:
        """How many partitions each owner has."""
        with self._engine.connect() as connection:
            query = text("select count(*) from progress where partition >= 0 group by owner")
            return [int(number) for (number,) in connection.execute(query)]

    def wait_handled(self, messages: int, within_s: float) -> float:
        """Wait until so many are handled; return the moment (monotonic). Raises TimeoutError."""
        deadline, pause = monotonic() + within_s, Event()
        while self.handled() < messages:
            self._check()
            if monotonic() >= deadline:
                raise TimeoutError(f"{self.handled()} of {messages} messages after {within_s:g} s; {self._tail()}")
            pause.wait(POLL_S)
        return monotonic()

    def window(self, total: int, longest_s: float) -> Window:
        """From the first commit that is seen to the last one within `longest_s`, or to the end of the log."""
        first_s = self.wait_handled(self.handled() + 1, START_S)
        first, first_cpu_s = self.handled(), self._cpu_s()
        last, last_s, last_cpu_s, pause = first, first_s, first_cpu_s, Event()
        while monotonic() - first_s < longest_s and last < total:
            self._check()
            if (now := self.handled()) > last:
                last, last_s, last_cpu_s = now, monotonic(), self._cpu_s()
            pause.wait(POLL_S)
        if last == first:
            raise TimeoutError(f"nothing more was handled within {longest_s:g} s; {self._tail()}")
        rss_mib = max(usage_of(worker)[1] for worker in self._alive())
        return Window(last - first, last_s - first_s, last_cpu_s - first_cpu_s, rss_mib, last_s - self.began_s)

    def close(self) -> None:
        """Kill what still runs."""
        for worker in self._alive():
            worker.kill()
        self._engine.dispose()

    def _alive(self) -> list[Process]:
        return [worker for worker in self.workers if worker.popen.poll() is None]

    def _cpu_s(self) -> float:
        return sum(usage_of(worker)[0] for worker in self._alive())

    def _check(self) -> None:
        if not self._alive():
            raise RuntimeError(f"no worker runs; {self._tail()}")

    def _tail(self) -> str:
        return self.workers[-1].log.read_text()[-1500:] if self.workers else "none was started"
