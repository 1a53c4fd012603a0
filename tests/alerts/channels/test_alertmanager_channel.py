"""Alertmanager: labels, ends and repeats; with Debian's real one, where it is installed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from msgspec.structs import replace

from alerts.channels.alertmanager import AlertmanagerChannel, alert_of
from alerts.channels.posting import Poster
from alerts.incidents import Incident, Severity
from alerts.notices import Outcome, Reason
from tests.alerts.samples import EVERY_KIND, IDLE, NOW, notice_of, notice_of_digest
from tests.support.missing import do_without
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

GOLDEN = Path(__file__).parents[1] / "golden"
LINK = "https://emberwatch.example"
DIRECT = build_opener(ProxyHandler({}))


class Server:
    """A real Alertmanager."""

    def __init__(self, url: str) -> None:
        self.url = url

    def alerts(self) -> dict[str, str]:
        """What is known, by incident and severity: its state."""
        with DIRECT.open(f"{self.url}/api/v2/alerts?active=true&silenced=true", timeout=10) as answer:
            found = json.load(answer)
        return {f"{one['labels']['incident_id']} {one['labels']['severity']}": one["status"]["state"] for one in found}

    def up(self) -> bool:
        try:
            with DIRECT.open(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        do_without("Alertmanager", "neither prometheus-alertmanager nor alertmanager is on PATH (apt-get install it)")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    (port,) = free_ports(1)
    arguments = [
        *(f"--config.file={config}", f"--storage.path={tmp_path}/data", "--cluster.listen-address="),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = Server(f"http://127.0.0.1:{port}")
    try:
        assert wait_until(found.up, 100)
        yield found
    finally:
        process.kill()
        process.wait(30)


def channel_to(url: str) -> AlertmanagerChannel:
    return AlertmanagerChannel("am", poster=Poster(url, inside=True), link_base=LINK)


@pytest.mark.parametrize("incident", EVERY_KIND, ids=lambda one: one.kind)
def test_each_kind_is_told_as_it_always_was(incident: Incident) -> None:
    golden = json.loads((GOLDEN / f"alertmanager_{incident.kind}.json").read_text(encoding="utf-8"))

    assert alert_of(incident, NOW, LINK) == golden


def test_an_alert_ends_in_five_minutes_unless_it_has_ended() -> None:
    ended = replace(IDLE, resolved_at=NOW - timedelta(minutes=1))

    assert alert_of(IDLE, NOW, None)["endsAt"] == "2026-11-23T21:05:00.000Z"
    assert alert_of(ended, NOW, None)["endsAt"] == "2026-11-23T20:59:00.000Z"
    later = replace(IDLE, resolved_at=NOW + timedelta(hours=1))  # by a clock that runs ahead
    assert alert_of(later, NOW, None)["endsAt"] == "2026-11-23T21:00:00.000Z"


def test_a_digest_is_refused_in_words_and_no_server_is_a_retry() -> None:
    channel = channel_to(f"http://127.0.0.1:{free_ports(1)[0]}")

    assert channel.send(notice_of_digest(), None).outcome is Outcome.REFUSED
    lost = channel.send(notice_of(IDLE), None)
    assert (lost.outcome, "127.0.0.1" in lost.detail) == (Outcome.RETRY, False)
    channel.close()


def test_a_real_alertmanager_takes_it_keeps_it_and_lets_it_end(server: Server) -> None:
    channel, now = channel_to(server.url), datetime.now(UTC)
    lately = replace(IDLE, began_at=now - timedelta(hours=1), detected_at=now, updated_at=now)
    many = [replace(lately, incident_id=f"inc_{n}", severity=Severity.WARN) for n in range(1200)]

    sent = channel.send(notice_of(lately), None)
    assert (sent.outcome, sent.reference) == (Outcome.DELIVERED, lately.incident_id)
    assert channel.send(notice_of(lately), sent.reference) == sent
    assert channel.refresh(many, now).outcome is Outcome.DELIVERED
    known = server.alerts()
    assert (len(known), known[f"{lately.incident_id} critical"]) == (1201, "active")

    over = replace(lately, resolved_at=now, transition=1)
    assert channel.send(notice_of(over, Reason.RESOLVED), sent.reference).outcome is Outcome.DELIVERED
    assert f"{lately.incident_id} critical" not in server.alerts()
    channel.close()
