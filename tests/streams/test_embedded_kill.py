"""The embedded service as a process that is killed while events come in: nothing is lost, nothing counted twice."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from store.store import Store
from tests.faults_store.embedded_service import (
    NANO_USD_A_BODY,
    WITHIN_S,
    Client,
    Service,
    assert_as_without_faults,
    ledger_nano_usd,
    minute_bodies,
)
from tests.support.waiting import wait_until

REQUESTS = 120
KILLS = 3


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_what_was_accepted_before_a_kill_is_counted_once_and_told_once(service):
    """Kills come at any moment, not at an answer: between two requests, within a write, within a commit."""
    chance, pause = random.Random(11), Event()
    service.start()
    client = Client(service.url, minute_bodies(REQUESTS))
    client.start()

    for number in range(KILLS):
        client.wait_accepted((number + 1) * REQUESTS // (KILLS + 2))
        pause.wait(chance.uniform(0.0, 0.3))
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
        service.start()
    client.join(WITHIN_S)

    assert client.accepted == REQUESTS
    assert_as_without_faults(service, REQUESTS)
    assert service.end(signal.SIGTERM) == 0
    assert_as_without_faults(service, REQUESTS)


@pytest.mark.slow
def test_what_was_answered_202_is_on_disk_when_the_process_is_killed_at_that_moment(service):
    sent = minute_bodies(40)
    service.start()
    client = Client(service.url, sent)
    client.start()
    client.wait_accepted(25)

    assert service.end(signal.SIGKILL) == -signal.SIGKILL
    accepted = client.accepted

    store = Store.open(service.store_url)
    kept = [row.value for row in store.inbox_read(0, 1000)]
    store.close()
    expected = [line for body in sent[:accepted] for line in body.split(b"\n")]
    assert kept[: len(expected)] == expected
    service.start()
    client.join(WITHIN_S)
    assert client.accepted == 40
    assert wait_until(lambda: ledger_nano_usd(service.store_url) == 40 * NANO_USD_A_BODY, WITHIN_S)
