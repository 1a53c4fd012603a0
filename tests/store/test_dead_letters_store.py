"""What was set aside is counted once, found again, and put back once; a stop lasts until someone ends it."""

from datetime import timedelta

from store.facts import AllowanceRow, Facts, RejectCount, RejectRow, StopRow
from store.rejects import Place
from store.store import Store
from tests.store.samples import HOUR, MINUTE, NOON, commit, incident, notice


def reject(offset: int, **fields) -> RejectRow:
    values = {
        "topic": "gpu.samples", "partition": 0, "offset": offset, "index": 0, "reason": "truncated",
        "payload": b"{", "at": NOON + offset * MINUTE,
    }  # fmt: skip
    return RejectRow(**{**values, **fields})


def stop(**fields) -> StopRow:
    values = {
        "partition": 0, "topic": "gpu.samples", "offset": 41, "reason": "too many", "at": NOON,
        "incident_id": "inc_a",
    }  # fmt: skip
    return StopRow(**{**values, **fields})


def test_rejects_are_found_by_topic_partition_offset_and_arrival(store: Store) -> None:
    rows = [reject(1), reject(2, fault="too_late"), reject(2, topic="token.usage"), reject(3, partition=0, index=4)]
    commit(store, Facts(rejects=rows))

    assert store.rejects(None) == [rows[3], rows[1], rows[2], rows[0]]
    assert store.rejects(1) == [rows[3]]
    assert store.rejects(None, topic="token.usage") == [rows[2]]
    assert store.rejects(None, offset=2) == [rows[1], rows[2]]
    assert store.rejects(None, partition=1) == []
    assert store.rejects(None, since=NOON + 3 * MINUTE) == [rows[3]]


def test_a_count_that_is_written_again_counts_nothing_twice_and_never_falls(store: Store) -> None:
    def count(events: int, hour=NOON) -> RejectCount:
        return RejectCount(hour=hour, partition=0, fault="malformed", events=events)

    commit(store, *(Facts(reject_counts=[one]) for one in (count(5), count(5), count(9), count(2))))
    commit(store, Facts(reject_counts=[count(1, NOON + HOUR)], rejects=[reject(1)]))

    assert store.reject_counts() == {"malformed": 10, "truncated": 1}
    assert store.reject_counts(NOON + HOUR, NOON + 2 * HOUR) == {"malformed": 1}
    store.prune(NOON + HOUR)
    assert store.reject_counts() == {"malformed": 1}


def test_what_is_put_back_is_in_the_inbox_and_noted(store: Store) -> None:
    one, other = reject(1), reject(2, payload=b"\x00\xff", topic="token.usage")
    place = Place("token.usage", 0, 2, 0)

    store.replay_rejects([other], "ana", NOON)

    assert [(row.topic, row.value) for row in store.inbox_read(0, 10)] == [("token.usage", b"\x00\xff")]
    asked = [Place("gpu.samples", 0, one.offset, 0), place]
    assert store.replayed(asked * 300) == {place}
    store.mark_replayed(asked, "ana", NOON)
    assert store.replayed(asked) == set(asked)
    assert store.replayed([]) == set()


def test_a_stop_lasts_until_it_is_ended_and_is_taken_up_once(store: Store) -> None:
    opened = incident()
    ended = incident(resolved_at=NOON + HOUR, updated_at=NOON + HOUR, transition=1)
    commit(store, Facts(stops=[stop()], incidents=[opened]))

    assert store.stops() == [stop()]
    assert store.take_up_resumed(0, NOON) is None
    claim = store.claim_partition(0, "x", NOON)
    assert (claim.stop, claim.allowance) == (stop(), 0)
    assert store.resume(0, "ana", NOON + HOUR, allowance=7, incidents=[ended], notices=[notice("n1", 1)])
    assert not store.resume(0, "bob", NOON + 2 * HOUR, notices=[notice("n2", 2)])
    assert (store.stops(), store.open_incidents()) == ([], [])
    assert [entry.notice.notice_id for entry in store.notices(10)] == ["n1"]
    claims = [store.claim_partition(0, "x", NOON + HOUR + timedelta(seconds=n)) for n in (1, 2)]
    assert [(one.stop, one.allowance) for one in claims] == [(None, 7), (None, 7)]


def test_what_is_let_through_is_used_up_with_the_commits_that_used_it(store: Store) -> None:
    commit(store, Facts(stops=[stop()]))
    assert store.resume(0, "ana", NOON + HOUR, allowance=7)
    assert store.take_up_resumed(0, NOON + HOUR) == 7

    commit(store, Facts(allowances=[AllowanceRow(partition=0, left=4)]))
    assert store.take_up_resumed(0, NOON + HOUR) == 4
    commit(store, Facts(allowances=[AllowanceRow(partition=0, left=6)]))  # an earlier one, written again
    assert store.claim_partition(0, "x", NOON + HOUR).allowance == 4
    assert store.take_up_resumed(1, NOON) == 0
