"""The embedded service as a process that is killed while events come in: nothing is lost, nothing counted twice."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from store.errors import StoreUnavailable
from store.store import Store
from tests.streams.events import MINUTE, NOTEBOOK, SECOND, gpu, idle_gpu, nano_usd, usage
from tests.support.ports import LOOPBACK, free_ports
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
WITHIN_S = 40.0
REQUESTS = 150
TOKEN = "kill-test-token-0123456789abcdef"
CONFIG = """\
prices:
  gpu: [{{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}}]
  tokens:
    - {{provider: openai, model: gpt-5-mini, from: 2026-01-01, input_usd_per_million: 0.25, output_usd_per_million: 2}}
store: {{data_dir: {folder}/data}}
console: {{port: {port}, token_file: {folder}/token}}
channels: [{{type: recorder, name: recorder, path: {folder}/told.jsonl}}]
default_route: [recorder]
"""


class Service:
    """`emberwatch run` on a config, started and killed again and again."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.folder, self.url = folder, f"http://{LOOPBACK}:{port}"
        (folder / "token").write_text(TOKEN)
        (folder / "emberwatch.yaml").write_text(CONFIG.format(folder=folder, port=port))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", "from console.cli import main; main()", "run", "--config"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.folder / "emberwatch.yaml")], cwd=ROOT, stdout=log, stderr=log
            )
        assert wait_until(self.answers, WITHIN_S), (self.folder / "log").read_text()

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5.0).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(WITHIN_S)


class Client(Thread):
    """Posts each body until it is accepted; a body of which it does not know is sent again."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.url, self.bodies, self.accepted, self.tries = f"{url}/api/v1/events", bodies, 0, 0
        self._pause = Event()

    def run(self) -> None:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        for body in self.bodies:
            while not self._post(body, headers):
                self._pause.wait(0.05)
            self.accepted += 1

    def _post(self, body: bytes, headers: dict[str, str]) -> bool:
        self.tries += 1
        try:
            return httpx.post(self.url, content=body, headers=headers, timeout=10.0).status_code == 202
        except httpx.TransportError:
            return False


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def bodies(began: datetime) -> list[bytes]:
    """A request a minute: an idle notebook, a busy server, tokens."""
    made = []
    for number in range(REQUESTS):
        at = began + number * MINUTE
        events = [
            idle_gpu(at, span_s=60),
            usage(at, cost_usd="0.000000007"),
            gpu(at, device="GPU-2", workload="prod/llm/chat", span_s=60),
            usage(at - SECOND, event_id=f"b{number}", span_s=0),
        ]
        made.append(b"\n".join(json.dumps(event).encode() for event in events))
    return made


def ledger_nano_usd(folder: Path) -> int:
    store = Store.open(f"sqlite:///{folder}/data/emberwatch.db")
    try:
        rows = store.ledger_rows(datetime(2026, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
    except StoreUnavailable:
        return -1
    finally:
        store.close()
    return sum(nano_usd(rows).values())


@pytest.mark.slow
def test_what_was_accepted_before_a_kill_is_counted_once_and_told_once(service, tmp_path):
    moments = sorted(random.Random(11).sample(range(5, REQUESTS - 10), 3))
    began = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=REQUESTS + 5)
    expected = REQUESTS * (66_666_666 + 7 + 66_666_666 + 6_500_000)
    service.start()
    client = Client(service.url, bodies(began))
    client.start()

    for moment in moments:
        assert wait_until(lambda moment=moment: client.accepted >= moment, WITHIN_S, every_s=0.005)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
        service.start()
    client.join(WITHIN_S)

    assert client.accepted == REQUESTS
    assert wait_until(lambda: ledger_nano_usd(tmp_path) == expected, WITHIN_S), ledger_nano_usd(tmp_path)
    store = Store.open(f"sqlite:///{tmp_path}/data/emberwatch.db")
    try:
        assert wait_until(lambda: store.pending_counts() == {} and bool(store.notices(10)), WITHIN_S)
        assert [incident.workload for incident in store.open_incidents()] == [NOTEBOOK]
        written = store.notices(1000)
    finally:
        store.close()
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    counts = Counter((line["incident_id"], line["reason"], line["at"]) for line in told)
    assert set(counts.values()) == {1}
    assert len(told) == len(written)
    assert service.end(signal.SIGTERM) == 0
    assert ledger_nano_usd(tmp_path) == expected
