from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.duplicates import HOUR_MS, MOST_PIECES, Seen
from streams.marks import Marks, packed, unpacked

LAWFUL = settings(derandomize=True, max_examples=100, deadline=None)
DELIVERIES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5 * HOUR_MS)), max_size=60)
NAMES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5 * HOUR_MS)), max_size=40)
CUTS = st.lists(st.integers(0, 60), max_size=5)


def longs(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def samples(seen: Seen, deliveries: list[tuple[int, int]]) -> list[bool]:
    numbers, times = zip(*deliveries, strict=True) if deliveries else ((), ())
    return seen.samples(longs(*numbers), longs(*times)).tolist()


def named(seen: Seen, deliveries: list[tuple[str, int]]) -> list[bool]:
    names, times = zip(*deliveries, strict=True) if deliveries else ((), ())
    return seen.named(names, longs(*times)).tolist()


def sliced(deliveries, cuts):
    edges = [0, *sorted(cuts), len(deliveries)]
    return [deliveries[start:end] for start, end in pairwise(edges)]


def test_the_same_accelerator_at_another_time_is_another_sample():
    assert samples(Seen(), [(1, 0), (1, 0), (1, 30_000), (2, 0)]) == [True, False, True, True]


def test_a_name_is_known_beside_its_hour_whatever_its_time():
    seen = Seen()

    assert named(seen, [("a", 5), ("a", 6), ("a", HOUR_MS + 5), ("b", 5)]) == [True, False, False, True]


@LAWFUL
@given(DELIVERIES, CUTS)
def test_each_sample_is_the_first_once_however_deliveries_are_cut(deliveries, cuts):
    seen, known, found, expected = Seen(), set(), [], []
    for piece in sliced(deliveries, cuts):
        found += samples(seen, piece)
    for delivery in deliveries:
        expected.append(delivery not in known)
        known.add(delivery)

    assert found == expected
    assert len(seen) == len(known)


@LAWFUL
@given(NAMES, CUTS)
def test_each_name_is_the_first_once_in_its_hour_and_those_beside_it(deliveries, cuts):
    seen, known, found, expected = Seen(), set(), [], []
    for piece in sliced(deliveries, cuts):
        found += named(seen, piece)
    for name, at_ms in deliveries:
        hour = at_ms // HOUR_MS
        fresh = not {(name, hour - 1), (name, hour), (name, hour + 1)} & known
        expected.append(fresh)
        if fresh:
            known.add((name, hour))

    assert found == expected


@LAWFUL
@given(DELIVERIES, DELIVERIES, CUTS)
def test_a_trip_through_bytes_forgets_nothing(before, after, cuts):
    seen, loaded, parts = Seen(), Seen(), {}
    for piece in sliced(before, cuts):
        samples(seen, piece)
        seen.rest(3)
        parts |= seen.changes()

    loaded.load({name: body for name, body in parts.items() if body is not None})

    assert loaded.whole() == seen.whole()
    assert samples(loaded, after) == samples(seen, after)
    assert loaded.whole() == seen.whole()


def test_hours_before_the_horizon_are_forgotten_and_the_others_kept():
    seen = Seen()
    samples(seen, [(1, hour * HOUR_MS) for hour in range(5)])
    written = seen.changes()

    assert seen.forget(3) == 3

    gone = {name for name, body in seen.changes().items() if body is None}
    assert gone == {name for name in written if int(name.split("/")[1]) < 3}
    assert samples(seen, [(1, hour * HOUR_MS) for hour in (3, 4)]) == [False, False]


def test_too_many_identities_push_out_the_oldest_hours_and_it_says_so():
    seen = Seen(limit=10)
    for hour in range(4):
        samples(seen, [(number, hour * HOUR_MS) for number in range(4)])

    assert (seen.forget(0), len(seen)) == (2, 8)


def test_an_hour_written_in_many_pieces_becomes_one():
    seen, parts = Seen(), {}
    for moment in range(MOST_PIECES + 1):
        samples(seen, [(1, moment)])
        parts |= seen.changes()

    kept = {name: body for name, body in parts.items() if body is not None}
    assert list(kept) == ["samples/0/0"]
    assert unpacked(kept["samples/0/0"]).tolist() == ((1 << 22) + np.arange(MOST_PIECES + 1) + 1).tolist()


@pytest.mark.parametrize("most", [50, 5000])
def test_marks_are_a_set_at_any_size(most):
    rng = np.random.default_rng(1)
    marks, known = Marks(), set()
    for _ in range(30):
        drawn = rng.integers(1, most, 400)
        expected = []
        for mark in drawn.tolist():
            expected.append(mark not in known)
            known.add(mark)
        assert marks.add(drawn).tolist() == expected

    assert marks.values().tolist() == sorted(known)
    assert (len(marks), marks.holds(longs(most + 1, min(known))).tolist()) == (len(known), [False, True])


@LAWFUL
@given(st.lists(st.integers(1, 2**63 - 1), max_size=30))
def test_packing_loses_nothing(values):
    ordered = np.sort(np.array(values, dtype=np.int64))

    assert unpacked(packed(ordered)).tolist() == ordered.tolist()


def test_the_marks_of_a_regular_scrape_take_hardly_any_room():
    marks = np.sort(((np.arange(500) << 22)[:, None] + np.arange(0, 3_600_000, 30_000)[None, :] + 1).ravel())

    assert len(packed(marks)) < len(marks) * 8 / 50
