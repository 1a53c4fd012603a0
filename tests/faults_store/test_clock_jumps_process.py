"""The wall clock of a real process jumps by an hour and by a day while events come in."""

import signal
from pathlib import Path

import pytest

from tests.faults_store.embedded_service import WITHIN_S, Client, Service, assert_as_without_faults, minute_bodies
from tests.support.waiting import wait_until

REQUESTS = 80


@pytest.fixture
def faketime() -> str:
    """The library that changes a process's clock."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed; Debian's package is called libfaketime")
    return str(found[0])


@pytest.mark.slow
def test_a_clock_that_jumps_ahead_and_back_loses_nothing_and_tells_nothing_twice(faketime, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    service = Service(tmp_path)
    try:
        service.start(
            LD_PRELOAD=faketime,
            FAKETIME_TIMESTAMP_FILE=str(clock),
            FAKETIME_CACHE_DURATION="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        client = Client(service.url, minute_bodies(REQUESTS), every_s=0.06)
        client.start()
        for accepted, jump in ((15, "+1h"), (35, "+0"), (45, "+1d"), (65, "+0")):
            client.wait_accepted(accepted)
            clock.write_text(f"{jump}\n")
        client.join(WITHIN_S)

        assert client.accepted == REQUESTS
        assert_as_without_faults(service, REQUESTS)
        assert wait_until(service.ready, WITHIN_S), service.checks()
        assert service.end(signal.SIGTERM) == 0
    finally:
        service.close()
