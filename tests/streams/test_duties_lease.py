import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from alerts.channels.recorder import RecorderChannel
from alerts.incidents import SeverityPolicy
from alerts.notices import Outcome, Receipt
from alerts.scale_down import ScaleDownPolicy
from store.errors import StoreError, StoreUnavailable
from store.facts import Facts
from store.store import Store
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.duties import LEASE, TTL_S, Duties
from streams.forecast_duty import ForecastDuty
from streams.metrics import Metrics
from streams.scale_down_duty import ScaleDownDuty
from tests.store.samples import commit, ledger_row, notice
from tests.streams.events import HOUR, SECOND, router
from tests.support.waiting import wait_until

MONDAY = datetime(2026, 3, 9, 10, tzinfo=UTC)


class Process:
    """One process's duties on a shared store."""

    def __init__(self, store: Any, name: str, clock: list[datetime], told: list[dict[str, str]]) -> None:
        recorder = RecorderChannel("slack", told.append)
        self.clock = clock
        self.duties = Duties(
            store,
            delivery=Delivery(store, {"slack": recorder}, lambda: clock[0], name),
            forecasts=ForecastDuty(store, budgets=(), severity=SeverityPolicy(), router=router(), owner=name),
            scale_down=ScaleDownDuty(store, ScaleDownPolicy(), router()),
            digest=DigestDuty(store, budgets=(), channels=("slack",), day="monday", at=time(9), timezone="UTC"),
            metrics=Metrics("test"),
            owner=name,
            clock=lambda: clock[0],
            act_every_s=0.0,
        )


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    rows = [ledger_row(hour=MONDAY - timedelta(days=5) + number * HOUR, nano_usd=10**9) for number in range(48)]
    commit(opened, Facts(ledger=rows))
    yield opened
    opened.close()


@pytest.fixture
def told() -> list[dict[str, str]]:
    return []


def test_of_two_processes_one_does_everything_once(store, told):
    clock = [MONDAY]
    one, two = (Process(store, name, clock, told) for name in ("one", "two"))
    store.enqueue([notice("n1"), notice("n2", 1)])

    for _ in range(4):
        one.duties.run_due()
        two.duties.run_due()
        clock[0] += SECOND

    assert (one.duties.holds, two.duties.holds) == (True, False)
    assert len(told) == 3
    assert sorted(line["reason"] for line in told) == ["first_time", "first_time", "weekly"]
    assert store.pending_counts() == {}


def test_another_takes_over_once_the_lease_has_run_out_and_says_nothing_twice(store, told):
    clock = [MONDAY]
    one, two = (Process(store, name, clock, told) for name in ("one", "two"))
    one.duties.run_due()
    clock[0] += timedelta(seconds=TTL_S - 1)
    two.duties.run_due()
    assert not two.duties.holds

    clock[0] += 2 * SECOND
    store.enqueue([notice("n1")])
    two.duties.run_due()
    one.duties.run_due()

    assert (one.duties.holds, two.duties.holds) == (False, True)
    assert sorted(line["reason"] for line in told) == ["first_time", "weekly"]


def test_restarts_over_a_week_write_the_digest_once_a_week(store, told):
    clock = [MONDAY]
    for number in range(12):
        Process(store, f"run-{number}", clock, told).duties.run_due()
        clock[0] += timedelta(hours=14)

    assert [line["at"] for line in told if line["reason"] == "weekly"] == ["2026-03-09T09:00:00+00:00"]


def test_a_clean_end_gives_the_lease_back_at_once(store, told):
    clock, stop = [MONDAY], threading.Event()
    one, two = (Process(store, name, clock, told) for name in ("one", "two"))
    thread = threading.Thread(target=one.duties.run, args=(stop, 0.01))
    thread.start()
    assert wait_until(lambda: one.duties.holds, 120, every_s=0.01)
    two.duties.run_due()
    assert not two.duties.holds

    stop.set()
    thread.join(120)

    two.duties.run_due()
    assert two.duties.holds


def test_while_the_store_is_away_nothing_is_done_and_then_it_goes_on(store, told):
    class Away:
        away = True

        def __getattr__(self, name: str) -> Any:
            if self.away:
                raise StoreUnavailable("away")
            return getattr(store, name)

    flaky = Away()
    one = Process(flaky, "one", [MONDAY], told)
    store.enqueue([notice("n1")])

    one.duties.run_due()
    assert (one.duties.holds, told) == (False, [])
    flaky.away = False
    one.duties.run_due()

    assert one.duties.holds
    assert "first_time" in {line["reason"] for line in told}


def test_a_fault_in_one_duty_is_said_and_stops_no_other(store, told):
    one = Process(store, "one", [MONDAY], told)
    store.enqueue([notice("n1")])

    def broken(now: datetime) -> list[Any]:
        raise ZeroDivisionError

    one.duties.scale_down.run = broken  # type: ignore[method-assign]
    one.duties.run_due()
    one.duties.run_due()

    assert one.duties.unwell() == "scale_down failed: ZeroDivisionError"
    assert sorted(line["reason"] for line in told) == ["first_time", "weekly"]


def test_a_fault_in_a_round_is_said_and_the_thread_goes_on(store, told):
    clock, stop, rounds = [MONDAY], threading.Event(), []
    one = Process(store, "one", clock, told)

    def broken(now: datetime) -> None:
        rounds.append(now)
        raise ZeroDivisionError

    real = store.acquire_lease

    def damaged(*given: Any) -> bool:
        if not rounds:
            rounds.append(MONDAY)
            raise StoreError("the database refused")
        return real(*given)

    store.acquire_lease = damaged
    one.duties.forecasts.take_over = broken  # type: ignore[method-assign]
    thread = threading.Thread(target=one.duties.run, args=(stop, 0.01))
    thread.start()
    try:
        assert wait_until(lambda: len(rounds) >= 3, 120, every_s=0.01)
        assert one.duties.unwell() == "slow duties failed: ZeroDivisionError"
        assert one.duties.holds
    finally:
        stop.set()
        thread.join(120)


def test_who_lost_the_lease_while_sending_does_not_act(store, told):
    clock = [MONDAY]
    one, two = (Process(store, name, clock, told) for name in ("one", "two"))
    acted: list[datetime] = []
    one.duties.scale_down.run = acted.append  # type: ignore[method-assign,assignment]

    def slowly(may_send: object) -> int:
        clock[0] += timedelta(seconds=TTL_S + 1)
        two.duties.run_fast()
        return 0

    one.duties.delivery.deliver_due = slowly  # type: ignore[method-assign]
    one.duties.run_fast()

    assert (acted, one.duties.holds, two.duties.holds) == ([], False, True)


def test_a_notice_that_was_being_sent_when_its_process_died_is_sent_by_the_next(store, told):
    clock = [MONDAY]
    store.enqueue([notice("n1")])
    assert store.acquire_lease(LEASE, "dead", MONDAY, TTL_S)
    assert len(store.claim_notices("slack", "dead", MONDAY, 30.0, 10)) == 1
    two = Process(store, "two", clock, told)

    two.duties.run_due()
    assert told == []
    clock[0] += timedelta(minutes=2)
    two.duties.run_due()

    assert [line["reason"] for line in told if line["reason"] == "first_time"] == ["first_time"]
    assert store.settle_notice("n1", Receipt(outcome=Outcome.DELIVERED), clock[0], owner="dead") is False
