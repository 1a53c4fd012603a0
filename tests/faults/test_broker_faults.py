"""A broker that is slow, silent, rude, stopped and killed: it is waited for, and nothing is lost or said twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import MakeStreamed
from tests.faults.streamed import Streamed
from tests.support.kafka_broker import KafkaBroker
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

RECOVERY_S = 30.0


@pytest.fixture
def broker(tmp_path: Path, kafka_programs: Path) -> Iterator[tuple[KafkaBroker, TcpProxy]]:
    """A broker of the test's own, which all clients reach through a proxy."""
    made = KafkaBroker(tmp_path / "kafka", kafka_programs)
    with TcpProxy(made.port) as proxy:
        made.advertised = proxy.address
        made.start()
        yield made, proxy
        made.stop()


def recovers(streamed: Streamed) -> bool:
    """Whether the store moves on within the time that is promised."""
    before = sum(streamed.site.read().values())
    return wait_until(lambda: sum(streamed.site.read().values()) > before, RECOVERY_S)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_a_broker_that_fails_in_every_way_is_waited_for(
    make_streamed: MakeStreamed, broker: tuple[KafkaBroker, TcpProxy], postgres_database: str
) -> None:
    kafka, proxy = broker
    streamed = make_streamed(proxy.address, postgres_database, every_s=0.8)
    worker = streamed.ready()
    streamed.feed.start()
    assert recovers(streamed)

    proxy.latency_s, proxy.piece_bytes = 0.5, 200
    assert recovers(streamed), streamed.site.tails()
    proxy.latency_s, proxy.piece_bytes = 0.0, 16_384

    proxy.freeze()
    wait_until(lambda: False, 4.0)
    proxy.thaw()
    assert recovers(streamed), streamed.site.tails()

    proxy.reset()
    assert recovers(streamed), streamed.site.tails()

    kafka.stop()
    kafka.start()
    assert recovers(streamed), streamed.site.tails()

    kafka.kill()
    kafka.start()
    assert recovers(streamed), streamed.site.tails()

    assert worker.popen.poll() is None  # none of it ended the worker
    streamed.finish(anew=False)
    streamed.assert_holds()
    assert worker.terminate(within_s=10.0) == 0
