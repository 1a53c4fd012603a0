"""Weighed quantiles of like moments: what counts, and what does not."""

import numpy as np

from detectors.likeness import ALL_ALIKE, Likeness, days_of, quantiles, weights_for
from detectors.seasonal import HOURLY, Season

DAILY = Season(1, 7)
MONDAY = 18624  # days since 1970-01-01, a Thursday


def middle(totals: np.ndarray, ahead: int, ago: int, like: Likeness, known: np.ndarray | None = None) -> float:
    seen = np.ones(totals.shape, dtype=bool) if known is None else known
    days = days_of(totals[None, :], seen.reshape(1, -1), MONDAY, DAILY, len(totals))
    return float(quantiles(days, weights_for(days, ahead, ago, like), [0.5])[0][0, 0])


def test_the_same_weekday_outweighs_the_others():
    assert MONDAY % 7 == 4
    weeks = np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 60.0, 70.0], 4)
    like = Likeness(half_life_days=14.0, same_class=0.1, other=0.0)

    assert [middle(weeks, day, 0, like) for day in range(7)] == [1.0, 2.0, 3.0, 4.0, 5.0, 60.0, 70.0]


def test_a_weekend_resembles_a_weekend():
    weeks = np.tile([1.0, 1.0, 1.0, 1.0, 1.0, 60.0, 70.0], 4)
    assert middle(weeks, 5, 0, Likeness(half_life_days=14.0, same_class=1.0, other=0.0)) in (60.0, 70.0)


def test_a_near_day_counts_more_than_a_far_one():
    assert middle(np.array([9.0] * 20 + [1.0] * 6), 0, 0, Likeness(half_life_days=2.0)) == 1.0
    assert middle(np.array([9.0] * 20 + [1.0] * 6), 0, 0, Likeness(half_life_days=1000.0)) == 9.0


def test_an_earlier_origin_sees_nothing_of_what_came_after():
    totals = np.arange(30.0)
    changed = np.where(np.arange(30) >= 20, 1e6, totals)
    assert middle(totals, 2, 10, ALL_ALIKE) == middle(changed, 2, 10, ALL_ALIKE) == middle(totals[:20], 2, 0, ALL_ALIKE)


def test_what_is_unknown_counts_only_where_nothing_is_known():
    totals = np.array([1.0, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0, 50.0])
    known = np.array([True, True, True, False, False, False, False, False])
    assert middle(totals, 0, 0, ALL_ALIKE, known) == 1.0
    assert middle(totals, 0, 0, ALL_ALIKE, ~np.ones(8, dtype=bool)) == 50.0


def test_each_time_of_day_has_its_own_days_counted_from_the_end():
    series = np.tile(np.arange(24.0), 6)[None, 5:-7]
    days = days_of(series, np.ones(series.shape, dtype=bool), 5, HOURLY, 28)
    (found,) = quantiles(days, weights_for(days, 0, 0, ALL_ALIKE), [0.5])
    np.testing.assert_array_equal(found[0], np.roll(np.arange(24.0), 7))
