"""The service in one process under load: bodies are posted until they are accepted, whatever happens to it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import httpx
from sqlalchemy import Engine, create_engine, inspect, text

from tests.e2e.outcome import Outcome, of_replay, of_store
from tests.e2e.site import Process, Site
from tests.faults.checker import breaches, rejects
from tests.faults.load import PRICES, Load, Message
from tests.faults.recorders import Recorders
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

TOKEN = "faults-0123456789abcdef0123456789abcdef"
WITHIN_S = 240.0
LATENESS = timedelta(minutes=2)
STREAM = {"retention_days": 3660, "silence_after": "1h"}  # nothing depends on how quickly this machine is
KILLED = 137
BEATS_S = 0.005


class Client(Thread):
    """Posts one body after the other; one of which it does not know whether it was accepted is posted again."""

    def __init__(self, pieces: Sequence[Sequence[Message]]) -> None:
        super().__init__(daemon=True)
        self.bodies = [b"\n".join(message.value for message in piece) for piece in pieces]
        self.accepted = self.tries = 0
        self.port = 0  # of the process that listens now
        self._allowed = Semaphore(0)
        self.given_up = Event()

    def allow(self, number: int | None = None) -> None:
        """Let it post so many more; None: all that is left."""
        for _ in range(len(self.bodies) if number is None else number):
            self._allowed.release()

    def run(self) -> None:
        """Until all are accepted."""
        for body in self.bodies:
            self._allowed.acquire()
            while not self._post(body) and not self.given_up.wait(0.05):
                pass
            if self.given_up.is_set():
                return
            self.accepted += 1

    def _post(self, body: bytes) -> bool:
        self.tries += 1
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        try:
            answer = httpx.post(
                f"http://{LOOPBACK}:{self.port}/api/v1/events", content=body, headers=headers, timeout=30
            )
        except httpx.TransportError:
            return False
        return answer.status_code == 202


class Embedded:
    """A site whose service is one process; its store is SQLite or PostgreSQL."""

    def __init__(self, folder: Path, store_url: str, recorders: Recorders, load: Load, **config: Any) -> None:
        (folder / "console-token-file").write_text(TOKEN)
        self.folder, self.load = folder, load
        settings = {"prices": PRICES, "stream": STREAM, **recorders.config(folder), **config}
        self.site = Site(folder, kafka="127.0.0.1:9", store_url=store_url, config=settings)
        self.engine: Engine = create_engine(store_url)
        self.client = Client(list(load.pieces()))

    def start(self, failpoint: str | None = None, *, ready: bool = True) -> Process:
        """Start the service and point the client at it."""
        process = self.site.run(failpoint, token_file=str(self.folder / "console-token-file"))
        self.client.port = process.port
        if ready:
            assert wait_until(lambda: process.get("/healthz") is not None, WITHIN_S), self.site.tails()
        return process

    def dies(self, process: Process) -> None:
        """Wait until the process has met its failpoint."""
        assert wait_until(lambda: process.popen.poll() is not None, WITHIN_S, BEATS_S), self.site.tails()
        assert process.popen.returncode == KILLED, self.site.tails()

    def forget_leases(self) -> None:
        """As if the dead process's leases had run out: a person waits for that, a test need not."""
        if not inspect(self.engine).get_table_names():  # it died before it had made them
            return
        with self.engine.begin() as connection:
            connection.execute(text("delete from leases"))
            connection.execute(text("update outbox set lease_until = at where lease_until is not null"))

    def settle(self) -> None:
        """Until everything is accepted, in the ledger, and told."""
        self.client.allow()
        self.client.join(WITHIN_S)
        assert self.client.accepted == len(self.client.bodies), self.site.tails()
        self.wait_told()

    def wait_told(self) -> None:
        """Until the checker finds nothing wrong, or its time is over."""
        wait_until(lambda: not self.breaches(), WITHIN_S, every_s=0.3)

    def breaches(self) -> list[str]:
        """What does not hold."""
        return breaches(self.engine, self.load.produced, self.folder, rejects(self.engine))

    def as_without_faults(self) -> tuple[Outcome, Outcome]:
        """What is here, and what `replay` makes of the same events in one run without a fault."""
        log = self.folder / "produced.jsonl"
        log.write_bytes(b"\n".join(self.client.bodies) + b"\n")
        known = self.load.until - LATENESS - timedelta(minutes=1)
        self.site.replay(self.folder / "out", log)
        wanted = of_replay(self.folder / "out", known)
        wait_until(lambda: of_store(self.site.store(), known) == wanted, 60.0, every_s=0.5)
        return of_store(self.site.store(), known), wanted

    def close(self) -> None:
        """Kill what still runs."""
        self.client.given_up.set()
        self.client.allow()
        self.site.close()
        self.engine.dispose()
