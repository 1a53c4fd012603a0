"""A partition with too many unusable messages stops, says so once, and goes on from there when a person says so."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from alerts.incidents import Severity
from alerts.messages import title
from alerts.partition_stop import resumed
from alerts.routing import Router
from detectors.findings import Cause, Kind
from store.facts import RejectCount
from store.store import Store
from streams import stops
from streams.embedded import Embedded
from streams.gaps import Log
from streams.keeper import Keeper
from streams.poison import PoisonLimit
from streams.records import Refused, Slice
from tests.streams import keeping
from tests.streams.events import HOUR, MINUTE, NOON, encoded, gpu
from tests.streams.keeping import SAMPLE_NANO_USD, SlowStore, spent

ROUTER = Router([], ("oncall",), title)
LIMIT = PoisonLimit(max_in_a_row=10, max_ratio=1.0)
BAD = b'{"type": "gpu_sample", "at": '


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for what was resumed at every tick."""
    monkeypatch.setattr(stops, "RESUMED_EVERY_S", 0.0)


def keeper(store: Any, **how: Any) -> Keeper:
    return keeping.keeper(store, **{"poison": LIMIT, "route": ROUTER.decide, **how})


def good(first: int, last: int) -> list[bytes]:
    return [encoded(gpu(NOON + number * MINUTE)) for number in range(first, last)]


def piece(values: list[bytes], first: int = 0, partition: int = 0) -> Slice:
    arrived_ms = round((NOON + HOUR).timestamp() * 1000)
    return Slice("gpu.samples", partition, list(range(first, first + len(values))), [arrived_ms] * len(values), values)


def stopped_metric(one: Keeper, partition: int) -> float | None:
    return one.metrics.registry.get_sample_value("emberwatch_partition_stopped", {"partition": str(partition)})


def resume(store: Store, partition: int = 0, allowance: int = 0) -> bool:
    (stop,) = store.stops()
    incident = store.incident(stop.incident_id)
    assert incident is not None
    over = resumed(incident, NOON + 2 * HOUR)
    return store.resume(
        partition, "ana", NOON + 2 * HOUR, allowance=allowance, incidents=[over.incident], notices=ROUTER.decide(over)
    )


def test_a_poisoned_partition_stops_at_the_limit_pages_once_and_the_others_flow(store: Store) -> None:
    async def scene() -> Keeper:
        one = keeper(store)
        await one.assigned({0, 1})
        await one.handle(piece([*good(0, 5), BAD]))
        await one.handle(piece([BAD] * 100, first=6))
        await one.handle(piece([BAD] * 100, first=106))
        await one.handle(piece(good(0, 20), partition=1))
        return one

    one = asyncio.run(scene())

    assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 16}  # the eleventh in a row stands at 15
    assert len(store.rejects(None)) == 11
    assert one.stopped == {
        0: "partition 0 is stopped: 11 messages in a row of gpu.samples could not be used, the limit is 10; "
        "`emberwatch dlq resume` lets it go on"
    }
    assert one.stopped_in_words() == one.stopped[0]
    assert one.left_out(0) == {"gpu.samples": 16}
    assert (stopped_metric(one, 0), stopped_metric(one, 1)) == (1.0, 0.0)
    (incident,) = store.open_incidents()
    assert (incident.kind, incident.cause, incident.severity) == (Kind.DATA_GAP, Cause.POISON, Severity.PAGE)
    (entry,) = store.notices(10)
    assert (entry.notice.channel, entry.notice.subject_id) == ("oncall", incident.incident_id)
    assert entry.notice.title == (
        "Spend not seen: partition 0 of gpu.samples is stopped, 11 messages could not be used"
    )
    assert store.claim_partition(1, "x", NOON).offsets == {"gpu.samples": 20}


def test_a_stop_outlives_a_restart_and_pages_nobody_again(store: Store) -> None:
    async def scene() -> Keeper:
        first = keeper(store)
        await first.assigned({0})
        await first.handle(piece([BAD] * 50))
        await first.revoked({0})
        assert first.stopped == {}
        second = keeper(store, owner="other")
        await second.assigned({0})
        await second.handle(piece([BAD] * 50, first=11))
        await second.tick()
        return second

    second = asyncio.run(scene())

    assert list(second.stopped) == [0]
    assert second.stopped[0].startswith("partition 0 is stopped: ")
    assert len(store.rejects(None)) == 50  # a healthy partition's first slice is not cut
    assert len(store.notices(10)) == 1


def test_it_goes_on_where_it_stopped_and_takes_nothing_beyond_until_the_transport_has_gone_back(store: Store) -> None:
    values = [*good(0, 3), *[BAD] * 14, *good(3, 20)]

    async def scene() -> Keeper:
        one = keeper(store)
        await one.assigned({0})
        await one.handle(piece(values[:4]))
        await one.handle(piece(values[4:20], first=4))
        assert list(one.stopped) == [0]
        assert resume(store, allowance=3)
        assert not store.resume(0, "ana", NOON)
        await one.tick()
        assert one.stopped == {}
        await one.handle(piece(values[20:25], first=20))  # fetched before the seek
        assert one.next_offsets(0) == {"gpu.samples": 14}
        await one.handle(piece(values[14:], first=14))
        await one.flush()
        return one

    one = asyncio.run(scene())

    assert one.next_offsets(0) == {"gpu.samples": len(values)}
    assert one.left_out(0) == {}
    assert spent(store) == 20 * SAMPLE_NANO_USD
    assert len(store.rejects(None)) == 14
    assert store.open_incidents() == []
    assert sorted(entry.notice.step for entry in store.notices(10)) == ["opened", "resolved"]
    assert stopped_metric(one, 0) == 0.0


def test_it_goes_on_where_the_log_does_when_what_was_left_out_has_expired_meanwhile(store: Store) -> None:
    async def scene() -> Keeper:
        one = keeper(store)
        await one.assigned({0})
        await one.handle(piece([BAD] * 11))
        await one.handle(piece(good(0, 5), first=11))
        assert one.left_out(0) == {"gpu.samples": 11}
        assert resume(store)
        await one.tick()
        one.read_from("gpu.samples", 0, 11)
        await one.begin([Log(topic="gpu.samples", partition=0, first_offset=14, end_offset=40)])
        await one.handle(piece(good(3, 5), first=14))
        await one.handle(piece(good(5, 20), first=16))
        await one.flush()
        return one

    one = asyncio.run(scene())

    assert one.next_offsets(0) == {"gpu.samples": 31}
    assert spent(store) == 17 * SAMPLE_NANO_USD


def test_what_was_resumed_while_nobody_held_it_is_let_through_once(store: Store) -> None:
    async def scene() -> list[int]:
        first = keeper(store)
        await first.assigned({0})
        await first.handle(piece([BAD] * 11))
        await first.revoked({0})
        resume(store, allowance=30)
        second = keeper(store)
        await second.assigned({0})
        await second.handle(piece([BAD] * 40, first=11))
        passed = [len(second.stopped)]
        await second.revoked({0})
        third = keeper(store)
        await third.assigned({0})
        await third.handle(piece([BAD] * 11, first=51))
        return [*passed, len(third.stopped)]

    assert asyncio.run(scene()) == [0, 1]
    assert [one.resolved_at is None for one in store.list_incidents(10)].count(True) == 1
    assert len(store.list_incidents(10)) == 2


def test_what_is_let_through_outlives_a_crash_and_is_used_up_once(store: Store) -> None:
    async def scene() -> list[int]:
        first = keeper(store)
        await first.assigned({0})
        await first.handle(piece([BAD] * 11))
        resume(store, allowance=30)
        await first.tick()  # it crashes right after
        second = keeper(store)
        await second.assigned({0})
        await second.handle(piece([BAD] * 20, first=11))  # and so does this one
        third = keeper(store)
        await third.assigned({0})
        assert third.next_offsets(0) == {"gpu.samples": 31}
        await third.handle(piece([BAD] * 20, first=31))
        stopped = [len(third.stopped)]
        await third.handle(piece([BAD], first=51))
        return [*stopped, len(third.stopped)]

    assert asyncio.run(scene()) == [0, 1]
    assert [stop.allowance for stop in store.stops()] == [0]


def test_two_stops_at_the_same_arrival_are_two_incidents(store: Store) -> None:
    async def scene() -> None:
        one = keeper(store)
        await one.assigned({0})
        await one.handle(piece([BAD] * 11))
        resume(store)
        await one.tick()
        await one.handle(piece([BAD] * 11, first=11))

    asyncio.run(scene())

    assert len(store.list_incidents(10)) == 2
    assert len(store.open_incidents()) == 1


def test_a_stop_that_is_not_written_yet_is_not_taken_for_one_that_has_ended(store: Store) -> None:
    slow = SlowStore(store)

    async def scene() -> dict[int, str]:
        one = keeper(slow)
        await one.assigned({0})
        reading = asyncio.ensure_future(one.handle(piece([BAD] * 11)))
        while not one.stopped:
            await asyncio.sleep(0)
        ticking = asyncio.ensure_future(one.tick())
        for _ in range(100):
            await asyncio.sleep(0)
        slow.may_write.set()
        await reading
        await ticking
        return one.stopped

    assert list(asyncio.run(scene())) == [0]


def test_the_time_of_a_stopped_partition_stands_still(store: Store) -> None:
    now = [NOON + HOUR]

    async def scene() -> tuple[Any, Any]:
        one = keeper(store, clock=lambda: now[0])
        await one.assigned({0})
        await one.handle(piece([*good(0, 5), *[BAD] * 11]))
        before = one.held[0].pipeline.watermark
        now[0] += timedelta(days=1)
        await one.tick()
        return before, one.held[0].pipeline.watermark

    before, after = asyncio.run(scene())
    assert before == after


def test_batches_that_cannot_be_read_stop_a_partition_too_and_are_put_on_record_once(store: Store) -> None:
    damaged = Refused("gpu.samples", 0, first=5, last=15, at=NOON, reason="the batch is damaged")
    behind = Refused("gpu.samples", 0, first=18, last=19, at=NOON, reason="the batch is damaged")

    async def scene() -> tuple[dict[str, int], dict[str, int], list[int]]:
        one = keeper(store)
        await one.assigned({0})
        await one.handle(piece(good(0, 5)))
        await one.refuse(damaged)
        assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 16}
        one.held[0].epoch += 1
        await one.refuse(behind)  # it was on its way
        left_out = one.left_out(0)
        assert resume(store)
        await one.tick()
        one.read_from("gpu.samples", 0, 5)
        await one.refuse(damaged)  # what it stopped at is handed over again
        await one.handle(piece(good(5, 7), first=16))
        await one.refuse(behind)
        await one.flush()
        return left_out, one.next_offsets(0), list(one.stopped)

    assert asyncio.run(scene()) == ({"gpu.samples": 18}, {"gpu.samples": 20}, [])
    assert sorted((row.offset, row.fault) for row in store.rejects(None)) == [(5, "unreadable"), (18, "unreadable")]
    assert spent(store) == 7 * SAMPLE_NANO_USD
    assert [one.cause for one in store.list_incidents(10)] == [Cause.POISON]


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_stop_whose_writing_nobody_waited_for_is_settled_by_the_next_tick(store: Store, is_taken: bool) -> None:
    slow = SlowStore(store)

    async def scene() -> tuple[list[int], list[int], set[int]]:
        one = keeper(slow)
        await one.assigned({0})
        reading = asyncio.ensure_future(one.handle(piece([BAD] * 11)))
        while not one.stopped:
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        if is_taken:
            store.claim_partition(0, "other", NOON)
        ticking = asyncio.ensure_future(one.tick())
        await asyncio.wait({ticking}, timeout=0.2)
        slow.may_write.set()
        await ticking
        return list(one.held), list(one.stopped), one.lost

    assert asyncio.run(scene()) == (([], [], {0}) if is_taken else ([0], [0], set()))
    assert len(store.stops()) == (0 if is_taken else 1)


def test_dead_letters_are_counted_in_the_store_by_hour_and_fault_once_each(store: Store) -> None:
    letters: list[Any] = []

    async def put(rejects: Any) -> None:
        letters.extend(rejects)

    async def scene() -> None:
        values = [BAD, encoded(gpu(NOON + 30 * HOUR)), BAD, *good(0, 2)]
        one = keeper(store, dead_letters=put)
        await one.assigned({0})
        await one.handle(piece(values))
        other = keeper(store, dead_letters=put)
        await other.assigned({0})
        await other.handle(piece(values))  # again: passed over
        await other.handle(piece([BAD], first=5))

    asyncio.run(scene())

    assert store.reject_counts() == {"malformed": 3, "in_the_future": 1}
    assert store.reject_counts(NOON + HOUR, NOON + 2 * HOUR) == {"malformed": 3, "in_the_future": 1}
    assert store.reject_counts(NOON + 2 * HOUR) == {}
    assert store.rejects(None) == []
    assert [letter.fault for letter in letters] == ["malformed", "in_the_future", "malformed", "malformed"]
    assert store.claim_partition(0, "x", NOON + HOUR).reject_counts == [
        RejectCount(hour=NOON + HOUR, partition=0, fault="in_the_future", events=1),
        RejectCount(hour=NOON + HOUR, partition=0, fault="malformed", events=3),
    ]


def test_the_embedded_runner_stops_goes_on_accepting_and_loses_nothing(store: Store) -> None:
    async def scene() -> None:
        one = keeper(store, poison_together=True)
        embedded = Embedded(store, one, lambda: NOON + HOUR)
        stop = asyncio.Event()
        embedded.append([*good(0, 3), b"nonsense", b"{}"])
        running = asyncio.ensure_future(embedded.run(stop, tick_s=0.01))
        async with asyncio.timeout(20):
            while embedded._next < 6:
                await asyncio.sleep(0)
            embedded.append([*[BAD] * 12, *good(3, 10)])
            while not store.stops():
                await asyncio.sleep(0)
            embedded.append(good(10, 12))
            assert store.inbox_depth() == 26
            resume(store, allowance=20)
            while embedded._next < 27:
                await asyncio.sleep(0)
        stop.set()
        await running

    asyncio.run(scene())

    assert spent(store) == 12 * SAMPLE_NANO_USD
    assert len(store.rejects(None)) == 14
    assert store.claim_partition(0, "x", NOON).offsets["gpu.samples"] == 27
