"""The Kafka door, end to end: the same log gives the same incidents, messages and dollars as `replay`."""

from random import Random

import pytest

from tests.e2e.conftest import BENCHMARK_KNOWN_UNTIL, Benchmark, MakeSite
from tests.e2e.outcome import of_store
from tests.e2e.site import Site
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

READY_S = 180.0
READ_S = 300.0
DUTIES_S = 240.0  # budgets are looked at every 30 s


def assert_same(site: Site, bench: Benchmark) -> None:
    """Once budgets have been judged, the store holds what `replay` wrote.

    Both are compared as of the last minute that workers can know to be complete: no later event closes those after
    it, and only `replay` knows that none will come.
    """

    def found() -> bool:
        return of_store(site.store(), BENCHMARK_KNOWN_UNTIL) == bench.replayed

    wait_until(found, DUTIES_S, every_s=1.0)
    here = of_store(site.store(), BENCHMARK_KNOWN_UNTIL)
    assert here.nano_usd == bench.replayed.nano_usd
    assert here.identities == bench.replayed.identities
    assert here.ended == bench.replayed.ended
    assert here.messages == bench.replayed.messages
    assert {line["kind"] for line in here.identities.values()} >= {"idle", "anomaly", "budget", "data_gap", "unpriced"}


def read_share(site: Site, bench: Benchmark) -> float:
    """How much of the log the store has, 0 to 1."""
    return sum(site.read().values()) / sum(bench.ends.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_log_gives_the_same_incidents_and_dollars_as_replay(make_site: MakeSite, bench: Benchmark) -> None:
    site = make_site(config=bench.config, topics=bench.topics)
    worker = site.worker()
    assert wait_until(worker.ready, READY_S), site.tails()

    site.wait_read(READ_S)
    assert_same(site, bench)

    assert worker.terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_three_moments_it_comes_to_the_same(make_site: MakeSite, bench: Benchmark) -> None:
    site = make_site(config=bench.config, topics=bench.topics)
    random = Random(20261124)
    worker = site.worker("a")
    for share in sorted(random.uniform(0.05, 0.95) for _ in range(3)):
        assert wait_until(lambda share=share: read_share(site, bench) >= share, READ_S, every_s=0.02), site.tails()
        worker.kill()
        worker = site.worker("a")

    site.wait_read(READ_S)
    assert_same(site, bench)

    notices = [entry.notice for entry in site.store().notices(100_000)]
    assert len({(one.channel, one.subject_id, one.transition) for one in notices}) == len(notices)
    assert worker.terminate() == 0
