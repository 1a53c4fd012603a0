"""What holds for every stream, however it is cut, ordered, repeated or interrupted."""

import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.pipeline import SNAPSHOT_VERSION, SnapshotError
from streams.records import Record
from tests.streams.events import (
    CHAT,
    MINUTE,
    NOON,
    NOTEBOOK,
    SECOND,
    TOPICS,
    Log,
    change,
    charge,
    gpu,
    idle_gpu,
    nano_usd,
    pipeline,
    usage,
)

LAWFUL = settings(
    derandomize=True,
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MINUTES = 30


def scene(seed: int) -> list[list[dict[str, Any]]]:
    """Events of half an hour, by minute: idle, busy, tokens, an unknown model, late ones, a bill."""
    rng = random.Random(seed)
    minutes = []
    for number in range(MINUTES):
        at = NOON + number * MINUTE
        late = timedelta(seconds=rng.choice([0, 0, 0, 400, 3000]) if number else 0)
        events = [
            idle_gpu(at + 30 * SECOND),
            idle_gpu(at + MINUTE),
            gpu(at + 20 * SECOND, workload=CHAT, device="GPU-2", span_s=rng.choice([30.1, 60, 20.3]), power_w=None),
            gpu(at + 50 * SECOND, workload="lab/x/y", device="GPU-3", gpu_model="Abacus", span_s=30.7),
        ]
        for part in range(3):
            when = at + (1 + part * 20) * SECOND
            events.append(
                usage(
                    when - late,
                    event_id=f"{number}-{part}",
                    span_s=0,
                    model=rng.choice(["gpt-5-mini", "mystery"]),
                    input_tokens=rng.randrange(1_000_000),
                    output_tokens=rng.randrange(100_000),
                )
            )
            events.append(usage(when, event_id=f"same-{number}-{part}", span_s=0, input_tokens=rng.randrange(10**6)))
        if number % 10 == 5:
            events.append(change(at + SECOND - late, event_id=f"c{number}"))
        if number % 10 == 7:
            events.insert(0, charge(at, workload="lab/x/y", resource_id=f"i-{number}", effective_cost=str(40 + number)))
        minutes.append(events)
    return minutes


def records_of(minutes: list[list[dict[str, Any]]]) -> list[Record]:
    """Each event a message, in the order of the list; it arrives at the end of its minute."""
    log = Log()
    return [
        log.record(event, NOON + (number + 1) * MINUTE) for number, events in enumerate(minutes) for event in events
    ]


def told(facts: Any) -> tuple[Any, ...]:
    """Everything that the outside sees of facts, in a form that the order of rows doesn't touch."""
    return (
        sorted(facts.ledger, key=lambda row: (row.hour, row.workload, row.line)),
        sorted(facts.incidents, key=lambda one: one.incident_id),
        sorted(facts.notices, key=lambda one: one.notice_id),
        facts.charges,
        sorted(facts.changes, key=lambda one: one.event_id),
        facts.rejects,
        facts.statuses,
    )


def test_the_scene_has_what_the_laws_are_about():
    one = pipeline()
    one.observe(records_of(scene(1)))
    one.finish()

    facts = one.drain()
    assert {str(incident.kind) for incident in facts.incidents} >= {"idle", "unpriced"}
    assert facts.notices
    assert facts.charges
    assert one.take_tally().late > 0


@LAWFUL
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 400), max_size=40))
def test_how_the_stream_is_cut_changes_nothing(seed, cuts):
    records = records_of(scene(seed))
    whole, sliced = pipeline(), pipeline()

    whole.observe(records)
    edges = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    for start, end in pairwise(edges):
        sliced.observe(records[start:end])

    assert told(sliced.drain()) == told(whole.drain())
    assert sliced.snapshot() == whole.snapshot()


def test_a_slice_of_three_days_sets_aside_what_slices_of_a_message_do():
    values = [gpu(NOON + timedelta(hours=hour)) for hour in range(60)] + [gpu(NOON, device="GPU-2")]
    log = Log()
    records = [
        log.record(value, NOON + timedelta(hours=min(place, 59), seconds=1)) for place, value in enumerate(values)
    ]
    whole, single = pipeline(), pipeline()

    whole.observe(records)
    for record in records:
        single.observe([record])

    assert [row.offset for row in whole.drain().rejects] == [row.offset for row in single.drain().rejects] == [60]


@LAWFUL
@given(seed=st.integers(0, 1000), mix=st.randoms(use_true_random=False))
def test_the_order_inside_a_minute_changes_no_minute_and_no_incident(seed, mix):
    minutes = scene(seed)
    straight, mixed = pipeline(), pipeline()
    straight.observe(records_of(minutes))
    shuffled = []
    for events in minutes:
        kept = [event for event in events if TOPICS[event["type"]] == "billing.charges"]
        rest = [event for event in events if event not in kept]
        mix.shuffle(rest)
        shuffled.append(kept + rest)

    mixed.observe(records_of(shuffled))
    straight.finish()
    mixed.finish()

    assert told(mixed.drain())[:4] == told(straight.drain())[:4]


@LAWFUL
@given(seed=st.integers(0, 1000), again=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=60))
def test_duplicates_anywhere_change_no_dollars(seed, again):
    events = [(event, number) for number, minute in enumerate(scene(seed)) for event in minute]
    repeated = list(events)
    for source, place in again:
        event, number = events[source % len(events)]
        spot = place % len(repeated)
        repeated.insert(spot, (event, max(number, repeated[spot][1])))
    straight, noisy = pipeline(), pipeline()
    sums = []
    for one, stream in ((straight, events), (noisy, [*repeated, *events[::7]])):
        log = Log()
        latest, records = 0, []
        for event, number in stream:
            latest = max(latest, number)
            records.append(log.record(event, NOON + (latest + 1) * MINUTE))
        one.observe(records)
        sums.append(nano_usd(row for row in one.drain().ledger if row.workload != "lab/x/y"))

    assert sums[0] == sums[1]
    assert sum(sums[0].values()) > 10**9


@LAWFUL
@given(seed=st.integers(0, 1000), cut=st.floats(0, 1))
def test_a_trip_through_a_snapshot_in_the_middle_changes_nothing(seed, cut):
    records = records_of(scene(seed))
    place = round(cut * len(records))
    whole, first = pipeline(), pipeline()
    whole.observe(records[:place])
    whole_before = whole.drain()
    first.observe(records[:place])
    before = first.drain()

    second = pipeline()
    second.load(first.snapshot(), dict(first.offsets))
    second.observe(records)
    whole.observe(records[place:])
    second.finish()
    whole.finish()

    assert told(before) == told(whole_before)
    assert told(second.drain()) == told(whole.drain())
    assert second.snapshot() == whole.snapshot()
    assert second.offsets == whole.offsets


@LAWFUL
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_all_changes_together_are_the_snapshot(seed, cuts):
    records = records_of(scene(seed))
    one, parts = pipeline(), {}
    edges = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    for start, end in pairwise(edges):
        one.observe(records[start:end])
        one.drain()
        parts |= one.changes()

    second = pipeline()
    second.load({name: body for name, body in parts.items() if body is not None}, one.offsets)

    assert second.snapshot() == one.snapshot()
    assert set(one.changes()) == {"core"}


def test_a_snapshot_of_another_version_is_refused_with_what_to_do():
    one = pipeline(partition=3)
    parts = one.snapshot()
    held = msgspec.msgpack.decode(parts["core"])
    held["version"] = SNAPSHOT_VERSION + 1

    with pytest.raises(SnapshotError) as refusal:
        pipeline(partition=3).load({**parts, "core": msgspec.msgpack.encode(held)}, {})

    assert str(refusal.value) == (
        f"snapshot of partition 3 has version {SNAPSHOT_VERSION + 1}, this release reads {SNAPSHOT_VERSION}; "
        "start the release that wrote it"
    )


DAMAGE = [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x05", b"\x80", b"\x81\xa7version\x01"]


def full_parts() -> dict[str, bytes]:
    one = pipeline()
    one.observe(records_of(scene(1)))
    return one.snapshot()


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["core", "fleet", "open", "pages/lines", "pages/hour", "seen/samples", "seen/named"])
def test_damaged_bytes_are_refused(name, damage):
    parts = full_parts()
    damaged = next(part for part in sorted(parts) if part.startswith(name))

    with pytest.raises(SnapshotError, match=r"damaged|version"):
        pipeline().load({**parts, damaged: damage}, {})


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(msgspec.msgpack.decode(pipeline().snapshot()["core"]))),
    st.none() | st.integers(-(2**63), 2**63) | st.binary(max_size=9),
)
def test_a_damaged_part_is_refused_or_harmless(name, value):
    parts = pipeline().snapshot()
    held = msgspec.msgpack.decode(parts["core"])
    held[name] = value

    loaded, refused = pipeline(), ""
    try:
        loaded.load({**parts, "core": msgspec.msgpack.encode(held)}, {})
    except SnapshotError as error:
        refused = str(error)
    if refused:
        assert "damaged" in refused or "version" in refused
    else:
        pipeline().load(loaded.snapshot(), {})  # what was taken in can be written and read again
        assert loaded.drain().incidents == []


def test_duplicates_of_an_idle_notebook_neither_open_nor_close_anything():
    minutes = [[idle_gpu(NOON + number * MINUTE, span_s=60)] for number in range(1, MINUTES)]
    doubled = [events * 3 for events in minutes]
    straight, noisy = pipeline(), pipeline()

    straight.observe(records_of(minutes))
    noisy.observe(records_of(doubled))

    found = straight.drain()
    assert [incident.workload for incident in found.incidents] == [NOTEBOOK]
    assert told(noisy.drain()) == told(found)
