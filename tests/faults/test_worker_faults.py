"""Workers under load that are killed, stopped, frozen and multiplied: nothing lost, nothing said twice."""

import signal
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from tests.faults.conftest import MakeStreamed
from tests.faults.streamed import INSTANCE, WITHIN_S, Streamed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(250)]

ROUNDS = 6
EXIT_CRASHED = 70


def pause(seconds: float) -> None:
    """Let the load flow on."""
    wait_until(lambda: False, seconds)


def committed(streamed: Streamed) -> int:
    """How many messages the store has."""
    return sum(streamed.site.read().values())


def test_killed_at_random_points_and_ended_under_load_it_comes_to_the_same(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    random = Random(20261125)
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.25)
    worker = streamed.site.worker(INSTANCE)
    streamed.feed.start()
    for _ in range(ROUNDS - 1):
        pause(random.uniform(0.0, 3.0))
        worker.kill()
        worker = streamed.site.worker(INSTANCE)
    assert wait_until(worker.ready, WITHIN_S), streamed.site.tails()
    assert worker.terminate(within_s=10.0) == 0

    streamed.finish()
    streamed.assert_holds()


def test_an_error_of_the_database_crashes_the_worker_and_the_slice_is_read_again(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.02)
    worker = streamed.ready()
    before = committed(streamed)
    for away, back in (("ledger", "ledger_away"), ("outbox", "outbox_away")):  # two in a row, the first at the start
        with streamed.engine.begin() as connection:
            connection.execute(text(f"alter table {away} rename to {back}"))
        if not streamed.feed.is_alive():
            streamed.feed.start()
        assert worker.popen.wait(WITHIN_S) == EXIT_CRASHED, streamed.site.tails()
        assert worker.has_said("worker_crashed")
        assert committed(streamed) == before
        with streamed.engine.begin() as connection:
            connection.execute(text(f"alter table {back} rename to {away}"))
        worker = streamed.site.worker(INSTANCE)
    streamed.feed.join(WITHIN_S)
    streamed.site.wait_read(WITHIN_S)

    for piece in streamed.feed.pieces:  # the whole log again: every message lies there twice
        assert streamed.feed.send(piece)
    streamed.finish()
    streamed.assert_holds()


def test_a_worker_that_was_frozen_past_its_session_is_fenced_when_it_wakes(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.4)
    frozen = streamed.ready(instance=None)
    streamed.feed.start()
    assert wait_until(lambda: committed(streamed) > 50, WITHIN_S)
    frozen.popen.send_signal(signal.SIGSTOP)
    heir = streamed.site.worker()
    assert wait_until(lambda: len(streamed.site.owners()) == 1 and heir.has_said("partition_claimed"), WITHIN_S)
    assert wait_until(lambda: sum(line["event"] == "partition_claimed" for line in heir.said()) == 3, WITHIN_S)
    at_takeover = committed(streamed)
    assert wait_until(lambda: committed(streamed) > at_takeover, WITHIN_S)

    frozen.popen.send_signal(signal.SIGCONT)
    lost = {"partition_lost", "partition_released_unwritten"}
    assert wait_until(lambda: bool(lost & {line["event"] for line in frozen.said()}), WITHIN_S), streamed.site.tails()
    streamed.finish()
    streamed.assert_holds()


def test_workers_that_come_and_go_hand_over_what_they_have(
    make_streamed: MakeStreamed, kafka_broker: str, tmp_path: Path
) -> None:
    random = Random(6)
    streamed = make_streamed(kafka_broker, f"sqlite:///{tmp_path}/emberwatch.db", every_s=0.3)
    running = [streamed.site.worker() for _ in range(2)]
    streamed.feed.start()
    for _ in range(4):
        pause(random.uniform(2.0, 4.0))
        running.append(streamed.site.worker())
        gone = running.pop(0)
        if random.random() < 0.5:
            gone.kill()
        else:
            assert gone.terminate(within_s=10.0) in (0, -signal.SIGTERM)

    streamed.finish()
    streamed.assert_holds()
