"""The wall clock jumps while the service runs: nothing seems idle, nothing is told twice, nothing is missed."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from alerts.channels.recorder import RecorderChannel
from alerts.incidents import SeverityPolicy
from alerts.notices import Notice, Outcome, Receipt
from alerts.scale_down import ScaleDownPolicy
from store.facts import Facts
from store.store import Store
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.duties import Duties
from streams.embedded import Embedded
from streams.forecast_duty import ForecastDuty
from streams.keeper import Keeper
from streams.metrics import Metrics
from streams.scale_down_duty import ScaleDownDuty
from tests.store.samples import commit, ledger_row, notice
from tests.streams.events import HOUR, MINUTE, NOON, SECOND, Log, encoded, gpu, nano_usd, pipeline, router

MONDAY = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
JUMPS = [HOUR, -HOUR, timedelta(days=1), -timedelta(days=1)]
SAMPLE_NANO_USD = 33_333_333


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    yield opened
    opened.close()


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_busy_accelerators_stay_busy_and_their_dollars_are_the_same(store, jump):
    """Messages bear the right time, as another machine's clock or a broker's gives it; ours has jumped."""
    log, devices = Log(), 10

    async def scene() -> None:
        wrong = timedelta(0)
        now = NOON
        keeper = Keeper(
            beside_bytes=0,
            store=store, build=lambda partition: pipeline(partition=partition), owner="me",
            clock=lambda: now + wrong, metrics=Metrics("test"), commit_every_s=0.0,
        )  # fmt: skip
        await keeper.assigned({0})
        for minute in range(75):
            now = NOON + minute * MINUTE
            wrong = jump if 30 <= minute < 60 else timedelta(0)
            fleet = [gpu(now, device=f"GPU-{number}", workload=f"prod/x/{number}") for number in range(devices)]
            await keeper.handle([log.record(fleet)])
            for second in (10, 30, 50):
                now = NOON + minute * MINUTE + second * SECOND
                await keeper.tick()
        await keeper.revoked({0})

    asyncio.run(scene())

    assert store.open_incidents() == []
    assert store.notices(10) == []
    assert store.rejects(10) == []
    spent = sum(nano_usd(store.ledger_rows(NOON - HOUR, NOON + 5 * HOUR)).values())
    assert spent == 75 * devices * SAMPLE_NANO_USD


class Flaky(RecorderChannel):
    """A channel that asks to be tried again now and then."""

    refusals = 0

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Refuse the first three attempts."""
        if self.refusals < 3:
            self.refusals += 1
            return Receipt(outcome=Outcome.RETRY, detail="not now")
        return super().send(notice, reference)


def duties_on(store: Store, clock: list[datetime], told: list[Any], name: str = "one") -> Duties:
    channels = {"slack": RecorderChannel("slack", told.append), "mail": Flaky("mail", told.append)}
    return Duties(
        store,
        delivery=Delivery(store, channels, lambda: clock[0], name, min_intervals_s={"slack": 1.0}),
        forecasts=ForecastDuty(store, budgets=(), severity=SeverityPolicy(), router=router(), owner=name),
        scale_down=ScaleDownDuty(store, ScaleDownPolicy(), router()),
        digest=DigestDuty(store, budgets=(), channels=("slack", "mail"), day="monday", at=time(9), timezone="UTC"),
        metrics=Metrics("test"),
        owner=name,
        clock=lambda: clock[0],
        act_every_s=0.0,
    )


@pytest.mark.parametrize("jump", JUMPS, ids=str)
@pytest.mark.parametrize("at_minute", [29, 45], ids=lambda minute: f"minute-{minute}")
def test_the_digest_and_every_notice_are_told_once_and_soon(store, jump, at_minute):
    rows = [ledger_row(hour=MONDAY - timedelta(days=6) + number * HOUR, nano_usd=10**9) for number in range(48)]
    commit(store, Facts(ledger=rows))
    clock, told = [MONDAY], []
    one, two = duties_on(store, clock, told), duties_on(store, clock, told, "two")

    for minute in range(90):
        wrong = jump if at_minute <= minute < at_minute + 20 else timedelta(0)
        for second in (0, 20, 40):
            clock[0] = MONDAY + minute * MINUTE + second * SECOND + wrong
            for duties in (one, two):
                duties._slow_s = float("-inf")  # as if its half minute had passed
                duties.run_due()
        if minute % 10 == 5:
            store.enqueue([notice(f"n{minute}", subject_id=f"s{minute}", at=MONDAY + minute * MINUTE)])

    weekly = [line for line in told if line["reason"] == "weekly"]
    others = [line for line in told if line["reason"] != "weekly"]
    assert len(weekly) == 2
    assert len(others) == 9
    assert store.pending_counts() == {}


@pytest.mark.parametrize("back", [HOUR, timedelta(days=1)], ids=str)
def test_a_clock_that_is_set_back_for_good_silences_no_channel(store, back):
    clock, told = [MONDAY], []
    one = duties_on(store, clock, told)
    store.enqueue([notice("n0"), notice("n1", subject_id="s1", channel="mail")])
    one.run_fast()

    clock[0] -= back
    store.enqueue([notice("n2", subject_id="s2")])
    for _ in range(120):
        one.run_fast()
        clock[0] += SECOND

    assert len(told) == 3
    assert store.pending_counts() == {}


def test_events_by_http_that_a_clock_set_back_calls_future_are_kept_with_their_bytes_and_nobody_is_told(store):
    """The arrival is ours alone to say here; what it can't judge is set aside whole, and the rest goes on after."""
    clock = [NOON]
    keeper = Keeper(
        beside_bytes=0,
        store=store, build=lambda partition: pipeline(partition=partition), owner="me",
        clock=lambda: clock[0], metrics=Metrics("test"), commit_every_s=0.0,
    )  # fmt: skip
    embedded = Embedded(store, keeper, lambda: clock[0])

    async def scene() -> list[bytes]:
        await keeper.assigned({0})
        wrong = []
        for minute in range(60):
            now = NOON + minute * MINUTE
            clock[0] = now - HOUR if 20 <= minute < 25 else now
            value = encoded(gpu(now, span_s=60))
            embedded.append([value])
            wrong += [value] if clock[0] != now else []
            await embedded.drain()
        await keeper.flush()
        return wrong

    wrong = asyncio.run(scene())

    assert sorted(row.payload for row in store.rejects(100)) == sorted(wrong)
    assert {row.reason for row in store.rejects(100)} == {"dated 3600 s ahead of its arrival, the limit is 300 s"}
    assert [incident.kind for incident in store.open_incidents() if incident.kind != "data_gap"] == []
    assert sum(nano_usd(store.ledger_rows(NOON - HOUR, NOON + 5 * HOUR)).values()) == 55 * 66_666_666
