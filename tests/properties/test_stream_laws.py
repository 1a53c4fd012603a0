"""What holds for every log, however it is cut, ordered, repeated or interrupted; with all detectors of the product."""

from datetime import timedelta
from itertools import pairwise
from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from streams.records import Record
from tests.properties.driving import Kept, finished, hand, kept, pipeline
from tests.properties.world import Log, Message, Plan, log_of, logs, numbered
from tests.support.hypothesis_profiles import effort

EVERYTHING = Plan(22, [(0, 1, 18), (1, 4, 12), (0, 0, 0), (3, 5, 9)], (0, 0), 0, [])
IN_TIME, ORDERLY = 1, 4  # of TIMES: only what is in time; what is late, too, but taken whenever it comes
CUTS = st.lists(st.integers(0, 300), max_size=12)


def at_once(records: list[Record]) -> Kept:
    """What is known in the end when everything comes in one go."""
    one = pipeline()
    hand(one, records)
    return kept(finished(one))


def test_the_plainest_log_opens_and_resolves_incidents_of_several_kinds():
    result = at_once(log_of(EVERYTHING).records)

    kinds = {str(one.kind) for one in result.incidents.values()}
    assert kinds >= {"idle", "unpriced"}
    assert any(one.resolved_at is not None for one in result.incidents.values())
    assert result.notices
    assert len({row.hour for row in result.ledger.values()}) == 2


@effort(80)
@given(logs(), CUTS, st.booleans())
def test_how_the_log_is_cut_into_calls_changes_nothing(log: Log, cuts: list[int], ticks: bool):
    records = log.records
    whole, cut = pipeline(), pipeline()

    hand(whole, records)
    for start, end in pairwise([0, *sorted(place for place in cuts if place < len(records)), len(records)]):
        hand(cut, records[start:end])
        if ticks and end:
            cut.tick(records[end - 1].arrived_at)

    assert cut.offsets == whole.offsets
    assert cut.watermark == whole.watermark
    assert cut.take_tally() == whole.take_tally()
    assert kept(cut.drain(), finished(cut)) == kept(whole.drain(), finished(whole))


@effort(30)
@given(logs())
def test_single_messages_and_slices_are_the_same(log: Log):
    sliced, single = pipeline(), pipeline()

    hand(sliced, log.records)
    for record in log.records:
        single.observe([record])

    assert single.take_tally() == sliced.take_tally()
    assert kept(finished(single)) == kept(finished(sliced))


@effort(80)
@given(logs(times=IN_TIME), st.randoms(use_true_random=False))
def test_the_order_inside_a_minute_changes_nothing(log: Log, mix: Random):
    straight = unambiguous(log)
    mixed = [shuffled_by_topic(minute, mix) for minute in straight]

    one = at_once(numbered([message for minute in straight for message in minute]))
    other = at_once(numbered([message for minute in mixed for message in minute]))
    for result in (one, other):
        result.rejects = {row.payload: row.reason for row in result.rejects.values()}  # offsets are the order itself
    assert other == one


def unambiguous(log: Log) -> list[list[Message]]:
    """The log without samples that contradict each other: of such, the first that comes is the one that counts.

    The bill comes first in its minute: what it teaches holds from then on.
    """
    first: dict[str, str] = {}
    minutes = []
    for minute in log.minutes:
        messages = []
        for message in minute:
            events = [event for event in message.events if _agrees(event, first)]
            if isinstance(message.content, list):
                message = message._replace(content=events)
            if events or isinstance(message.content, bytes):
                messages.append(message)
        minutes.append(sorted(messages, key=lambda one: one.topic != "billing.charges"))
    return minutes


def _agrees(event: dict[str, object], first: dict[str, str]) -> bool:
    if event["type"] == "charge":  # of those for the same period, the latest delivered counts
        return True
    key = f"{event['type']}|{event.get('device', event.get('event_id'))}|{event['at']}"
    text = json.encode(event).decode()
    return first.setdefault(key, text) == text


def shuffled_by_topic(minute: list[Message], mix: Random) -> list[Message]:
    """The messages of each topic in another order, at the places of that topic."""
    by_topic: dict[str, list[Message]] = {}
    for message in minute:
        by_topic.setdefault(message.topic, []).append(message)
    for messages in by_topic.values():
        mix.shuffle(messages)
    return [by_topic[message.topic].pop() for message in minute]


@effort(80)
@given(logs(), st.integers(0, 1000), st.integers(0, 60))
def test_a_trip_through_a_snapshot_and_reading_again_changes_nothing(log: Log, cut_per_mille: int, again: int):
    records = log.records
    place = len(records) * cut_per_mille // 1000
    whole, first, second = pipeline(), pipeline(), pipeline()
    hand(whole, records[:place])
    hand(first, records[:place])
    whole_before, before = whole.drain(), first.drain()

    second.load(first.snapshot(), dict(first.offsets))
    hand(second, records[max(place - again, 0) :])
    hand(whole, records[place:])

    assert kept(before) == kept(whole_before)
    assert second.offsets == whole.offsets
    assert kept(finished(second)) == kept(finished(whole))


@effort(80)
@given(logs(), CUTS, st.integers(0, 6))
def test_facts_written_ahead_of_the_snapshot_and_again_after_a_crash_are_the_same(
    log: Log, cuts: list[int], every: int
):
    records = log.records
    edges = [0, *sorted(place for place in cuts if place < len(records)), len(records)]
    calm, calmly, crashing, store = pipeline(), Kept(), pipeline(), Kept()
    saved: dict[str, bytes] = {}  # the parts of the snapshot, as far as they were written
    offsets: dict[str, int] = {}
    for number, (start, end) in enumerate(pairwise(edges)):
        hand(calm, records[start:end])
        calmly.write(calm.drain())
        hand(crashing, records[:end])
        store.write(crashing.drain())
        if every and number % every == 0:  # the facts are written, the process dies before its snapshot is
            crashing = pipeline()
            if saved:
                crashing.load(saved, offsets)
            hand(crashing, records[:end])
            store.write(crashing.drain())
        if number % 2:
            parts, offsets = {**saved, **crashing.changes()}, dict(crashing.offsets)
            saved = {name: body for name, body in parts.items() if body is not None}
            if number % 4 == 3:
                again = pipeline()
                again.load(saved, offsets)
                assert again.snapshot() == crashing.snapshot()
    calmly.write(finished(calm))
    store.write(finished(crashing))

    for result in (calmly, store):
        result.statuses = {}  # of workloads that fell silent they show when they were looked at
        result.devices = {name: row.workload for name, row in result.devices.items()}
    assert store == calmly


@effort(80)
@given(logs(times=ORDERLY), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=20))
def test_a_message_delivered_twice_changes_nothing(log: Log, copies: list[tuple[int, int]]):
    messages = log.messages
    repeated = list(messages)
    for source, place in copies:
        message = messages[source % len(messages)]
        first = next(place for place, one in enumerate(repeated) if one is message)
        spot = first + 1 + place % (len(repeated) - first)
        arrived_at = repeated[spot - 1].arrived_at
        repeated.insert(spot, message._replace(arrived_at=arrived_at))

    once, twice = at_once(numbered(messages)), at_once(numbered(repeated))

    for result in (once, twice):
        result.rejects = {row.payload: row.reason for row in result.rejects.values()}  # set aside as often as it comes
    assert twice == once


@effort(30)
@given(logs())
def test_every_figure_that_leaves_is_a_number(log: Log):
    result = at_once(log.records)

    for row in (*result.statuses.values(), *result.incidents.values(), *result.ledger.values()):
        for figure in numbers_of(row):
            assert isfinite(figure), row


def numbers_of(row: object) -> list[float]:
    """The floats of a struct, those of its evidence included."""
    values = [getattr(row, name) for name in row.__struct_fields__]  # type: ignore[attr-defined]
    values += [figure for value in values if isinstance(value, dict) for figure in value.values()]
    return [value for value in values if isinstance(value, float)]


@effort(80)
@given(logs(times=IN_TIME, holes=False), st.randoms(use_true_random=False))
def test_how_the_topics_come_between_each_other_changes_nothing(log: Log, mix: Random):
    """As long as the pipeline is told which topics have unread messages; what the bill teaches depends on when."""
    records = [record for record in log.records if record.topic != "billing.charges"]
    end = records[-1].arrived_at + timedelta(seconds=1)
    queues: dict[str, list[Record]] = {}
    for record in records:
        queues.setdefault(record.topic, []).append(record)
    straight, mixed = pipeline(), pipeline()
    read(straight, {topic: list(queue) for topic, queue in queues.items()}, end, lambda topics: topics[0])
    read(mixed, queues, end, lambda topics: mix.choice(topics))

    assert kept(finished(mixed)) == kept(finished(straight))


def read(one, queues: dict[str, list[Record]], now, choose) -> None:
    """Read topics to their ends, in the order that `choose` says."""
    while any(queues.values()):
        topic = choose([name for name, queue in queues.items() if queue])
        run, queues[topic] = queues[topic][:7], queues[topic][7:]
        hand(one, run, behind=frozenset(name for name, queue in queues.items() if queue), now=now)


@pytest.mark.parametrize("packing", [0, 1, 3])
def test_the_generator_says_the_same_however_it_packs(packing: int):
    plain, packed = at_once(log_of(EVERYTHING).records), at_once(log_of(EVERYTHING._replace(packing=packing)).records)

    assert packed == plain
