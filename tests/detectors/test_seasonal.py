"""The four forecasters, each on series whose continuation is known."""

import numpy as np
import pytest

from detectors.seasonal import HOURLY, Season, fill, holt_winters, median_of, profile, recent, repeat

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


def test_naive_forecasts_say_the_last_day_or_week_again():
    series = np.arange(200.0)[None, :]
    np.testing.assert_array_equal(repeat(series, 200, 30, 24)[0], np.r_[176.0:200.0, 176.0:182.0])
    np.testing.assert_array_equal(repeat(series, 190, 3, 168)[0], [22.0, 23.0, 24.0])


def test_recent_goes_on_with_the_mean_of_the_last_six_hours():
    np.testing.assert_array_equal(recent(np.arange(100.0)[None, :], 50, 3, HOURLY), [[46.5, 46.5, 46.5]])


@pytest.mark.parametrize("origin", [48, 50, 240])
def test_profile_and_holt_winters_go_on_with_a_pure_daily_pattern(origin: int):
    series = days(20)[:, :origin]
    expected = np.tile(DAY, 30)[origin : origin + 100][None, :]

    np.testing.assert_allclose(profile(series, all_known(series), origin, 100, 7, HOURLY), expected, rtol=1e-9)
    (path,) = holt_winters(series, all_known(series), [(origin, 100)], HOURLY)
    np.testing.assert_allclose(path, expected, rtol=1e-9)


def test_the_profile_learns_a_weekend_in_part():
    """Ten weeks of a weekend at half the spend: the forecast of a Saturday is nearer to half than to the whole."""
    hours = np.arange(10 * 168)
    weekend = (hours // 24 + 4) % 7 >= 5  # the epoch began on a Thursday
    series = np.where(weekend, 5.0, 10.0)[None, :]

    path = profile(series, all_known(series), series.shape[1], 168, 0, HOURLY)

    saturday = (np.arange(10 * 168, 11 * 168) // 24 + 4) % 7 == 5
    tuesday = (np.arange(10 * 168, 11 * 168) // 24 + 4) % 7 == 1
    assert path[0, saturday].mean() < 7.0
    assert path[0, tuesday].mean() > 9.0


def test_one_pass_of_holt_winters_answers_for_every_origin_as_if_it_were_the_end():
    series = np.random.default_rng(3).gamma(2.0, 5.0, (4, 240))
    known = np.random.default_rng(4).random(series.shape) > 0.1
    together = holt_winters(series, known, [(100, 30), (151, 24), (240, 50)], HOURLY)

    for path, (origin, horizon) in zip(together, [(100, 30), (151, 24), (240, 50)], strict=True):
        (alone,) = holt_winters(series[:, :origin], known[:, :origin], [(origin, horizon)], HOURLY)
        np.testing.assert_array_equal(path, alone)


def test_the_median_uses_only_what_a_row_has():
    paths = [np.array([[1.0], [1.0], [1.0], [1.0]]), np.full((4, 1), 2.0), np.full((4, 1), 7.0), np.full((4, 1), 100.0)]
    usable = [np.array(flags) for flags in ([1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0])]

    np.testing.assert_array_equal(median_of(paths, [u.astype(bool) for u in usable]), [[4.5], [2.0], [1.5], [0.0]])


def test_a_series_of_daily_values_has_a_season_too():
    season = Season(1, 7)
    series = np.full((1, 30), 3.0)
    (path,) = holt_winters(series, all_known(series), [(30, 5)], season)
    np.testing.assert_allclose(path, np.full((1, 5), 3.0))
    np.testing.assert_allclose(profile(series, all_known(series), 30, 5, 0, season), np.full((1, 5), 3.0))
