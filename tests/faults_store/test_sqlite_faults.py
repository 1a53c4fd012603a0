"""SQLite is locked by another program, or its disk is full: input waits, says so, goes on; the file stays sound."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults_store.embedded_service import WITHIN_S, Client, Service, assert_as_without_faults, minute_bodies
from tests.support.waiting import wait_until

REQUESTS = 70
WORDS = ("has not answered a write for", "is locked by another program: end")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a disk of its own with 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can't be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def sound(path: Path) -> bool:
    """Whether SQLite finds its file in order, once the service has let go of it."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


def fill(disk: Path) -> Path:
    """Take everything that is left of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return filler


@pytest.mark.slow
def test_input_waits_while_another_program_locks_sqlite_and_nothing_is_lost_or_doubled(service):
    service.start()
    client = Client(service.url, minute_bodies(REQUESTS))
    client.start()
    client.wait_accepted(15)

    other = sqlite3.connect(service.data / "emberwatch.db", isolation_level=None, timeout=30.0)
    other.execute("BEGIN EXCLUSIVE")
    accepted = client.accepted
    said: set[str] = set()

    def says_all() -> bool:
        said.update(service.pressure())
        said.update(words for words in WORDS if words in service.checks().get("store", ""))
        return said >= {"store_slow", "store_unavailable", *WORDS}

    assert wait_until(says_all, WITHIN_S), (said, service.checks())
    assert client.accepted <= accepted + 1
    other.execute("ROLLBACK")
    other.close()

    client.join(WITHIN_S)
    assert client.accepted == REQUESTS
    assert_as_without_faults(service, REQUESTS)
    assert wait_until(service.ready, WITHIN_S), service.checks()
    assert wait_until(lambda: service.pressure() == set(), WITHIN_S), service.pressure()
    assert service.end(signal.SIGTERM) == 0
    assert sound(service.data / "emberwatch.db")


@pytest.mark.slow
def test_input_waits_while_the_disk_is_full_and_the_file_stays_sound(small_disk, tmp_path):
    service = Service(tmp_path, data=small_disk)
    try:
        service.start()
        client = Client(service.url, minute_bodies(REQUESTS))
        client.start()
        client.wait_accepted(15)

        filler = fill(small_disk)
        assert wait_until(lambda: "has no space left: free space" in service.checks().get("store", ""), WITHIN_S)
        assert wait_until(lambda: "store_unavailable" in service.pressure(), WITHIN_S)
        assert wait_until(lambda: client.answers[503] > 0, WITHIN_S), client.answers
        filler.unlink()

        client.join(WITHIN_S)
        assert client.accepted == REQUESTS
        assert set(client.answers) == {202, 503}
        assert_as_without_faults(service, REQUESTS)
        assert wait_until(service.ready, WITHIN_S), service.checks()
        assert "free space on the database's disk" in {line.get("remedy") for line in service.said()}
        assert service.end(signal.SIGTERM) == 0
        assert sound(small_disk / "emberwatch.db")
    finally:
        service.close()
