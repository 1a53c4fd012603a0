"""The outbox tells in order, to each channel once, and knows what it does not know."""

import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from alerts.notices import Outcome, Receipt
from store.facts import Facts
from store.outbox import ClaimedNotice, OutboxEntry, State
from store.store import Store
from tests.store.samples import HOUR, MINUTE, NOON, commit, incident, notice

DELIVERED = Receipt(outcome=Outcome.DELIVERED, reference="C1:1.0")
RETRY = Receipt(outcome=Outcome.RETRY, detail="503")
AMBIGUOUS = Receipt(outcome=Outcome.AMBIGUOUS, detail="timeout")
REFUSED = Receipt(outcome=Outcome.REFUSED, detail="channel_not_found")
Claimer = Callable[..., list[ClaimedNotice]]


@pytest.fixture
def claim(store: Store) -> Claimer:
    def claim_now(
        now: datetime = NOON, owner: str = "a", channel: str = "slack", limit: int = 10
    ) -> list[ClaimedNotice]:
        return store.claim_notices(channel, owner, now, 60.0, limit)

    return claim_now


def ids(claimed: list[ClaimedNotice]) -> list[str]:
    return [one.notice.notice_id for one in claimed]


def state_of(store: Store, notice_id: str) -> State:
    return next(entry.state for entry in store.notices(100) if entry.notice.notice_id == notice_id)


def test_a_claim_gives_the_notice_once(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("n1")])

    assert claim() == [ClaimedNotice(notice=notice("n1"), attempts=1, was_ambiguous=False, reference=None)]
    assert claim(owner="b") == []
    assert state_of(store, "n1") is State.SENDING


def test_a_notice_enqueued_again_is_one_row_and_stays_settled(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("n1"), notice("n1")])
    claim()
    assert store.settle_notice("n1", DELIVERED, NOON)

    commit(store, Facts(notices=[notice("n1", title="again")]))

    assert store.notices(10) == [
        OutboxEntry(
            notice=notice("n1"),
            state=State.DELIVERED,
            attempts=1,
            retry_at=None,
            reference="C1:1.0",
            detail="",
            settled_at=NOON,
        )
    ]
    assert claim(NOON + HOUR) == []


def test_the_notices_of_a_subject_go_one_after_the_other(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("resolved", 2), notice("updated", 1), notice("opened", 0)])

    assert ids(claim()) == ["opened"]
    assert ids(claim()) == []
    store.settle_notice("opened", DELIVERED, NOON)
    assert ids(claim()) == ["updated"]
    store.settle_notice("updated", REFUSED, NOON)
    assert ids(claim()) == ["resolved"]


def test_notices_of_one_transition_go_in_the_order_they_came(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("first", 1)])
    store.enqueue([notice("second", 1)])
    assert ids(claim()) == ["first"]


def test_subjects_and_channels_do_not_wait_for_each_other(store: Store, claim: Claimer) -> None:
    store.enqueue(
        [
            notice("a0"),
            notice("a1", 1),
            notice("b1", 1, subject_id="inc_b"),
            notice("p1", 1, channel="pagerduty"),
        ]
    )
    assert ids(claim()) == ["a0", "b1"]
    assert ids(claim(channel="pagerduty")) == ["p1"]


def test_a_claim_takes_no_more_than_it_is_told(store: Store, claim: Claimer) -> None:
    store.enqueue([notice(f"n{k}", subject_id=f"inc_{k}") for k in range(5)])
    assert ids(claim(limit=2)) == ["n0", "n1"]
    assert ids(claim(limit=2)) == ["n2", "n3"]


def test_a_retry_waits_until_its_time_and_holds_up_its_subject(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("opened", 0), notice("resolved", 1)])
    claim()
    store.settle_notice("opened", RETRY, NOON, NOON + 5 * MINUTE)

    assert claim(NOON + 4 * MINUTE) == []
    (again,) = claim(NOON + 5 * MINUTE)
    assert again == ClaimedNotice(notice=notice("opened"), attempts=2, was_ambiguous=False, reference=None)


def test_a_lease_that_runs_out_leaves_an_ambiguous_notice(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("n1")])
    claim()

    assert claim(NOON + MINUTE / 2, owner="b") == []
    assert claim(NOON + MINUTE, owner="b") == [
        ClaimedNotice(notice=notice("n1"), attempts=2, was_ambiguous=True, reference=None)
    ]


def test_an_ambiguous_answer_is_claimed_again_as_ambiguous_and_holds_up_its_subject(
    store: Store, claim: Claimer
) -> None:
    store.enqueue([notice("opened", 0), notice("resolved", 1)])
    claim()
    store.settle_notice("opened", AMBIGUOUS, NOON, NOON + MINUTE)

    assert claim() == []
    (again,) = claim(NOON + MINUTE)
    assert (again.notice.notice_id, again.was_ambiguous) == ("opened", True)
    store.settle_notice("opened", RETRY, NOON + MINUTE)
    assert [one.was_ambiguous for one in claim(NOON + MINUTE)] == [False]


def test_later_notices_know_the_first_message_of_their_subject(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("opened", 0), notice("updated", 1), notice("resolved", 2)])
    for number, name in enumerate(("opened", "updated")):
        claim()
        receipt = Receipt(outcome=Outcome.DELIVERED, reference=f"C1:{number}")
        store.settle_notice(name, receipt, NOON)

    assert [one.reference for one in claim()] == ["C1:0"]
    assert store.delivered_references("slack", "inc_a") == ["C1:0", "C1:1"]
    assert store.delivered_references("pagerduty", "inc_a") == []


def test_a_late_answer_of_a_former_owner_frees_nothing(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("n1")])
    claim(owner="a")
    claim(NOON + HOUR, owner="b")

    assert not store.settle_notice("n1", RETRY, NOON + HOUR, owner="a")
    assert claim(NOON + HOUR, owner="c") == []
    assert store.settle_notice("n1", DELIVERED, NOON + HOUR, owner="a")
    assert not store.settle_notice("n1", RETRY, NOON + HOUR, owner="b")
    assert state_of(store, "n1") is State.DELIVERED


def test_what_waits_is_counted_by_channel(store: Store, claim: Claimer) -> None:
    assert (store.pending_counts(), store.oldest_pending_at()) == ({}, None)
    store.enqueue(
        [
            notice("a", at=NOON - HOUR),
            notice("b", subject_id="inc_b"),
            notice("c", channel="pagerduty", at=NOON + HOUR),
        ]
    )
    claim()
    store.settle_notice("a", DELIVERED, NOON)

    assert store.pending_counts() == {"pagerduty": 1, "slack": 1}
    assert store.oldest_pending_at() == NOON


def test_what_was_not_sent_yet_can_be_superseded(store: Store, claim: Claimer) -> None:
    store.enqueue([notice("opened", 0), notice("updated", 1), notice("resolved", 2)])
    claim()

    assert store.supersede_notices("slack", "inc_a", 2, NOON) == 1

    assert [state_of(store, name) for name in ("opened", "updated", "resolved")] == [
        State.SENDING,
        State.SUPERSEDED,
        State.PENDING,
    ]


def test_notices_are_shown_the_newest_first(store: Store) -> None:
    store.enqueue([notice("a"), notice("b", subject_id="inc_b"), notice("c", channel="pagerduty")])
    shown = [
        [entry.notice.notice_id for entry in store.notices(*arguments)]
        for arguments in ((10,), (1,), (10, "slack"), (10, None, "inc_a"))
    ]
    assert shown == [["c", "b", "a"], ["c"], ["b", "a"], ["c", "a"]]


def test_many_claimers_at_once_get_each_notice_once(store: Store) -> None:
    store.enqueue([notice(f"n{k:02}", subject_id=f"inc_{k}") for k in range(40)])
    got: list[str] = []

    def work(owner: str) -> None:
        while claimed := store.claim_notices("slack", owner, NOON, 60.0, 3):
            got.extend(ids(claimed))

    threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [f"n{k:02}" for k in range(40)]


def test_pruning_keeps_what_an_open_incident_may_need(store: Store, claim: Claimer) -> None:
    commit(store, Facts(incidents=[incident()], notices=[notice("a"), notice("b", subject_id="inc_gone")]))
    claim()
    store.settle_notice("a", DELIVERED, NOON)
    store.settle_notice("b", DELIVERED, NOON)

    store.prune(NOON + HOUR)

    assert [entry.notice.notice_id for entry in store.notices(10)] == ["a"]
