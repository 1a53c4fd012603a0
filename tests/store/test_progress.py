"""Progress is one transaction, and only the latest owner may write it."""

import threading
from datetime import timedelta

import pytest

from store.errors import Fenced
from store.facts import Facts, RejectRow, StatusRow, WorkloadState
from store.progress import DUTIES_PARTITION, Claim
from store.store import Store
from tests.store.samples import CHAT, MINUTE, NOON, charge, incident, ledger_row, notice


def test_a_first_claim_finds_nothing(store: Store) -> None:
    assert store.claim_partition(3, "a", NOON) == Claim(epoch=1, snapshot=None, offsets={})


def test_the_next_owner_goes_on_from_the_last_commit(store: Store) -> None:
    first = store.claim_partition(3, "a", NOON)
    store.commit(
        3, first.epoch, Facts(), snapshot={"core": b"panel\x00"}, offsets={"gpu.samples": 7, "token.usage": 2}, now=NOON
    )
    store.commit(3, first.epoch, Facts(), snapshot={"core": b"later"}, offsets={"gpu.samples": 9}, now=NOON)

    assert store.claim_partition(3, "b", NOON) == Claim(
        epoch=2, snapshot={"core": b"later"}, offsets={"gpu.samples": 9, "token.usage": 2}
    )
    assert store.claim_partition(4, "b", NOON) == Claim(epoch=1, snapshot=None, offsets={})


def test_a_commit_without_a_snapshot_keeps_the_last(store: Store) -> None:
    claim = store.claim_partition(DUTIES_PARTITION, "a", NOON)
    store.commit(DUTIES_PARTITION, claim.epoch, Facts(), snapshot={"core": b"one"}, offsets={}, now=NOON)
    store.commit(DUTIES_PARTITION, claim.epoch, Facts(), snapshot=None, offsets={}, now=NOON)

    assert store.claim_partition(DUTIES_PARTITION, "a", NOON).snapshot == {"core": b"one"}


def test_an_owner_whose_partition_was_claimed_writes_nothing(store: Store) -> None:
    old = store.claim_partition(0, "a", NOON)
    new = store.claim_partition(0, "b", NOON)

    with pytest.raises(Fenced, match="partition 0 has another owner since epoch 1"):
        store.commit(0, old.epoch, Facts(ledger=[ledger_row()]), snapshot={"core": b"old"}, offsets={"t": 5}, now=NOON)

    assert store.ledger_rows(NOON, NOON + MINUTE) == []
    store.commit(0, new.epoch, Facts(ledger=[ledger_row()]), snapshot={"core": b"new"}, offsets={"t": 6}, now=NOON)
    assert store.claim_partition(0, "c", NOON) == Claim(epoch=3, snapshot={"core": b"new"}, offsets={"t": 6})


def test_an_unclaimed_partition_takes_no_commit(store: Store) -> None:
    with pytest.raises(Fenced):
        store.commit(5, 1, Facts(), snapshot=None, offsets={}, now=NOON)


def test_owners_that_claim_at_the_same_time_get_different_epochs(store: Store) -> None:
    epochs: list[int] = []
    threads = [
        threading.Thread(target=lambda: epochs.append(store.claim_partition(0, "x", NOON).epoch)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(epochs) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_same_facts_again_change_nothing(store: Store) -> None:
    facts = Facts(
        ledger=[ledger_row(), ledger_row(line="tokens|openai/gpt|book", nano_usd=7)],
        charges=[charge()],
        rejects=[RejectRow(topic="t", partition=0, offset=4, index=1, reason="not JSON", payload=b"{\xff", at=NOON)],
        statuses=[StatusRow(workload=CHAT, team="search", at=NOON, state=WorkloadState.IDLE, usd_per_hour=8.0)],
        incidents=[incident()],
        notices=[notice("n1")],
    )

    def everything() -> list[object]:
        return [
            store.ledger_rows(NOON, NOON + MINUTE),
            store.charges_between(NOON, NOON + MINUTE),
            store.rejects(10),
            store.statuses(),
            store.open_incidents(),
            store.notices(10),
            store.teams(),
        ]

    epoch = store.claim_partition(0, "a", NOON).epoch
    store.commit(0, epoch, facts, snapshot=None, offsets={}, now=NOON)
    once = everything()
    store.commit(0, epoch, facts, snapshot=None, offsets={}, now=NOON + timedelta(hours=1))

    assert everything() == once
    assert [len(part) for part in once if isinstance(part, list)] == [2, 1, 1, 1, 1, 1]
