"""The service in one process dies at every named boundary and is started again: nothing lost, nothing said twice."""

from pathlib import Path
from random import Random

import pytest

from tests.faults.conftest import MakeEmbedded
from tests.faults.embedded import Embedded
from tests.support.waiting import wait_until

Boundary = tuple[str | None, int]
pytestmark = pytest.mark.slow

# where it dies (None: by surprise), and how many minutes of the load it is given before
SQLITE: list[Boundary] = [
    ("in_migration", 0),
    (None, 3),
    ("inbox_written", 4),
    ("before_commit", 4),
    ("in_commit", 4),
    ("after_commit", 4),
    (None, 6),
    ("snapshot_loaded", 4),
    ("notice_claimed", 24),
    ("notice_sent", 0),
    ("notice_sent:2", 8),
]
POSTGRES: list[Boundary] = [
    ("in_migration", 0),
    ("before_commit", 4),
    ("in_commit", 4),
    ("after_commit:2", 24),
    ("notice_sent", 8),
]


def assert_survives(embedded: Embedded, boundaries: list[Boundary]) -> None:
    """It dies at one boundary after the other, with 137, and comes to what a run without a fault comes to."""
    random = Random(11)
    embedded.client.start()
    for failpoint, minutes in boundaries:
        process = embedded.start(failpoint, ready=failpoint is None)
        embedded.client.allow(minutes)
        if failpoint is None:
            wait_until(lambda: False, random.uniform(0.0, 0.5))
            process.kill()
        else:
            embedded.dies(process)
            assert process.has_said("failpoint_armed")
        embedded.forget_leases()

    last = embedded.start()
    embedded.settle()
    assert embedded.breaches() == []
    here, wanted = embedded.as_without_faults()
    assert here == wanted
    assert {line["kind"] for line in here.identities.values()} == {"idle", "unpriced"}
    assert last.has_said("partition_claimed")
    assert last.terminate() == 0


@pytest.mark.timeout(900)
def test_killed_at_each_boundary_on_sqlite_it_comes_to_the_same(make_embedded: MakeEmbedded, tmp_path: Path) -> None:
    assert_survives(make_embedded(f"sqlite:///{tmp_path}/emberwatch.db"), SQLITE)


@pytest.mark.timeout(900)
def test_killed_at_each_boundary_on_postgresql_it_comes_to_the_same(
    make_embedded: MakeEmbedded, postgres_database: str
) -> None:
    assert_survives(make_embedded(postgres_database), POSTGRES)
