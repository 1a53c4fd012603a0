"""PostgreSQL goes away, ends sessions and refuses writes while events come in: input waits, says so, and goes on."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults_store.embedded_service import WITHIN_S, Client, Service, assert_as_without_faults, minute_bodies
from tests.support.postgres import Databases, PostgresCluster, driver_address
from tests.support.waiting import wait_until

REQUESTS = 100
END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'emberwatch'"


@pytest.fixture
def cluster(postgres_programs: Path) -> Iterator[PostgresCluster]:
    made = PostgresCluster(postgres_programs)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def service(cluster: PostgresCluster, tmp_path: Path) -> Iterator[Service]:
    url = Databases(cluster.url.render_as_string()).create().replace("postgresql+psycopg", "postgresql")
    made = Service(tmp_path, store_url=url)
    yield made
    made.close()


def say(cluster: PostgresCluster, *commands: str) -> None:
    with psycopg.connect(driver_address(cluster.url), autocommit=True, connect_timeout=10) as connection:
        for command in commands:
            connection.execute(command)


def waits(service: Service, words: str) -> bool:
    return words in service.checks().get("store", "") and service.pressure() >= {"store_unavailable"}


@pytest.mark.slow
def test_input_waits_while_postgresql_is_away_refuses_or_hangs_up_and_nothing_is_lost_or_doubled(cluster, service):
    service.start()
    client = Client(service.url, minute_bodies(REQUESTS), every_s=0.02)
    client.start()

    client.wait_accepted(12)
    cluster.kill()
    assert wait_until(lambda: waits(service, "can't be reached: start the database"), WITHIN_S), service.checks()
    assert wait_until(lambda: client.answers[503] > 0, WITHIN_S), client.answers
    cluster.start()

    client.wait_accepted(35)
    for _ in range(15):
        say(cluster, END_SESSIONS)

    client.wait_accepted(55)
    say(cluster, "alter system set default_transaction_read_only = on", "select pg_reload_conf()")
    assert wait_until(lambda: waits(service, "takes no writes"), WITHIN_S), service.checks()
    say(cluster, "set default_transaction_read_only = off", "alter system reset default_transaction_read_only")
    say(cluster, "select pg_reload_conf()")

    client.wait_accepted(75)
    cluster.stop()
    assert wait_until(lambda: waits(service, "can't be reached"), WITHIN_S), service.checks()
    cluster.start()

    client.join(WITHIN_S)
    assert client.accepted == REQUESTS
    assert set(client.answers) <= {202, 429, 503}
    assert client.answers[503] > 0
    assert client.waits == {"5"}
    assert_as_without_faults(service, REQUESTS)
    assert wait_until(service.ready, WITHIN_S), service.checks()
    assert wait_until(lambda: service.pressure() == set(), WITHIN_S), service.pressure()
    away = [line for line in service.said() if line["event"] == "store_unavailable"]
    assert {line["remedy"].split(",")[0] for line in away} >= {"start the database", "let the database take writes"}
    assert "store_back" in {line["event"] for line in service.said()}
    assert service.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_service_whose_postgresql_is_away_ends_when_told_and_the_next_start_goes_on(cluster, service):
    service.start()
    client = Client(service.url, minute_bodies(60))
    client.start()
    client.wait_accepted(10)
    cluster.kill()
    assert wait_until(lambda: waits(service, "can't be reached"), WITHIN_S), service.checks()

    ended = service.end(signal.SIGTERM)

    assert ended == 0
    cluster.start()
    service.start()
    client.join(WITHIN_S)
    assert client.accepted == 60
    assert_as_without_faults(service, 60)
