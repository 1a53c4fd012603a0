"""`emberwatch run` as a process: events in by HTTP, one message out, a clean end, and no message twice."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.exits import ExitCode
from tests.console.processes import Running, emberwatch
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

TOKEN = "correct-horse-battery-staple"
CONFIG = """\
prices: {{gpu: [{{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}}]}}
channels: [{{type: recorder, name: book, path: {folder}/told.jsonl}}]
stream: {{allowed_lateness: 5s}}
store: {{data_dir: {folder}/data}}
console: {{port: {port}, token_file: {folder}/token}}
"""
NDJSON = {"content-type": "application/x-ndjson"}
STEP = timedelta(seconds=30)


class Service:
    """A config, and the process that runs it."""

    def __init__(self, folder: Path) -> None:
        """Write the config."""
        (self.port,) = free_ports(1)
        self.folder, self.config, self.url = folder, folder / "c.yaml", f"http://127.0.0.1:{self.port}"
        (folder / "token").write_text(TOKEN)
        self.config.write_text(CONFIG.format(folder=folder, port=self.port))
        self.running: Running | None = None

    def start(self, name: str) -> Running:
        """Start it, and wait for its address."""
        self.running = Running(self.folder / name, "run", "--config", str(self.config))
        self.running.wait_for(f"Console: {self.url}/", 30)
        return self.running

    def post(self, body: Any, token: str = TOKEN, **headers: str) -> httpx.Response:
        """Events in: a value as JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        wanted = {"content-type": "application/json", "authorization": f"Bearer {token}", **headers}
        return httpx.post(f"{self.url}/api/v1/events", content=raw, headers=wanted, timeout=60)

    def told(self) -> list[dict[str, str]]:
        """What the recorder wrote down."""
        path = self.folder / "told.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def incidents(self) -> list[dict[str, Any]]:
        """What the command line shows."""
        shown = emberwatch("incidents", "--config", str(self.config), "--json")
        assert (shown.returncode, shown.stderr) == (0, "")
        return json.loads(shown.stdout)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    if made.running is not None:
        made.running.kill()


def idle(start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Samples of two accelerators that do nothing."""
    return [
        {
            "type": "gpu_sample", "at": (start + STEP * place).isoformat(), "span_s": 30, "workload": "c/n/notebook",
            "team": "vision", "device": f"GPU-{number}", "gpu_model": "NVIDIA H100 80GB HBM3", "util_ratio": 0.0,
            "sm_active_ratio": 0.0, "power_w": 70.0, "memory_used_bytes": 1, "memory_total_bytes": 80,
        }
        for place in range(int((end - start) / STEP) + 1)
        for number in range(2)
    ]  # fmt: skip


def eventually(holds: Callable[[], bool], within_s: float = 240.0) -> bool:
    return wait_until(holds, within_s)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_events_come_in_and_one_message_goes_out_over_a_restart(service: Service):
    running = service.start("first")
    now = datetime.now(UTC).replace(microsecond=0, second=0)
    past = idle(now - timedelta(minutes=50), now - timedelta(minutes=4))

    answers = [
        service.post(past[0]),
        service.post(past[1:20]),
        service.post(b"\n".join(json.dumps(sample).encode() for sample in past[20:]), **NDJSON),
    ]
    refused = [service.post(past[0], token="wrong"), service.post(b'{"type": "gpu_sam')]
    said = eventually(lambda: bool(service.told()))
    told = service.told()
    code = running.stop()

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (202, {"accepted": 1}),
        (202, {"accepted": 19}),
        (202, {"accepted": len(past) - 20}),
    ]
    assert [answer.status_code for answer in refused] == [401, 400]
    assert said, running.err
    assert len(told) == 1
    assert told[0]["title"].startswith("$8.00/h wasted: 2x NVIDIA H100 80GB HBM3 idle ")
    assert code == ExitCode.OK
    assert "Traceback" not in running.err
    assert TOKEN not in running.out + running.err

    (before,) = service.incidents()
    again = service.start("second")
    accepted = service.post(idle(now - timedelta(minutes=4) + STEP, now - timedelta(minutes=2)))
    went_on = eventually(lambda: service.incidents()[0]["updated_at"] > before["updated_at"])
    (after,) = service.incidents()
    code = again.stop()

    assert accepted.status_code == 202
    assert went_on, again.err
    assert (after["incident_id"], after["began_at"]) == (before["incident_id"], before["began_at"])
    assert after["usd_so_far"] > before["usd_so_far"]
    assert service.told() == told
    assert (code, "Traceback" in again.err) == (ExitCode.OK, False)
