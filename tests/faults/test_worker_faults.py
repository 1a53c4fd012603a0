"""Workers under load that are killed, stopped and frozen, and what is delivered twice: nothing lost or said twice."""

import signal
from random import Random

import pytest
from sqlalchemy import text

from tests.faults.conftest import MakeStreamed
from tests.faults.streamed import INSTANCE, STOP_S, WITHIN_S, Streamed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(250)]

ROUNDS = [None, None, "dead_letters_written", None, "after_commit:2", None]  # by surprise, or where it is named
EXIT_CRASHED, EXIT_KILLED = 70, 137
FENCED = {"partition_lost", "partition_released_unwritten"}


def committed(streamed: Streamed) -> int:
    """How many messages the store has."""
    return sum(streamed.site.read().values())


def test_killed_again_and_again_and_ended_under_load_it_comes_to_the_same(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    random = Random(20261125)
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.4)
    streamed.feed.start()
    for failpoint in ROUNDS:
        worker = streamed.site.worker(INSTANCE, failpoint)
        if failpoint is None:
            wait_until(lambda: False, random.uniform(0.0, 4.0))
            worker.kill()
        else:
            assert worker.popen.wait(WITHIN_S) == EXIT_KILLED, streamed.site.tails()
    worker = streamed.ready()
    assert worker.terminate(within_s=STOP_S) == 0

    streamed.finish()
    streamed.assert_holds()


def test_an_error_of_the_database_crashes_the_worker_and_what_comes_twice_counts_once(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.02)
    for there in ("ledger", "snapshots"):  # at offset 0, and two in a row
        before = committed(streamed)
        with streamed.engine.begin() as connection:
            connection.execute(text(f"alter table {there} rename to away"))
        worker = streamed.site.worker(INSTANCE)
        assert worker.popen.wait(WITHIN_S) == EXIT_CRASHED, streamed.site.tails()
        assert worker.has_said("worker_crashed")
        assert committed(streamed) == before == 0
        with streamed.engine.begin() as connection:
            connection.execute(text(f"alter table away rename to {there}"))
    streamed.ready()
    streamed.feed.start()
    streamed.feed.join(WITHIN_S)

    for piece in streamed.feed.pieces:  # the whole log again
        assert streamed.feed.send(piece)
    streamed.finish(anew=False)
    streamed.assert_holds()


def test_a_worker_that_was_frozen_past_its_session_is_fenced_when_it_wakes(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.5)
    frozen = streamed.ready(instance=None)
    streamed.feed.start()
    assert wait_until(lambda: committed(streamed) > 50, WITHIN_S)
    frozen.popen.send_signal(signal.SIGSTOP)
    heir = streamed.ready(instance=None)
    assert wait_until(lambda: sum(line["event"] == "partition_claimed" for line in heir.said()) == 3, WITHIN_S)
    at_takeover = committed(streamed)
    assert wait_until(lambda: committed(streamed) > at_takeover, WITHIN_S)

    frozen.popen.send_signal(signal.SIGCONT)
    assert wait_until(lambda: bool(FENCED & {line["event"] for line in frozen.said()}), WITHIN_S), streamed.site.tails()
    streamed.finish(anew=False)
    streamed.assert_holds()
    assert heir.terminate(within_s=STOP_S) == 0
