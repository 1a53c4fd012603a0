"""The limit on what may be set aside: it trips at one message, however the messages are cut."""

from random import Random

import pytest

from store.facts import RejectRow
from streams.poison import Poison, PoisonGuard, PoisonLimit, Trip
from streams.records import Messages, Record, Refused, Slice
from tests.streams.events import NOON, encoded, gpu

LIMIT = PoisonLimit(max_in_a_row=5, max_ratio=0.5, window=20)
GOOD, BAD = encoded(gpu()), b"{"


def piece(values: list[bytes], first: int = 0, topic: str = "gpu.samples") -> Slice:
    offsets = list(range(first, first + len(values)))
    return Slice(topic, 3, offsets, [1_000 + offset for offset in offsets], values)


def reject(offset: int, topic: str = "gpu.samples", index: int = 0) -> RejectRow:
    return RejectRow(topic=topic, partition=3, offset=offset, index=index, reason="truncated", payload=b"{", at=NOON)


def read(guard: PoisonGuard, messages: Messages) -> Trip | None:
    """As the keeper does: observe a part, judge it, and stop where the limit is passed."""
    for part in guard.parts(messages):
        assert isinstance(part, Slice)
        bad = [reject(at, part.topic) for at, value in zip(part.offsets, part.values, strict=True) if value == BAD]
        trip = guard.judge(part, bad)
        if trip is not None:
            return trip
    return None


def test_bad_messages_in_a_row_are_borne_up_to_the_limit_and_one_more_is_not():
    guard = PoisonGuard(LIMIT)

    assert read(guard, piece([GOOD, *[BAD] * 5])) is None
    assert read(guard, piece([BAD, GOOD], first=6)) == Trip(
        topic="gpu.samples",
        offset=6,
        arrived_ms=1_006,
        bad_messages=6,
        of_messages=6,
        reason="6 messages in a row of gpu.samples could not be used, the limit is 5",
    )


def test_a_share_of_the_latest_messages_is_borne_up_to_the_limit_and_more_is_not():
    guard = PoisonGuard(LIMIT)
    values = [BAD, GOOD] * 9 + [BAD, BAD, GOOD]

    trip = read(guard, piece(values))

    assert trip is not None
    assert (trip.offset, trip.bad_messages, trip.of_messages) == (19, 11, 20)
    assert trip.reason == "11 of the latest 20 messages of gpu.samples could not be used, the limit is 50 %"


def test_what_left_the_window_is_forgotten_and_so_is_a_row_that_ended():
    guard = PoisonGuard(LIMIT)

    for start in range(0, 400, 40):
        assert read(guard, piece([*[BAD] * 5, *[GOOD] * 15, *[BAD] * 5, *[GOOD] * 15], first=start)) is None


def test_where_it_stops_does_not_depend_on_how_the_messages_are_cut():
    random = Random(4)
    values = [BAD if random.random() < 0.48 else GOOD for _ in range(3_000)]
    warm = [BAD, *values]  # from the first bad one on, nothing is handed over beyond the limit
    expected = read(PoisonGuard(LIMIT), piece(warm))
    assert expected is not None

    for seed in range(20):
        cuts, guard, first, trip = Random(seed), PoisonGuard(LIMIT), 0, None
        while trip is None:
            length = cuts.randint(1, 50)
            trip = read(guard, piece(warm[first : first + length], first=first))
            first += length
        assert trip == expected


def test_a_healthy_input_is_not_cut_and_a_bad_one_is_cut_at_the_limit():
    guard = PoisonGuard(LIMIT)
    whole = piece([GOOD] * 1_000)

    assert [part is whole for part in guard.parts(whole)] == [True]
    guard.judge(piece([BAD] * 3), [reject(0), reject(1), reject(2)])
    assert [len(part) for part in guard.parts(piece([GOOD] * 7, first=3))] == [3, 3, 1]


def refused(first: int, last: int, topic: str = "gpu.samples") -> Refused:
    return Refused(topic, 3, first=first, last=last, at=NOON, reason="the batch is damaged")


def test_a_batch_that_cannot_be_had_counts_as_the_messages_it_is():
    guard = PoisonGuard(LIMIT)

    assert read(guard, piece([GOOD, BAD, BAD])) is None
    assert guard.judge_refused(refused(3, 4)) is None
    assert read(guard, piece([BAD, GOOD], first=5)) is None
    assert guard.judge_refused(refused(7, 11)) is None
    assert guard.judge_refused(refused(0, 9, topic="token.usage")) is not None
    assert guard.judge_refused(refused(12, 12)) == Trip(
        topic="gpu.samples",
        offset=12,
        arrived_ms=round(NOON.timestamp() * 1000),
        bad_messages=6,
        of_messages=6,
        reason="6 messages in a row of gpu.samples could not be used, the limit is 5",
    )


def test_a_damaged_batch_that_claims_billions_of_messages_is_counted_at_once():
    guard = PoisonGuard(LIMIT, allowance=10)

    trip = guard.judge_refused(refused(100, 100 + 2**40))

    assert trip is not None
    assert (trip.offset, trip.bad_messages) == (115, 6)


def test_an_allowance_lets_so_many_bad_ones_through_before_counting_begins():
    guard = PoisonGuard(LIMIT, allowance=100)

    assert read(guard, piece([BAD] * 105)) is None
    trip = read(guard, piece([BAD] * 9, first=105))

    assert trip is not None
    assert (trip.offset, trip.bad_messages) == (105, 6)


@pytest.mark.parametrize(("together", "trips"), [(False, True), (True, False)])
def test_topics_are_counted_apart_unless_they_share_a_log(together: bool, trips: bool):
    guard = PoisonGuard(PoisonLimit(max_in_a_row=2, max_ratio=1.0), together=together)
    records = [
        Record(("unknown", "gpu.samples")[number % 2], 0, number, NOON, (BAD, GOOD)[number % 2]) for number in range(10)
    ]

    trip = None
    for part in guard.parts(records):
        trip = guard.judge(part, [reject(number, "unknown") for number in range(0, 10, 2)]) or trip

    assert (trip is not None) is trips


def test_a_message_counts_as_bad_when_half_of_its_events_could_not_be_used():
    guard = PoisonGuard(PoisonLimit(max_in_a_row=1, max_ratio=1.0))
    envelope = encoded([gpu(), gpu(), gpu(), gpu()])

    assert guard.judge(piece([envelope] * 3), [reject(at) for at in range(3)]) is None
    halves = [reject(at, index=index) for at in (3, 4) for index in (0, 2)]
    assert guard.judge(piece([envelope] * 2, first=3), halves) is not None


def test_memory_does_not_grow_with_the_messages():
    poison = Poison(PoisonLimit(max_in_a_row=10_000, max_ratio=1.0, window=100))

    for _ in range(1_000):
        poison.take(50, range(0, 50, 2))

    assert len(poison._recent) == 50
