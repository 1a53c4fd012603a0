"""What stands in for an unknown hour, and the shape of a day."""

import numpy as np

from detectors.seasonal import HOURLY, fill, time_shares

DAY = 10.0 + np.arange(24.0)


def days(n: int) -> np.ndarray:
    return np.tile(DAY, n)[None, :]


def all_known(series: np.ndarray) -> np.ndarray:
    return np.ones(series.shape, dtype=bool)


def test_an_unknown_hour_takes_yesterdays_value_and_the_first_day_tomorrows():
    series = days(3)
    known = all_known(series)
    series[0, 30], known[0, 30] = np.nan, False
    series[0, 2], known[0, 2] = np.nan, False

    np.testing.assert_array_equal(fill(series, known, HOURLY), days(3))


def test_before_a_young_row_its_first_day_is_repeated_backwards():
    series = np.concatenate([np.full((1, 60), np.nan), days(3)[:, 60 % 24 : 60 % 24 + 40]], axis=1)

    np.testing.assert_array_equal(fill(series, np.isfinite(series), HOURLY), days(5)[:, :100])


def test_a_row_of_which_nothing_is_known_is_filled_with_zero():
    series = np.full((1, 50), np.nan)
    np.testing.assert_array_equal(fill(series, np.isfinite(series), HOURLY), np.zeros((1, 50)))


def test_a_days_shape_is_what_each_time_of_day_has_of_it_and_old_days_count_less():
    np.testing.assert_allclose(time_shares(days(5), all_known(days(5)), HOURLY), [DAY / DAY.sum()])
    changed = np.concatenate([days(30), np.full((1, 24 * 30), 2.0)], axis=1)
    shares = time_shares(changed, all_known(changed), HOURLY)
    assert np.ptp(shares) < 0.75 * np.ptp(DAY / DAY.sum())


def test_what_is_unknown_has_no_part_in_the_shape_and_nothing_is_spread_evenly():
    series = days(4)
    known = all_known(series)
    series[0, 5], known[0, 5] = 1e9, False

    np.testing.assert_allclose(time_shares(series, known, HOURLY), [DAY / DAY.sum()])
    np.testing.assert_allclose(
        time_shares(np.zeros((1, 48)), np.ones((1, 48), dtype=bool), HOURLY), np.full((1, 24), 1 / 24)
    )
