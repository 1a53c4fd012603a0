"""A duty has one holder at a time, and some are done once."""

import threading
from datetime import timedelta

from store.store import Store
from tests.store.samples import HOUR, MINUTE, NOON, notice


def test_a_lease_has_one_holder_who_may_renew_it(store: Store) -> None:
    assert store.acquire_lease("delivery", "a", NOON, 60.0)
    assert not store.acquire_lease("delivery", "b", NOON + MINUTE / 2, 60.0)
    assert store.acquire_lease("delivery", "a", NOON + MINUTE / 2, 60.0)
    assert not store.acquire_lease("delivery", "b", NOON + MINUTE, 60.0)
    assert store.acquire_lease("forecasts", "b", NOON, 60.0)


def test_a_lease_that_ran_out_is_taken_over(store: Store) -> None:
    store.acquire_lease("delivery", "a", NOON, 60.0)
    assert store.acquire_lease("delivery", "b", NOON + MINUTE, 60.0)
    assert not store.acquire_lease("delivery", "a", NOON + MINUTE, 60.0)


def test_only_the_holder_gives_a_lease_back(store: Store) -> None:
    store.acquire_lease("delivery", "a", NOON, 60.0)
    store.release_lease("delivery", "b")
    assert not store.acquire_lease("delivery", "b", NOON, 60.0)
    store.release_lease("delivery", "a")
    assert store.acquire_lease("delivery", "b", NOON, 60.0)


def test_of_many_who_ask_at_once_one_gets_the_lease(store: Store) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda name=f"w{k}": answers.append(store.acquire_lease("x", name, NOON, 60.0)))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


def test_a_duty_is_done_once_for_a_key(store: Store) -> None:
    assert [
        store.mark_done("forecast", "2026-03-02", NOON),
        store.mark_done("forecast", "2026-03-02", NOON + HOUR),
        store.mark_done("forecast", "2026-03-03", NOON),
        store.mark_done("budget", "2026-03-02", NOON),
    ] == [True, False, True, True]


def test_a_digest_is_enqueued_once_for_a_week(store: Store) -> None:
    first, second = (
        notice(name, subject="digest", subject_id="2026-W10", step="digest") for name in ("digest-a", "digest-b")
    )
    assert store.digest_enqueue("2026-W10", [first])
    assert not store.digest_enqueue("2026-W10", [second])
    assert store.digest_enqueue("2026-W11", [])
    assert [entry.notice for entry in store.notices(10)] == [first]


def test_a_lease_from_before_the_clock_was_set_back_is_not_waited_for(store: Store) -> None:
    assert store.acquire_lease("duties", "before", NOON + HOUR, 15.0)

    assert store.acquire_lease("duties", "after", NOON, 15.0)
    assert not store.acquire_lease("duties", "third", NOON, 15.0)


def test_a_lease_of_a_clock_that_is_a_little_ahead_is_respected(store: Store) -> None:
    assert store.acquire_lease("duties", "ahead", NOON + timedelta(seconds=50), 15.0)

    assert not store.acquire_lease("duties", "other", NOON, 15.0)
