import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from detectors.findings import Kind
from store.errors import AlreadyOpen, Fenced, StoreUnavailable
from store.facts import Facts, RejectRow
from store.store import Store
from streams import patience, portions
from streams.records import Record, Refused, Slice
from tests.streams.events import HOUR, MINUTE, NOON, NOTEBOOK, Log, gpu, idle_gpu, pipeline, usage
from tests.streams.keeping import SAMPLE_NANO_USD, SlowStore, keeper, spent


class Flaky:
    """A store whose commits and claims fail as they are told to; each attempt is kept."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults: list[Exception | None] = []
        self.commits: list[Facts] = []
        self.failed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def _fail(self) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault

    def commit(self, partition: int, epoch: int, facts: Facts, **how: Any) -> None:
        self.commits.append(facts)
        self._fail()
        self.store.commit(partition, epoch, facts, **how)

    def claim_partition(self, partition: int, owner: str, now: datetime) -> Any:
        self._fail()
        return self.store.claim_partition(partition, owner, now)


AWAY = StoreUnavailable("the database can't be used just now")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again without waiting."""
    monkeypatch.setattr(patience, "LONGEST_WAIT_S", 0.0)


@pytest.fixture
def flaky(store: Store) -> Flaky:
    return Flaky(store)


def minutes(first: int, last: int, make: Callable[..., dict[str, Any]] = gpu) -> list[dict[str, Any]]:
    return [make(NOON + number * MINUTE) for number in range(first, last)]


async def wait_until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


def test_a_new_owner_goes_on_where_the_snapshot_ends(store):
    records = Log().records(minutes(0, 20))

    async def scene() -> tuple[Any, Any]:
        first = keeper(store)
        began = await first.assigned({0})
        await first.handle(records[:8])
        second = keeper(store, owner="other")
        offsets = await second.assigned({0})
        await second.handle(records[4:])
        await second.revoked({0})
        return began, offsets

    assert asyncio.run(scene()) == ({}, {("gpu.samples", 0): 8})
    assert spent(store) == 20 * SAMPLE_NANO_USD


def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost(flaky, store):
    flaky.faults = [AWAY, AWAY, None, AWAY, AWAY, AWAY, None]

    async def scene() -> None:
        one = keeper(flaky)
        await one.assigned({0})
        await one.handle(Log().records(minutes(0, 20, idle_gpu)))
        assert not one.waiting_for_store

    asyncio.run(scene())

    assert len(flaky.commits) == 4
    assert spent(store) == 20 * SAMPLE_NANO_USD
    assert [one.kind for one in store.open_incidents()] == [Kind.IDLE]
    assert store.pending_counts() == {"recorder": len(store.notices(100))}


def test_what_was_interrupted_while_the_store_was_away_is_written_when_it_is_back(flaky, store, monkeypatch):
    monkeypatch.setattr(patience, "LONGEST_WAIT_S", 60.0)

    async def scene() -> None:
        one = keeper(flaky)
        await one.assigned({0})
        flaky.faults = [AWAY]
        working = asyncio.ensure_future(one.handle(Log().records(minutes(0, 20, idle_gpu))))
        await wait_until(lambda: one.waiting_for_store)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await one.revoked({0})
        assert one.held == {}

    asyncio.run(scene())

    assert spent(store) == 20 * SAMPLE_NANO_USD
    assert [one.workload for one in store.open_incidents()] == [NOTEBOOK]
    assert store.notices(100)
    assert store.claim_partition(0, "other", NOON).offsets == {"gpu.samples": 20}


def test_facts_survive_dead_letters_that_could_not_be_put(store):
    class Broken(Exception):
        pass

    put: list[RejectRow] = []
    faults = [Broken()]

    async def dead_letters(rejects: Any) -> None:
        if faults:
            raise faults.pop()
        put.extend(rejects)

    async def scene() -> None:
        one = keeper(store, dead_letters=dead_letters)
        await one.assigned({0})
        log = Log()
        with pytest.raises(Broken):
            await one.handle(log.records([gpu(), b"nonsense"]))
        assert store.claim_partition(1, "x", NOON).offsets == {}
        assert spent(store) == 0
        await one.handle([log.record(gpu(NOON + MINUTE))])

    asyncio.run(scene())

    assert [row.payload for row in put] == [b"nonsense"]
    assert spent(store) == 2 * SAMPLE_NANO_USD
    assert (store.rejects(10), store.reject_counts()) == ([], {"malformed": 1})


def test_a_keeper_that_lost_its_partition_drops_it_and_writes_no_more(store):
    log = Log()

    async def scene() -> None:
        old, new = keeper(store), keeper(store, owner="other")
        await old.assigned({0})
        await old.handle(log.records(minutes(0, 5)))
        await new.assigned({0})
        rest = log.records(minutes(5, 10))
        old.held[0].committed_s = 0.0
        with pytest.raises(Fenced):
            await old.handle(rest)
        assert old.held == {}
        await new.handle(rest)
        await old.tick()
        await old.revoked({0})
        await new.revoked({0})

    asyncio.run(scene())

    assert spent(store) == 10 * SAMPLE_NANO_USD


def test_a_tick_after_the_partition_was_lost_raises_nothing(store):
    async def scene() -> dict[int, Any]:
        old = keeper(store)
        await old.assigned({0})
        await old.handle(Log().records(minutes(0, 5)))
        store.claim_partition(0, "other", NOON)
        old.held[0].uncommitted, old.held[0].committed_s = 1, 0.0
        await old.tick()
        return old.held

    assert asyncio.run(scene()) == {}


def test_a_partition_that_was_lost_is_not_taken_back_by_what_comes_of_it_still(store):
    log = Log()

    async def scene() -> None:
        old, new = keeper(store), keeper(store, owner="other")
        await old.assigned({0})
        await old.handle(log.records(minutes(0, 5)))
        await old.flush()
        await new.assigned({0})
        old.held[0].uncommitted, old.held[0].committed_s = 1, 0.0
        await old.tick()
        between, rest = log.records(minutes(5, 10)), log.records(minutes(10, 15))
        with pytest.raises(Fenced):
            await old.handle(rest)
        await new.handle(between)
        await new.handle(rest)
        await new.revoked({0})
        await old.assigned({0})
        await old.handle(log.records(minutes(15, 20)))
        await old.revoked({0})

    asyncio.run(scene())

    assert spent(store) == 20 * SAMPLE_NANO_USD


def test_an_incident_that_no_book_knows_ends_where_the_new_one_begins(store):
    async def scene() -> None:
        one = keeper(store)
        await one.assigned({0})
        await one.handle(Log().records(minutes(0, 20, idle_gpu)))
        (orphan,) = store.open_incidents()
        fresh = keeper(store, owner="fresh", build=lambda partition: pipeline(partition=7))
        await fresh.assigned({7})
        later = [
            replace(record, partition=7)
            for record in Log().records([idle_gpu(NOON + HOUR + n * MINUTE) for n in range(20)])
        ]
        await fresh.handle(later)
        ended = store.incident(orphan.incident_id)
        (now_open,) = store.open_incidents()
        assert ended.resolved_at is not None
        assert ended.transition == orphan.transition + 1
        assert now_open.fingerprint == orphan.fingerprint
        assert now_open.incident_id != orphan.incident_id

    asyncio.run(scene())


def test_revoking_while_the_store_is_away_lets_go_at_once(flaky, store):
    async def scene() -> None:
        one = keeper(flaky, commit_every_s=3600.0)
        await one.assigned({0})
        one.held[0].committed_s = float("inf")
        await one.handle(Log().records(minutes(0, 5)))
        flaky.faults = [AWAY]
        await one.revoked({0})
        assert one.held == {}

    asyncio.run(scene())

    assert len(flaky.commits) == 1
    assert spent(store) == 0
    assert store.claim_partition(0, "next", NOON).offsets == {}


def test_revoking_with_an_orphan_in_the_store_lets_go_and_leaves_it_to_the_next_owner(flaky, store):
    async def scene() -> None:
        one = keeper(flaky, commit_every_s=3600.0)
        await one.assigned({0})
        one.held[0].committed_s = float("inf")
        await one.handle(Log().records(minutes(0, 5)))
        flaky.faults = [AlreadyOpen("another incident is open", "inc_x")]
        await one.revoked({0})
        assert one.held == {}

    asyncio.run(scene())

    assert spent(store) == 0


def test_ticks_slices_and_revocations_at_the_same_time_lose_nothing(store):
    log = Log()
    records = log.records(minutes(0, 60))

    async def scene() -> None:
        one = keeper(store)
        await one.assigned({0})

        async def work() -> None:
            start = 0
            while start < len(records):
                start = (await one.assigned({0})).get(("gpu.samples", 0), 0)
                await one.handle(records[start : start + 3])

        async def tick() -> None:
            for _ in range(30):
                await one.tick()
                await one.flush()

        async def revoke() -> None:
            for _ in range(5):
                await asyncio.sleep(0)
                await one.revoked({0})

        await asyncio.gather(work(), tick(), revoke(), tick())
        await one.revoked({0})
        assert one.held == {}

    asyncio.run(scene())

    assert store.claim_partition(0, "next", NOON).offsets == {"gpu.samples": 60}
    assert spent(store) == 60 * SAMPLE_NANO_USD


def test_two_claims_of_one_partition_at_a_time_are_one(store):
    async def scene() -> int:
        one = keeper(store)
        await asyncio.gather(one.assigned({0}), one.assigned({0, 1}), one.handle(Log().records(minutes(0, 3))))
        await one.revoked({0, 1})
        return spent(store)

    assert asyncio.run(scene()) == 3 * SAMPLE_NANO_USD
    assert store.claim_partition(0, "next", NOON).epoch == 2


def test_partitions_do_not_share_anything(store):
    async def scene() -> dict[Any, int]:
        one = keeper(store)
        log, other = Log(), Log()
        first = log.records([gpu(), usage()])
        second: list[Record] = [replace(record, partition=1) for record in other.records([gpu(workload="a/b/c")])]
        await one.handle([*first, *second])
        return await one.assigned({0, 1, 2})

    assert asyncio.run(scene()) == {("gpu.samples", 0): 1, ("token.usage", 0): 1, ("gpu.samples", 1): 1}
    assert spent(store) == 2 * SAMPLE_NANO_USD + 6_500_000


def test_a_batch_that_cannot_be_read_is_a_fault_of_its_own(store):
    async def scene() -> None:
        one = keeper(store)
        await one.assigned({0})
        await one.refuse(Refused("gpu.samples", 0, first=4, last=9, at=NOON, reason="the batch is damaged"))
        await one.revoked({0})

    asyncio.run(scene())

    (row,) = store.rejects(None)
    assert (row.offset, row.fault, row.reason) == (4, "unreadable", "offsets 4 to 9: the batch is damaged")
    assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 10}


def test_time_that_passes_without_messages_closes_what_is_complete(store):
    now = [NOON]

    async def scene() -> tuple[Any, Any]:
        one = keeper(store, clock=lambda: now[0])
        log = Log()
        await one.assigned({0})
        await one.handle(log.records([usage(NOON)]))
        await one.handle(log.records(minutes(0, 9)))
        held_back = one.held[0].pipeline.watermark
        now[0] = NOON + 10 * MINUTE
        await one.tick()
        return held_back, one.held[0].pipeline.watermark

    assert asyncio.run(scene()) == (NOON + 6 * MINUTE, NOON + 6 * MINUTE)


def test_messages_are_taken_while_a_commit_is_under_way_and_nothing_is_written_twice_or_too_early(store):
    log, slow = Log(), SlowStore(store)

    async def scene() -> None:
        one = keeper(slow, beside_bytes=10**9)
        await one.assigned({0})
        await one.handle(log.records(minutes(0, 5)))
        await wait_until(lambda: len(slow.begun) == 1)
        await one.handle(log.records(minutes(5, 10)))
        assert slow.begun == [{"gpu.samples": 5}]
        slow.may_write.set()
        await one.handle(log.records(minutes(10, 15)))
        await one.flush()

    asyncio.run(scene())

    assert slow.begun[0] == {"gpu.samples": 5}
    assert slow.begun[-1] == {"gpu.samples": 15}
    assert spent(store) == 15 * SAMPLE_NANO_USD
    fresh = pipeline()
    claim = store.claim_partition(0, "x", NOON)
    fresh.load(claim.snapshot, claim.offsets)
    assert fresh.offsets == {"gpu.samples": 15}


def test_a_commit_whose_wait_is_cancelled_goes_on_alone_and_nothing_is_taken_before_it_ends(store):
    log, slow = Log(), SlowStore(store)

    async def scene() -> None:
        one = keeper(slow)
        await one.assigned({0})
        working = asyncio.ensure_future(one.handle(log.records(minutes(0, 5))))
        await wait_until(lambda: len(slow.begun) == 1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        next_one = asyncio.ensure_future(one.handle(log.records(minutes(5, 10))))
        for _ in range(20):
            await asyncio.sleep(0)
        assert (len(slow.begun), one.held[0].pipeline.offsets) == (1, {"gpu.samples": 5})
        slow.may_write.set()
        await next_one
        await one.flush()

    asyncio.run(scene())

    assert slow.begun == slow.ended == [{"gpu.samples": 5}, {"gpu.samples": 10}]
    assert spent(store) == 10 * SAMPLE_NANO_USD


def test_a_partition_that_was_lost_is_not_claimed_again_by_the_messages_that_follow(store):
    log = Log()

    async def scene() -> None:
        old = keeper(store)
        await old.assigned({0})
        await old.handle(log.records(minutes(0, 5)))
        old.held[0].committed_s = float("inf")
        await old.handle(log.records(minutes(5, 10)))
        store.claim_partition(0, "other", NOON)
        old.held[0].committed_s = 0.0
        await old.tick()
        with pytest.raises(Fenced):
            await old.handle(log.records(minutes(10, 15)))
        assert await old.assigned({0}) == {("gpu.samples", 0): 5}
        log._next["gpu.samples"] = 5
        await old.handle(log.records(minutes(5, 15)))
        await old.flush()

    asyncio.run(scene())

    assert spent(store) == 15 * SAMPLE_NANO_USD


def test_a_slice_of_large_messages_is_taken_in_bites_and_every_message_once(store, monkeypatch):
    monkeypatch.setattr(portions, "BITE_BYTES", 2 * len(json.dumps([gpu()] * 2)))
    values = [json.dumps([gpu(NOON + number * MINUTE)] * 2).encode() for number in range(9)]
    arrived_ms = round((NOON + HOUR).timestamp() * 1000)
    one = Slice("gpu.samples", 0, list(range(9)), [arrived_ms] * 9, values)

    bites = list(portions.bites(one))

    assert [offset for bite in bites for offset in bite.offsets] == list(range(9))
    assert [value for bite in bites for value in bite.values] == values
    assert [len(bite) for bite in bites] == [2, 2, 2, 2, 1]

    async def scene() -> None:
        kept = keeper(store)
        await kept.assigned({0})
        await kept.handle(one)

    asyncio.run(scene())
    assert spent(store) == 9 * SAMPLE_NANO_USD
