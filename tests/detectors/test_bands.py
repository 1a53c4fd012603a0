"""Bands of single steps: what they hold, and what stands in where there are no errors."""

import numpy as np

from detectors.bands import sorted_quantiles, time_scale
from detectors.forecast import forecast_steps
from detectors.seasonal import HOURLY


def test_quantiles_are_of_what_is_known():
    values = np.array([[3.0, np.nan, 1.0, 2.0], [np.nan] * 4])
    found = sorted_quantiles(values)
    np.testing.assert_allclose(found[:, 0], np.quantile([1.0, 2.0, 3.0], (0.025, 0.1, 0.9, 0.975)))
    np.testing.assert_array_equal(found[:, 1], np.zeros(4))


def test_a_time_of_day_that_errs_more_has_a_wider_band():
    error = np.tile(np.where(np.arange(24) < 12, 1.0, 10.0), 20)[None, :]
    scale = time_scale([error], 1, HOURLY)
    assert scale[0, 6] < 0.6 < 1.4 < scale[0, 18]


def test_a_far_step_is_less_sure_than_a_near_one():
    walk = 100.0 + np.cumsum(np.random.default_rng(2).normal(0.0, 1.0, (20, 24 * 30)), axis=1)
    steps = forecast_steps(walk, 0, 168)
    width = (steps.p90 - steps.p10).mean(axis=0)
    assert width[:24].mean() < width[24:72].mean() < width[72:].mean()


def test_with_little_history_a_band_is_wider_than_with_much():
    rows = 5.0 + np.random.default_rng(3).normal(0.0, 1.0, (30, 24 * 40))
    long, short = (forecast_steps(part, 0, 48) for part in (rows, rows[:, -24 * 3 :]))
    assert (short.p975 - short.p025).mean() > 1.2 * (long.p975 - long.p025).mean()


def test_bands_of_short_histories_hold_at_least_what_they_promise():
    """The noise here has no memory; with a few days of history nobody can know that, so the bands hold more."""
    random = np.random.default_rng(4)
    shape = 5.0 + 2.0 * np.sin(np.arange(24 * 12) / 24.0 * 2.0 * np.pi)
    rows = shape * random.lognormal(0.0, 0.3, (200, 24 * 12))
    for days in (4, 6, 9):
        steps = forecast_steps(rows[:, : 24 * days], 0, 72)
        actual = rows[:, 24 * days : 24 * days + 72]
        inside80, inside95 = (
            np.mean((low <= actual) & (actual <= high))
            for low, high in ((steps.p10, steps.p90), (steps.p025, steps.p975))
        )
        assert 0.77 <= inside80 <= 0.96
        assert inside95 >= 0.94
