"""Intervals from past errors: units, shrinkage, and what stands in where there are no scores."""

import numpy as np
import pytest

from detectors.conformal import Scores, day_change, half_widths, score_totals, total_half_width
from detectors.seasonal import HOURLY


def test_a_score_is_the_error_of_a_total_in_days_of_usual_change():
    errors = np.tile([1.0, -3.0], (72 // 2, 1)).reshape(1, 72) / 12.0  # -2 USD a day
    scores = score_totals(errors, np.array([4.0]), HOURLY)

    np.testing.assert_allclose(scores[0, :2], [2.0 / 4.0 * 12 / 12.0, 6.0 / (4.0 * np.sqrt(3.0))])
    assert np.isnan(scores[0, 2:]).all()


def test_the_usual_change_counts_only_days_that_the_row_has_lived():
    totals = np.array([100.0, 10.0, 20.0, 10.0]) / 24.0
    filled = np.repeat(totals, 24)[None, :]
    known = np.ones(filled.shape, dtype=bool)

    np.testing.assert_allclose(day_change(filled, known, np.array([4.0]), HOURLY), [110.0 / 3.0])
    np.testing.assert_allclose(day_change(filled, known, np.array([3.5]), HOURLY), [10.0])


def test_a_flat_row_is_believed_to_change_by_one_percent_of_a_day_and_a_young_one_by_thirty():
    filled = np.full((2, 240), 1.0)
    known = np.ones(filled.shape, dtype=bool)
    np.testing.assert_allclose(day_change(filled, known, np.array([10.0, 2.0]), HOURLY), [0.24, 7.2])


def test_a_row_with_scores_of_its_own_leaves_the_pool_and_one_without_stays_with_it():
    values = np.full((3, 5, 14), np.nan)
    values[0, 0], values[1, 0] = 1.0, 4.0
    widths = half_widths(Scores(values, np.ones(3)), 0.8)

    assert widths[0, 0] < widths[2, 0] < widths[1, 0]
    assert widths[1, 0] / widths[0, 0] > 2.0


def test_a_length_without_scores_follows_the_shorter_one():
    values = np.full((2, 5, 14), np.nan)
    values[0, 0], values[1, 0] = 1.0, 4.0
    widths = half_widths(Scores(values, np.ones(2)), 0.8)

    assert (np.diff(widths, axis=1) > 0.0).all()
    np.testing.assert_allclose(widths[1] / widths[0], np.full(5, widths[1, 0] / widths[0, 0]), rtol=0.05)


@pytest.mark.parametrize(
    ("days", "expected"), [(0.0, 0.0), (1.0, 2.0), (3.0, 3.0 * 3**0.5), (0.25, 1.0), (62.0, 6.0 * 62**0.5)]
)
def test_the_width_grows_with_the_time_to_come(days: float, expected: float):
    widths = np.array([[2.0, 3.0, 4.0, 5.0, 6.0]])
    np.testing.assert_allclose(total_half_width(widths, np.array([1.0]), days), [expected])
