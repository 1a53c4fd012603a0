"""Intervals of totals from past errors: units, signs, shrinkage, and what stands in where there are no scores."""

import numpy as np
import pytest

from detectors.conformal import MOST_SCORE, Scores, bounds, day_change, score_totals, total_bound
from detectors.day_totals import DayPath

N_ORIGINS = 14
AGO = np.arange(N_ORIGINS, 0, -1, dtype=np.float64)


def known(totals: np.ndarray) -> np.ndarray:
    return np.ones(totals.shape, dtype=bool)


def scores_of(*rows: float) -> Scores:
    """Rows whose scores of a day are all the same, and no score of anything longer."""
    values = np.full((len(rows), 5, N_ORIGINS), np.nan)
    values[:, 0] = np.array(rows)[:, None]
    return Scores(values, AGO, np.ones(len(rows)))


def test_a_score_is_the_error_of_a_total_in_days_of_usual_change_with_its_sign():
    totals = np.array([[10.0, 14.0, 10.0, 14.0, 10.0, 14.0]])  # a change of 4 a day
    said = DayPath(3, np.array([[16.0, 10.0, 16.0]]))

    scores = score_totals([said], totals, known(totals), np.array([6.0]))

    np.testing.assert_allclose(scores.values[0, :2, 0], [(14.0 - 16.0) / 4.0, (38.0 - 42.0) / (4.0 * 3.0**0.5)])
    assert np.isnan(scores.values[0, 2:, 0]).all()


def test_a_row_that_had_not_moved_before_scores_no_more_than_the_most():
    totals = np.array([[0.0] * 10 + [1e9]])
    scores = score_totals([DayPath(1, np.zeros((1, 1)))], totals, known(totals), np.array([11.0]))
    np.testing.assert_allclose(scores.values[0, 0, 0], MOST_SCORE)


def test_the_unit_of_a_past_score_knows_nothing_of_what_came_after():
    totals = np.array([[10.0, 14.0, 10.0, 14.0, 10.0, 14.0]])
    later = totals.copy()
    later[0, -1] = 24.0
    said = DayPath(3, np.array([[14.0, 10.0]]))
    first, second = (score_totals([said], t, known(t), np.array([6.0])).values for t in (totals, later))
    np.testing.assert_array_equal(first, second)


def test_the_usual_change_counts_only_days_that_the_row_has_lived():
    totals = np.array([[100.0, 10.0, 20.0, 10.0]])

    np.testing.assert_allclose(day_change(totals, known(totals), np.array([4.0])), [110.0 / 3.0])
    np.testing.assert_allclose(day_change(totals, known(totals), np.array([3.5])), [10.0])


def test_a_flat_row_is_believed_to_change_by_one_percent_of_a_day_and_a_young_one_by_thirty():
    totals = np.full((2, 10), 24.0)
    np.testing.assert_allclose(day_change(totals, known(totals), np.array([10.0, 2.0])), [0.24, 7.2])


def test_a_row_with_scores_of_its_own_leaves_the_pool_and_one_without_stays_with_it():
    (high,) = bounds(scores_of(1.0, 4.0, np.nan), (0.9,))

    assert high[0, 0] < high[2, 0] < high[1, 0]
    assert high[1, 0] / high[0, 0] > 2.0


def test_rows_that_are_only_surprised_upwards_have_their_room_there():
    low, high = bounds(scores_of(*[2.0] * 30), (0.1, 0.9))
    assert (high[:, 0] > 1.5).all()
    assert (low[:, 0] > 0.0).all()  # nothing ever fell short: the caller keeps the forecast itself inside


def test_a_length_without_scores_follows_the_shorter_one():
    (high,) = bounds(scores_of(1.0, 4.0), (0.9,))

    assert (np.diff(high, axis=1) > 0.0).all()
    np.testing.assert_allclose(high[1, 1:] / high[0, 1:], np.full(4, high[1, 1] / high[0, 1]), rtol=1e-9)


@pytest.mark.parametrize(
    ("days", "expected"), [(0.0, 0.0), (1.0, 2.0), (3.0, 3.0 * 3**0.5), (0.25, 1.0), (62.0, 6.0 * 62**0.5)]
)
def test_the_width_grows_with_the_time_to_come(days: float, expected: float):
    bound = np.array([[2.0, 3.0, 4.0, 5.0, 6.0]])
    np.testing.assert_allclose(total_bound(bound, np.array([1.0]), days), [expected])
