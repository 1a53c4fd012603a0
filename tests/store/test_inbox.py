"""The inbox keeps what was accepted, in order, and never uses an offset twice."""

import threading

from store.inbox import InboxRow
from store.store import Store
from tests.store.samples import NOON


def test_messages_come_back_in_order_with_their_place(store: Store) -> None:
    assert store.inbox_append("gpu.samples", [b"a", b"\x00\xff"], NOON) == 2
    assert store.inbox_append("token.usage", [b"c"], NOON) == 3

    rows = [
        InboxRow(offset=1, topic="gpu.samples", value=b"a", arrived_at=NOON),
        InboxRow(offset=2, topic="gpu.samples", value=b"\x00\xff", arrived_at=NOON),
        InboxRow(offset=3, topic="token.usage", value=b"c", arrived_at=NOON),
    ]
    assert store.inbox_read(0, 10) == rows
    assert store.inbox_read(1, 1) == rows[1:2]
    assert store.inbox_read(3, 10) == []


def test_nothing_appended_is_nothing_written(store: Store) -> None:
    assert store.inbox_append("gpu.samples", [], NOON) == 0
    assert store.inbox_depth() == 0


def test_offsets_are_not_used_again_after_all_was_pruned_and_reopened(store: Store, store_url: str) -> None:
    last = store.inbox_append("t", [b"a", b"b"], NOON)
    store.inbox_prune(last + 1)
    assert store.inbox_depth() == 0

    reopened = Store.open(store_url)
    assert reopened.inbox_append("t", [b"c"], NOON) == last + 1
    reopened.close()


def test_pruning_keeps_the_offset_it_names(store: Store) -> None:
    store.inbox_append("t", [b"a", b"b", b"c"], NOON)
    store.inbox_prune(2)
    assert [row.offset for row in store.inbox_read(0, 10)] == [2, 3]


def test_a_reader_that_follows_many_writers_misses_nothing(store: Store) -> None:
    def write(name: str) -> None:
        for number in range(10):
            store.inbox_append(name, [str(number).encode()], NOON)

    writers = [threading.Thread(target=write, args=(f"t{k}",)) for k in range(4)]
    for writer in writers:
        writer.start()
    seen: list[InboxRow] = []
    for _ in range(10_000):
        seen += store.inbox_read(seen[-1].offset if seen else 0, 7)
        if len(seen) >= 40 or (store.inbox_depth() == 40 and not store.inbox_read(seen[-1].offset, 1)):
            break
    for writer in writers:
        writer.join()

    assert sorted((row.topic, row.value) for row in seen) == [
        (f"t{k}", str(number).encode()) for k in range(4) for number in range(10)
    ]


def test_a_reading_is_bounded_by_bytes_too_and_takes_one_message_at_least(store: Store) -> None:
    store.inbox_append("gpu.samples", [b"a" * 60, b"b" * 60, b"c" * 30, b"d" * 500, b"e"], NOON)

    def read(after: int, most_bytes: int) -> list[bytes]:
        return [row.value[:1] for row in store.inbox_read(after, 10, most_bytes)]

    first = store.inbox_read(0, 1)[0].offset
    assert read(0, 1000) == [b"a", b"b", b"c", b"d", b"e"]
    assert read(0, 150) == [b"a", b"b", b"c"]
    assert read(0, 149) == [b"a", b"b"]
    assert read(first + 2, 10) == [b"d"]
    assert read(first + 4, 10) == []


def test_the_size_of_what_is_unread_is_told_in_messages_and_bytes(store: Store) -> None:
    assert store.inbox_size() == (0, 0)
    last = store.inbox_append("gpu.samples", [b"a" * 60, b"b" * 40, b"c" * 5], NOON)

    assert [store.inbox_size(), store.inbox_size(last), store.inbox_size(last + 1)] == [(3, 105), (1, 5), (0, 0)]
