from datetime import timedelta

from store.facts import Facts, RejectRow
from store.store import Store
from tests.store.samples import NOON, commit

SECOND = timedelta(seconds=1)


def reject(number: int, size: int = 10) -> RejectRow:
    return RejectRow(
        topic="gpu.samples", partition=0, offset=number, index=0, reason="not JSON", payload=b"x" * size,
        at=NOON + number * SECOND,
    )  # fmt: skip


def kept(store: Store) -> list[int]:
    return [row.offset for row in store.rejects(100)]


def test_the_newest_rejects_are_kept_by_number(store: Store) -> None:
    commit(store, Facts(rejects=[reject(number) for number in range(10)]))

    assert store.bound_rejects(4, 10_000) == 6
    assert kept(store) == [9, 8, 7, 6]
    assert store.bound_rejects(4, 10_000) == 0


def test_the_newest_rejects_are_kept_by_their_bytes(store: Store) -> None:
    commit(store, Facts(rejects=[reject(0), reject(1, 500), *(reject(number, 100) for number in range(2, 6))]))

    assert store.bound_rejects(100, 450) == 2
    assert kept(store) == [5, 4, 3, 2]


def test_rejects_of_one_moment_are_told_apart(store: Store) -> None:
    rows = [
        RejectRow(topic="gpu.samples", partition=0, offset=1, index=n, reason="r", payload=b"x", at=NOON)
        for n in range(6)
    ]
    commit(store, Facts(rejects=rows))

    assert store.bound_rejects(2, 10_000) == 4
    assert len(store.rejects(10)) == 2
