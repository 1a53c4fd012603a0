import asyncio
from datetime import datetime

import pytest
from msgspec.structs import asdict

from store.errors import StoreUnavailable, Trouble
from store.inbox import InboxRow
from store.store import Store
from streams import embedded as embedded_module
from streams.back_pressure import Pressure
from streams.embedded import Embedded
from streams.inbox_room import InboxRoom
from streams.intake import IntakeDown, IntakeFull
from tests.streams.events import HOUR, MINUTE, NOON, change, charge, encoded, gpu, usage
from tests.streams.keeping import SAMPLE_NANO_USD, keeper, spent

WINDOW_NANO_USD = 6_500_000


def runner(store: Store, now: datetime = NOON + HOUR) -> Embedded:
    return Embedded(store, keeper(store, clock=lambda: now, commit_every_s=1.0), lambda: now)


async def run_until_read(embedded: Embedded, next_offset: int) -> None:
    """Run until the inbox is read up to there, and stop."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(embedded.run(stop, tick_s=0.01))
    async with asyncio.timeout(20):
        while embedded._next < next_offset:
            await asyncio.sleep(0)
        stop.set()
        await running


def test_what_is_appended_is_on_disk_in_order_with_its_topic(store):
    values = [encoded(value) for value in (gpu(), usage(), b"nonsense", charge(), change(), [gpu(), usage()])]

    runner(store).append(values)

    assert [asdict(row) for row in store.inbox_read(0, 10)] == [
        {"offset": place, "topic": topic, "value": value, "arrived_at": NOON + HOUR}
        for place, (topic, value) in enumerate(
            zip(
                ("gpu.samples", "token.usage", "unknown", "billing.charges", "ops.changes", "gpu.samples"),
                values,
                strict=True,
            ),
            start=1,
        )
    ]


def test_a_request_of_several_topics_is_kept_whole_or_not_at_all(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path}/s.db")
    unsound: list = [encoded(gpu()), encoded(usage()), object()]
    embedded = runner(store)

    with pytest.raises(Exception, match="object"):
        store.inbox_append_all([("gpu.samples", unsound[0]), ("token.usage", unsound[1]), ("x", unsound[2])], NOON)
    assert store.inbox_depth() == 0
    embedded.append(unsound[:2])

    assert store.inbox_depth() == 2
    store.close()


def test_a_request_that_is_sent_again_changes_no_dollars(store):
    embedded = runner(store)
    body = [encoded(gpu()), encoded(usage()), encoded([gpu(NOON + MINUTE), usage(NOON + MINUTE)])]

    for part in (body[:1], body[:2], body, body):
        embedded.append(part)
    asyncio.run(run_until_read(embedded, 10))

    assert spent(store) == 2 * SAMPLE_NANO_USD + 2 * WINDOW_NANO_USD


def test_a_time_that_no_clock_knows_is_kept_and_set_aside(store):
    embedded = runner(store)
    bad = encoded(gpu(at="0001-01-01T00:00:00+14:00"))

    embedded.append([bad, encoded(gpu())])
    asyncio.run(run_until_read(embedded, 3))

    assert spent(store) == SAMPLE_NANO_USD
    assert store.reject_counts() != {}


def test_a_second_run_goes_on_where_the_first_ended(store):
    embedded = runner(store)
    embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(5)])
    asyncio.run(run_until_read(embedded, 6))
    embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(5, 8)])

    again = runner(store)
    asyncio.run(run_until_read(again, 9))

    assert spent(store) == 8 * SAMPLE_NANO_USD
    assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 9}


def test_the_inbox_is_pruned_only_of_what_a_snapshot_holds(store, monkeypatch):
    monkeypatch.setattr(embedded_module, "PRUNE_EVERY", 10)
    embedded = runner(store)
    embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(25)])

    asyncio.run(run_until_read(embedded, 26))

    assert store.inbox_depth() == 0
    assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 26}
    assert spent(store) == 25 * SAMPLE_NANO_USD
    embedded.append([encoded(gpu(NOON + HOUR))])
    assert [row.offset for row in store.inbox_read(0, 5)] == [26]


def test_a_store_that_is_away_while_reading_loses_nothing(store):
    class Away:
        def __init__(self) -> None:
            self.left = 3

        def __getattr__(self, name):
            return getattr(store, name)

        def inbox_read(self, after_offset: int, limit: int, most_bytes: int) -> list[InboxRow]:
            if self.left:
                self.left -= 1
                raise StoreUnavailable("away")
            return store.inbox_read(after_offset, limit, most_bytes)

    embedded = runner(Away())
    embedded.append([encoded(gpu())])

    asyncio.run(run_until_read(embedded, 2))

    assert spent(store) == SAMPLE_NANO_USD


def test_a_full_inbox_refuses_says_so_and_takes_again_once_it_is_read(store):
    embedded = runner(store)
    embedded.room = InboxRoom(most=3, most_bytes=10_000)
    embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(3)])

    with pytest.raises(IntakeFull, match=r"3 messages of \d+ bytes wait to be read") as refused:
        embedded.append([encoded(gpu(NOON + 3 * MINUTE))])
    held = embedded.keeper.pressure.reasons()
    asyncio.run(run_until_read(embedded, 4))
    embedded.append([encoded(gpu(NOON + 3 * MINUTE))])

    assert (refused.value.retry_after_s, held) == (5, {Pressure.INBOX_FULL})
    assert embedded.keeper.pressure.reasons() == frozenset()
    assert store.inbox_size(4)[0] == 1


def test_what_waited_before_a_restart_counts_towards_the_room(store):
    runner(store).append([encoded(gpu(NOON + number * MINUTE)) for number in range(5)])
    embedded = runner(store)

    asyncio.run(embedded._measure())

    assert (embedded.room.messages, embedded.room.bytes) == store.inbox_size()
    assert embedded.room.messages == 5


def test_a_store_that_is_away_refuses_and_keeps_nothing(store):
    class Away:
        def __getattr__(self, name):
            return getattr(store, name)

        def inbox_append_all(self, messages, arrived_at):
            raise StoreUnavailable("postgresql://ada@db refuses", Trouble.FULL)

    embedded = runner(Away())

    with pytest.raises(IntakeDown, match="nothing was kept, send it again") as refused:
        embedded.append([encoded(gpu())])

    assert "ada" not in str(refused.value)
    assert refused.value.retry_after_s == 5
    assert embedded.room.messages == 0


def test_the_oldest_rejects_are_let_go_beyond_the_limits(store, monkeypatch):
    monkeypatch.setattr(embedded_module, "PRUNE_EVERY", 10)
    monkeypatch.setattr(embedded_module, "MOST_REJECTS", 4)
    embedded = runner(store)
    embedded.append([f"nonsense {number}".encode() for number in range(20)])

    asyncio.run(run_until_read(embedded, 21))

    assert {row.payload for row in store.rejects(100)} == {f"nonsense {number}".encode() for number in range(16, 20)}


def test_a_prune_that_fails_is_tried_again_and_stops_nothing(store, monkeypatch):
    class Away:
        left = 2

        def __getattr__(self, name):
            return getattr(store, name)

        def inbox_prune(self, before_offset):
            if self.left:
                self.left -= 1
                raise StoreUnavailable("away")
            store.inbox_prune(before_offset)

    monkeypatch.setattr(embedded_module, "PRUNE_EVERY", 3)
    monkeypatch.setattr(embedded_module, "BATCH", 2)
    embedded = runner(Away())
    embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(20)])

    asyncio.run(run_until_read(embedded, 21))

    assert spent(store) == 20 * SAMPLE_NANO_USD
    assert store.inbox_depth() <= 3


def test_a_stop_does_not_wait_for_a_store_that_is_away(store, monkeypatch):
    monkeypatch.setattr(embedded_module, "STOP_S", 0.05)

    class Away:
        def __getattr__(self, name):
            return getattr(store, name)

        def commit(self, *args, **how):
            raise StoreUnavailable("away")

    async def scene() -> None:
        embedded, stop = runner(Away()), asyncio.Event()
        embedded.append([encoded(gpu(NOON + number * MINUTE)) for number in range(5)])
        running = asyncio.ensure_future(embedded.run(stop, tick_s=0.01))
        async with asyncio.timeout(20):
            while not embedded.keeper.waiting_for_store:
                await asyncio.sleep(0)
            stop.set()
            await running

    asyncio.run(scene())

    again = runner(store)
    asyncio.run(run_until_read(again, 6))
    assert spent(store) == 5 * SAMPLE_NANO_USD
