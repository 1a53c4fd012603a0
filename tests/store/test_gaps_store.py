"""Gaps and topic ids come and go with the commit that moves the offsets."""

from msgspec.structs import replace

from store.facts import Facts, GapCause, TopicIdRow
from store.store import Store
from tests.store.samples import HOUR, MINUTE, NOON, commit, gap_row

ONE = "7a88feb0-28c1-4817-a792-3841f2a77187"


def test_a_gap_is_kept_once_as_it_stands_now(store: Store) -> None:
    gap = gap_row()
    other = gap_row(
        gap_id="gap_b", cause=GapCause.RECREATED, most_events=None, usd_per_hour=None, incident_id=None,
        found_at=NOON + MINUTE,
    )  # fmt: skip
    commit(store, Facts(gaps=[gap, other]), partition=3)
    over = replace(gap, ended_at=NOON)
    commit(store, Facts(gaps=[over, over]), partition=3)

    assert store.gaps(10) == [other, over]
    assert store.gaps(1) == [other]
    assert store.open_gaps(3) == [other]
    assert store.open_gaps(0) == []
    assert store.gaps_between(NOON - HOUR, NOON) == [over, other]
    assert store.gaps_between(NOON + HOUR, NOON + 2 * HOUR) == [other]


def test_the_dollars_are_the_pace_for_as_long_as_nothing_was_read() -> None:
    gap = gap_row()

    assert (gap.usd(NOON), gap.usd(NOON + HOUR)) == (4.0, 8.0)
    assert replace(gap, ended_at=NOON + 2 * HOUR).usd(NOON + 9 * HOUR) == 12.0
    assert replace(gap, usd_per_hour=None).usd(NOON) is None


def test_the_id_of_a_topic_is_the_one_written_last(store: Store) -> None:
    commit(store, Facts(topic_ids=[TopicIdRow(partition=3, topic="gpu.samples", topic_id="old")]), partition=3)
    commit(store, Facts(topic_ids=[TopicIdRow(partition=3, topic="gpu.samples", topic_id=ONE)]), partition=3)

    assert (store.topic_ids(3), store.topic_ids(0)) == ({"gpu.samples": ONE}, {})


def test_what_is_over_and_old_is_forgotten(store: Store) -> None:
    rows = [gap_row(ended_at=NOON), gap_row(gap_id="gap_b", ended_at=NOON + HOUR), gap_row(gap_id="gap_c")]
    commit(store, Facts(gaps=rows), partition=3)

    store.prune(NOON + MINUTE)

    assert [gap.gap_id for gap in store.gaps(10)] == ["gap_b", "gap_c"]
