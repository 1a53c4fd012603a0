"""Workers under load that are killed, stopped and frozen, and what is delivered twice: nothing lost or said twice."""

import signal
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from tests.e2e.site import Process
from tests.faults.conftest import MakeStreamed
from tests.faults.streamed import INSTANCE, STOP_S, WITHIN_S, Streamed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(900)]

ROUNDS = [None, None, "dead_letters_written", None, "after_commit:2", None]  # by surprise, or where it is named
MINUTES_A_ROUND = 8  # of the load, which no worker of an earlier round has seen; one message in seven is malformed
EXIT_CRASHED, EXIT_KILLED = 70, 137
FENCED = {"partition_lost", "partition_released_unwritten"}


def committed(streamed: Streamed) -> int:
    """How many messages the store has."""
    return sum(streamed.site.read().values())


def is_frozen(process: Process) -> bool:
    """Whether it is stopped."""
    return Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def claimed(process: Process) -> set[int]:
    """The partitions that it has claimed."""
    return {line["partition"] for line in process.said() if line["event"] == "partition_claimed"}


def test_killed_again_and_again_and_ended_under_load_it_comes_to_the_same(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    random = Random(20261125)
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.4)
    streamed.feed.upto = 0
    streamed.feed.start()
    for place, failpoint in enumerate(ROUNDS, start=1):
        streamed.feed.upto = place * MINUTES_A_ROUND
        worker = streamed.site.worker(INSTANCE, failpoint)
        if failpoint is None:
            wait_until(lambda: False, random.uniform(0.0, 4.0))
            worker.kill()
        else:
            assert worker.popen.wait(WITHIN_S) == EXIT_KILLED, streamed.site.tails()
    worker = streamed.ready()
    streamed.feed.upto = None
    assert worker.terminate(within_s=STOP_S) == 0

    streamed.finish()
    streamed.assert_holds()


def test_an_error_of_the_database_crashes_the_worker_and_what_comes_twice_counts_once(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.02)
    for there in ("ledger", "charges"):  # at offset 0, and two in a row
        before = committed(streamed)
        with streamed.engine.begin() as connection:
            connection.execute(text(f"alter table {there} rename to away"))
        worker = streamed.site.worker(INSTANCE)
        assert worker.popen.wait(WITHIN_S) == EXIT_CRASHED, streamed.site.tails()
        assert worker.has_said("worker_crashed") or worker.has_said("task_failed")
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


def test_a_worker_that_froze_in_its_commit_past_its_session_is_fenced_when_it_wakes(
    make_streamed: MakeStreamed, kafka_broker: str, postgres_database: str
) -> None:
    streamed = make_streamed(kafka_broker, postgres_database, every_s=0.5)
    frozen = streamed.site.worker(failpoint="in_commit:1:stop")
    streamed.feed.start()
    assert wait_until(lambda: is_frozen(frozen), WITHIN_S), streamed.site.tails()
    at_freeze = committed(streamed)
    heir = streamed.site.worker()
    assert wait_until(lambda: claimed(heir) == {0, 1, 2}, WITHIN_S), streamed.site.tails()
    assert wait_until(lambda: committed(streamed) > at_freeze, WITHIN_S)

    frozen.popen.send_signal(signal.SIGCONT)
    assert wait_until(lambda: bool(FENCED & {line["event"] for line in frozen.said()}), WITHIN_S), streamed.site.tails()
    streamed.finish(anew=False)
    streamed.assert_holds()
    assert heir.terminate(within_s=STOP_S) == 0
