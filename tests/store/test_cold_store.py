"""Rows that left the panels are written with the snapshot that no longer has them, and found again by key."""

from typing import Any

import pytest

from store.errors import Fenced
from store.facts import ColdKey, ColdRow, Facts
from store.store import Store
from tests.store.samples import CHAT, HOUR, NOON, commit


def row(key: str = CHAT, body: bytes = b"all of it", **fields: Any) -> ColdRow:
    values: dict[str, Any] = {"partition": 3, "kind": "workload", "key": key, "body": body, "evicted_at": NOON}
    return ColdRow(**{**values, **fields})


def key_of(one: ColdRow) -> ColdKey:
    return ColdKey(partition=one.partition, kind=one.kind, key=one.key)


def test_what_left_is_found_by_partition_kind_and_key(store: Store) -> None:
    commit(store, Facts(cold=[row(), row("a/b/c", b"2"), row(kind="device", body=b"3"), row(partition=4, body=b"4")]))

    assert store.read_cold(3, "workload", [CHAT, "a/b/c", "a/b/d"]) == {CHAT: b"all of it", "a/b/c": b"2"}
    assert store.read_cold(3, "device", [CHAT]) == {CHAT: b"3"}
    assert store.read_cold(4, "workload", [CHAT]) == {CHAT: b"4"}
    assert store.read_cold(4, "workload", []) == {}


def test_more_keys_than_fit_a_query_are_all_found(store: Store) -> None:
    names = [f"prod/llm/{number}" for number in range(2500)]
    commit(store, Facts(cold=[row(name, name.encode()) for name in names]))

    assert store.read_cold(3, "workload", names) == {name: name.encode() for name in names}


def test_written_again_the_latest_counts(store: Store) -> None:
    commit(store, Facts(cold=[row()]), Facts(cold=[row(body=b"later"), row(body=b"latest")]))

    assert store.read_cold(3, "workload", [CHAT]) == {CHAT: b"latest"}


def test_what_came_back_is_let_go_and_may_leave_again_in_the_same_transaction(store: Store) -> None:
    commit(store, Facts(cold=[row(), row("a/b/c")]))
    commit(store, Facts(warmed=[key_of(row()), key_of(row("a/b/c")), key_of(row("a/b/d"))], cold=[row(body=b"again")]))

    assert store.read_cold(3, "workload", [CHAT, "a/b/c"]) == {CHAT: b"again"}


def test_a_fenced_owner_moves_nothing(store: Store) -> None:
    old = store.claim_partition(3, "a", NOON)
    store.commit(3, old.epoch, Facts(cold=[row()]), snapshot={}, offsets={}, now=NOON)
    store.claim_partition(3, "b", NOON)

    with pytest.raises(Fenced):
        store.commit(3, old.epoch, Facts(warmed=[key_of(row())]), snapshot={}, offsets={}, now=NOON)
    assert store.read_cold(3, "workload", [CHAT]) == {CHAT: b"all of it"}


def test_pruning_forgets_what_left_long_ago(store: Store) -> None:
    commit(store, Facts(cold=[row(), row("a/b/c", evicted_at=NOON + HOUR)]))
    store.prune(NOON + HOUR)

    assert store.read_cold(3, "workload", [CHAT, "a/b/c"]) == {"a/b/c": b"all of it"}
