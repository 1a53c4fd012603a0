from hypothesis import given, settings
from hypothesis import strategies as st

from streams.duplicates import HOUR_S, Seen

HOUR_MS = HOUR_S * 1000
LAWFUL = settings(derandomize=True, max_examples=100, deadline=None)
DELIVERIES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5 * HOUR_MS)), max_size=60)


def test_the_same_identity_at_another_time_is_another_event():
    seen = Seen()

    assert [seen.first("GPU-1", 0), seen.first("GPU-1", 0), seen.first("GPU-1", 30_000), seen.first("GPU-2", 0)] == [
        True,
        False,
        True,
        True,
    ]


@LAWFUL
@given(DELIVERIES)
def test_each_delivery_is_the_first_once(deliveries):
    seen, known = Seen(), set()

    for delivery in deliveries:
        assert seen.first(*delivery) is (delivery not in known)
        known.add(delivery)


@LAWFUL
@given(DELIVERIES, DELIVERIES)
def test_a_trip_through_bytes_forgets_nothing(before, after):
    seen, loaded = Seen(), Seen()
    for delivery in before:
        seen.first(*delivery)

    loaded.load(seen.to_bytes())

    assert loaded.to_bytes() == seen.to_bytes()
    assert [loaded.first(*delivery) for delivery in after] == [seen.first(*delivery) for delivery in after]


def test_hours_before_the_horizon_are_forgotten_and_the_others_kept():
    seen = Seen()
    for hour in range(5):
        seen.first("GPU-1", hour * HOUR_MS)

    seen.forget(3)

    assert sorted(seen.hours) == [3, 4]
    assert [seen.first("GPU-1", hour * HOUR_MS) for hour in (2, 3, 4)] == [True, False, False]
