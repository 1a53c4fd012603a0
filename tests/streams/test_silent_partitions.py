"""A partition that has gone silent goes along with the rest of the service."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from console import assemble
from console.settings import Settings
from detectors.findings import Kind
from store.store import Store
from streams.keeper import Keeper
from streams.metrics import Metrics
from streams.records import Record

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def sample(partition: int, offset: int, at: datetime, *, arrived_at: datetime | None = None) -> Record:
    event = {
        "type": "gpu_sample", "at": at.isoformat(), "span_s": 60, "workload": f"c/n/w{partition}",
        "device": f"GPU-{partition}", "gpu_model": "H100", "util_ratio": 0.8, "sm_active_ratio": 0.7, "power_w": 500,
    }  # fmt: skip
    return Record("gpu.samples", partition, offset, arrived_at or at, json.dumps(event).encode())


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def store() -> Store:
    return Store.open("sqlite://")


@pytest.fixture
def keeper(store: Store, clock: Hand) -> Keeper:
    settings = Settings()
    return assemble.keeper(
        settings, store, assemble.router(settings), owner="a", metrics=Metrics(), clock=clock,
        behind=lambda partition: frozenset(),
    )  # fmt: skip


async def feed(keeper: Keeper, clock: Hand, partitions: list[int], first: int, last: int) -> None:
    """Minute by minute, a sample for each of the partitions, each taken when it arrives."""
    for minute in range(first, last):
        clock.now = NOON + (minute + 1) * MINUTE
        for partition in partitions:
            await keeper.handle([sample(partition, minute, clock.now)])
        await keeper.tick()


def test_what_a_silent_partition_lost_is_told_when_the_others_go_on(keeper: Keeper, store: Store, clock: Hand) -> None:
    async def scenario() -> None:
        await keeper.assigned({0, 1, 2})
        await feed(keeper, clock, [0, 1], 0, 30)
        await feed(keeper, clock, [1], 30, 60)
        await keeper.flush()

    asyncio.run(scenario())

    (gap,) = store.open_incidents()
    assert (gap.kind, gap.workload, gap.began_at) == (Kind.DATA_GAP, "c/n/w0", NOON + 30 * MINUTE)
    assert store.low_watermark() == store.high_watermark() == NOON + 58 * MINUTE


def test_a_partition_with_unread_messages_goes_along_with_nobody(store: Store, clock: Hand) -> None:
    settings = Settings()
    keeper = assemble.keeper(
        settings, store, assemble.router(settings), owner="a", metrics=Metrics(), clock=clock,
        behind=lambda partition: frozenset({"gpu.samples"} if partition == 0 else set()),
    )  # fmt: skip

    async def scenario() -> None:
        await keeper.assigned({0, 1})
        await feed(keeper, clock, [0, 1], 0, 10)
        await feed(keeper, clock, [1], 10, 60)
        await keeper.flush()

    asyncio.run(scenario())

    assert store.low_watermark() == NOON + 8 * MINUTE
    assert store.high_watermark() == NOON + 58 * MINUTE


def test_the_service_has_no_low_watermark_before_every_partition_has_begun(store: Store) -> None:
    epochs = [store.claim_partition(partition, "a", NOON).epoch for partition in (0, 1)]
    facts = assemble.pipelines(Settings(), assemble.router(Settings()), store)(0).drain()

    store.commit(0, epochs[0], facts, snapshot=None, offsets={}, now=NOON, watermark=NOON)
    assert (store.low_watermark(), store.high_watermark()) == (None, NOON)

    store.commit(1, epochs[1], facts, snapshot=None, offsets={}, now=NOON, watermark=NOON - MINUTE)
    assert (store.low_watermark(), store.high_watermark()) == (NOON - MINUTE, NOON)


def test_an_event_dated_ahead_of_its_arrival_is_set_aside_however_late_it_is_read(
    keeper: Keeper, store: Store, clock: Hand
) -> None:
    async def scenario() -> None:
        clock.now = NOON + timedelta(days=1)
        await keeper.handle([sample(0, 0, NOON + timedelta(hours=3), arrived_at=NOON), sample(0, 1, NOON)])
        await keeper.flush()

    asyncio.run(scenario())

    assert [reject.reason for reject in store.rejects(10)] == ["dated 10800 s ahead of its arrival, the limit is 300 s"]


def test_it_is_not_over_for_the_one_when_another_of_the_partition_is_back(
    keeper: Keeper, store: Store, clock: Hand
) -> None:
    """As with the whole fleet in one partition: who comes back excuses nobody else."""

    async def scenario() -> None:
        await keeper.assigned({0, 1})
        await feed(keeper, clock, [0, 1], 0, 30)
        await keeper.handle([other(30)])
        for minute in range(31, 46):
            clock.now = NOON + (minute + 1) * MINUTE
            await keeper.handle([other(minute)])
            await feed(keeper, clock, [1], minute, minute + 1)
        await feed(keeper, clock, [1], 46, 100)
        for minute in range(100, 110):
            clock.now = NOON + (minute + 1) * MINUTE
            await keeper.handle([other(minute)])
            await feed(keeper, clock, [1], minute, minute + 1)
        await keeper.flush()

    def other(minute: int) -> Record:
        at = NOON + (minute + 1) * MINUTE
        record = sample(0, minute, at)
        return Record("gpu.samples", 0, minute, at, record.value.replace(b"w0", b"w9").replace(b"GPU-0", b"GPU-9"))

    asyncio.run(scenario())

    gaps = store.incidents_between(NOON, NOON + timedelta(days=1))
    assert {(one.workload, one.began_at, one.resolved_at is None) for one in gaps} == {
        ("c/n/w0", NOON + 30 * MINUTE, True),
        ("c/n/w9", NOON + 46 * MINUTE, False),
    }
