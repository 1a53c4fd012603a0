"""`emberwatch run` as a process, a client that sends until it is answered, and what must be true in the end."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx

from store.errors import StoreUnavailable
from store.store import Store
from tests.streams.events import MINUTE, NOTEBOOK, SECOND, gpu, idle_gpu, nano_usd, usage
from tests.support.ports import LOOPBACK, free_ports
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
WITHIN_S = 240.0
TOKEN = "fault-test-token-0123456789abcdef"
NANO_USD_A_BODY = 66_666_666 + 7 + 66_666_666 + 6_500_000
CONFIG = """\
prices:
  gpu: [{{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}}]
  tokens:
    - {{provider: openai, model: gpt-5-mini, from: 2026-01-01, input_usd_per_million: 0.25, output_usd_per_million: 2}}
store: {{{store}}}
console: {{port: {port}, token_file: {folder}/token}}
channels: [{{type: recorder, name: recorder, path: {folder}/told.jsonl}}]
default_route: [recorder]
log: {{format: json}}
"""


class Service:
    """`emberwatch run` on a config, started and ended again and again."""

    def __init__(self, folder: Path, *, store_url: str | None = None, data: Path | None = None) -> None:
        (port,) = free_ports(1)
        self.folder, self.url, self.data = folder, f"http://{LOOPBACK}:{port}", data or folder / "data"
        self.store_url = store_url or f"sqlite:///{self.data}/emberwatch.db"
        store = f"data_dir: {self.data}" + ("" if store_url is None else f', url: "{store_url}"')
        (folder / "token").write_text(TOKEN)
        (folder / "emberwatch.yaml").write_text(CONFIG.format(folder=folder, port=port, store=store))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, before: tuple[str, ...] = (), **environment: str) -> None:
        """Start it and wait until it answers; `before`: a program that runs it."""
        command = [*before, sys.executable, "-c", "from console.cli import main; main()", "run", "--config"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.folder / "emberwatch.yaml")],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        assert wait_until(self.answers, WITHIN_S), (self.folder / "log").read_text()

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=30.0).status_code == 200
        except httpx.TransportError:
            return False

    def checks(self) -> dict[str, str]:
        """The named checks of its readiness; none while it does not answer."""
        try:
            answer: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=30.0).json()
        except httpx.TransportError:
            return {}
        return dict(answer["checks"])

    def ready(self) -> bool:
        return bool(self.checks()) and set(self.checks().values()) == {"ok"}

    def pressure(self) -> set[str]:
        """The reasons for which it says that input waits; none while it does not answer."""
        try:
            text = httpx.get(f"{self.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30.0).text
        except httpx.TransportError:
            return set()
        lines = [line for line in text.splitlines() if line.startswith("emberwatch_backpressure{")]
        return {line.split('"')[1] for line in lines if line.endswith(" 1.0")}

    def said(self) -> list[dict[str, Any]]:
        """What it has logged."""
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def end(self, number: signal.Signals, within_s: float = WITHIN_S) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(within_s)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)


class Client(Thread):
    """Posts each body until it is accepted; one of which it does not know is sent again."""

    def __init__(self, url: str, bodies: list[bytes], every_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.url, self.bodies, self.accepted, self.every_s = f"{url}/api/v1/events", bodies, 0, every_s
        self.answers: Counter[int] = Counter()  # 0: none came
        self.waits: set[str | None] = set()  # that refusals asked for
        self._pause = Event()

    def run(self) -> None:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        for body in self.bodies:
            while not self._post(body, headers):
                self._pause.wait(0.05)
            self.accepted += 1
            self._pause.wait(self.every_s)

    def wait_accepted(self, number: int) -> None:
        assert wait_until(lambda: self.accepted >= number, WITHIN_S, every_s=0.005), (self.accepted, self.answers)

    def _post(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=60.0)
        except httpx.TransportError:
            self.answers[0] += 1
            return False
        self.answers[answer.status_code] += 1
        if answer.status_code in (429, 503):
            self.waits.add(answer.headers.get("retry-after"))
        return answer.status_code == 202


def minute_bodies(number: int, now: datetime | None = None) -> list[bytes]:
    """A request a minute, up to five minutes ago: an idle notebook, a busy server, tokens."""
    now = now or datetime.now(UTC)
    began = now.replace(second=0, microsecond=0) - timedelta(minutes=number + 5)
    made = []
    for place in range(number):
        at = began + place * MINUTE
        events = [
            idle_gpu(at, span_s=60),
            usage(at, cost_usd="0.000000007"),
            gpu(at, device="GPU-2", workload="prod/llm/chat", span_s=60),
            usage(at - SECOND, event_id=f"b{place}", span_s=0),
        ]
        made.append(b"\n".join(json.dumps(event).encode() for event in events))
    return made


def ledger_nano_usd(store_url: str) -> int:
    """Everything in the ledger; -1 where it can't be read just now."""
    try:
        store = Store.open(store_url)
    except StoreUnavailable:
        return -1
    try:
        rows = store.ledger_rows(datetime(2026, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
    except StoreUnavailable:
        return -1
    finally:
        store.close()
    return sum(nano_usd(rows).values())


def assert_as_without_faults(service: Service, bodies: int) -> None:
    """Every dollar once, nothing set aside, one incident, and each message told once."""
    expected = bodies * NANO_USD_A_BODY
    found = wait_until(lambda: ledger_nano_usd(service.store_url) == expected, WITHIN_S)
    assert found, (ledger_nano_usd(service.store_url), expected)
    store = Store.open(service.store_url)
    try:
        assert wait_until(lambda: store.pending_counts() == {} and bool(store.notices(10)), WITHIN_S)
        assert [incident.workload for incident in store.open_incidents()] == [NOTEBOOK]
        assert store.rejects(10) == []
        written = store.notices(1000)
    finally:
        store.close()
    told = [json.loads(line) for line in (service.folder / "told.jsonl").read_text().splitlines()]
    counts = Counter((line["incident_id"], line["reason"], line["at"]) for line in told)
    assert set(counts.values()) == {1}
    assert len(told) == len(written)
