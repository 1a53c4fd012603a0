"""The service as it is built from a config: buttons, pictures, presses, and who decides whether to speak."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from starlette.testclient import TestClient

from alerts.incidents import Severity, Step, Transition
from alerts.matching import Matcher
from alerts.notices import Reason
from alerts.reasons import Hush
from alerts.silences import silence
from console import assemble
from console.fakes.slack import CHANNEL, FakeSlack
from console.service import Parts
from console.settings import Settings, load_settings
from detectors.findings import Kind
from store.facts import Facts
from tests.console.slack.pressing import SIGNING, TOKEN, Room, asks
from tests.store.samples import CHAT, incident, ledger_row

CONFIG = """\
channels:
  - type: slack
    name: costs
    channel: {channel}
    token_file: token
    signing_secret_file: signing
    base_url: {base_url}
    operators: [U0ANA]
store: {{data_dir: {data}}}
"""


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack(token=TOKEN) as server:
        yield server


@pytest.fixture
def settings(slack: FakeSlack, tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "signing").write_text(SIGNING)
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.format(channel=CHANNEL, base_url=slack.base_url, data=tmp_path / "data"))
    return load_settings(config)


def test_an_incident_is_told_with_buttons_and_a_picture_and_pressed_through_the_door(
    settings: Settings, slack: FakeSlack
) -> None:
    now = assemble.now_utc().replace(microsecond=0)
    parts = Parts(settings, "test")
    try:
        hour = now.replace(minute=0, second=0)
        spend = [ledger_row(hour=hour - timedelta(hours=n), workload=CHAT) for n in (1, 2)]
        found = incident(began_at=now - timedelta(hours=1), detected_at=now, updated_at=now, severity=Severity.WARN)
        hushed = incident(incident_id="inc_b", fingerprint="b", kind=Kind.WASTE, detected_at=now, updated_at=now)
        parts.store.add_silence(
            silence([Matcher.parse("kind=waste")], starts_at=now, ends_at=now + timedelta(hours=1), by="ana", now=now)
        )
        notices = [
            notice
            for one in (hushed, found)
            for notice in parts.router.decide(Transition(incident=one, step=Step.OPENED, reason=Reason.FIRST_TIME))
        ]
        epoch = parts.store.claim_partition(0, "me", now).epoch
        facts = Facts(incidents=[hushed, found], notices=notices, ledger=spend)
        parts.store.commit(0, epoch, facts, snapshot=None, offsets={}, now=now)
        parts.duties(Console()).run_fast()

        (message,) = slack.parents()
        assert asks(message) == ["acknowledge", "snooze", "expected"]
        (picture,) = slack.files.values()
        assert (picture["body"][:8], picture["shared"]) == (b"\x89PNG\r\n\x1a\n", (CHANNEL, message.ts))
        assert [row.hushed for row in parts.store.notices(9)] == [None, Hush.SILENCED]

        room = Room.__new__(Room)
        room.slack, room.moves, room.now = slack, 0, assemble.now_utc()
        room.client = TestClient(parts.app("a-token-of-the-console", None))
        refused = room.post(room.payload(message, "acknowledge"), secret="another")
        taken = room.post(room.payload(message, "acknowledge"))
        assert (refused.status_code, taken.status_code) == (401, 200)
        assert parts.store.incident("inc_a").acknowledged_by == "slack:U0ANA"
    finally:
        parts.close()
