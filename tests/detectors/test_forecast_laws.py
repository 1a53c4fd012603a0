"""Laws of the forecaster: what may change an answer, and what may not."""

import numpy as np
import pytest

from detectors.forecast import forecast_steps, forecast_totals
from detectors.seasonal import HOURLY, Season

MONDAY = 24 * 18624


def mixed(n_days: int = 24) -> np.ndarray:
    """Eight rows of all kinds: smooth, bursty, constant, ended, young, gappy, zero, unknown. (8, n_hours)"""
    random = np.random.default_rng(11)
    hours = np.arange(n_days * 24)
    rows = np.tile(5.0 + np.sin(hours / 24.0 * 2.0 * np.pi), (8, 1)) * random.lognormal(0.0, 0.2, (8, len(hours)))
    rows[1] = np.where(random.random(len(hours)) < 0.9, 0.0, random.lognormal(2.0, 1.5, len(hours)))
    rows[2] = 0.1
    rows[3, -200:] = 0.0
    rows[4, :-30] = np.nan
    rows[5, random.random(len(hours)) < 0.4] = np.nan
    rows[6] = 0.0
    rows[7] = np.nan
    return rows


def quantiles(history: np.ndarray, horizon: int = 50, season: Season = HOURLY) -> np.ndarray:
    steps = forecast_steps(history, MONDAY, horizon, season)
    return np.stack([steps.p025, steps.p10, steps.p50, steps.p90, steps.p975])


def test_the_order_of_the_rows_changes_no_answer():
    history, order = mixed(), np.array([3, 1, 7, 0, 6, 2, 5, 4])
    end = MONDAY + history.shape[1]
    periods = [(end - 100, end + 24), (end, end + 168)]

    np.testing.assert_array_equal(quantiles(history)[:, order], quantiles(history[order]))
    plain, other = (forecast_totals(rows, MONDAY, periods) for rows in (history, history[order]))
    for before, after in ((plain.p10, other.p10), (plain.p50, other.p50), (plain.p90, other.p90)):
        np.testing.assert_allclose(before[order], after, rtol=1e-12)


def test_no_step_of_one_row_depends_on_another():
    together = quantiles(mixed())
    for row in range(8):
        np.testing.assert_array_equal(together[:, row : row + 1], quantiles(mixed()[row : row + 1]))


@pytest.mark.parametrize("n_hours", [1, 2, 23, 25, 47, 49, 24 * 8, 24 * 24 - 7])
def test_whatever_is_known_the_answer_is_finite_ordered_and_not_below_zero(n_hours: int):
    history = mixed()[:, -n_hours:]
    end = MONDAY + n_hours

    bands = quantiles(history)
    totals = forecast_totals(history, MONDAY, [(end, end + 24), (end, end + 900), (MONDAY, end)])

    for found in (bands, np.stack([totals.p10, totals.p50, totals.p90])):
        assert np.isfinite(found).all()
        assert (np.diff(found, axis=0) >= 0.0).all()
        assert (found >= 0.0).all()


def test_constant_and_zero_rows_go_on():
    bands = quantiles(mixed())
    np.testing.assert_allclose(bands[2, 2], np.full(50, 0.1), rtol=1e-12)
    np.testing.assert_array_equal(bands[2, 6], np.zeros(50))
    np.testing.assert_array_equal(bands[2, 7], np.zeros(50))


def test_what_is_older_than_the_window_changes_nothing():
    history = np.random.default_rng(3).lognormal(0.0, 0.3, (2, 24 * 60))
    changed = history.copy()
    changed[:, : 24 * 4] = 1e6
    np.testing.assert_array_equal(quantiles(history), quantiles(changed))


@pytest.mark.parametrize("season", [Season(1, 7), Season(4, 28), Season(48, 336), Season(288, 2016)])
def test_any_interval_has_ordered_finite_bands(season: Season):
    history = np.random.default_rng(5).lognormal(0.0, 0.5, (1, season.day * 12 + 1))
    bands = quantiles(history, season.day + 3, season)
    assert np.isfinite(bands).all()
    assert (np.diff(bands, axis=0) >= 0.0).all()


def test_a_known_price_moves_the_forecast_and_nothing_that_was_spent():
    history = np.full((1, 240), 2.0)
    price = np.r_[np.ones(240 + 24), np.full(24, 3.0)][None, :]
    end = MONDAY + 240

    totals = forecast_totals(history, MONDAY, [(MONDAY, end), (end, end + 24), (end + 24, end + 48)], price=price)

    np.testing.assert_allclose(totals.p50, [[480.0, 48.0, 144.0]], rtol=1e-12)


def test_weekends_are_told_from_working_days_after_two_weeks():
    hours = MONDAY + np.arange(24 * 21)
    weekend = np.isin(hours // 24 % 7, (2, 3))
    history = np.where(weekend, 2.0, 10.0)[None, :]

    bands = quantiles(history, 168)

    ahead = np.isin((MONDAY + 24 * 21 + np.arange(168)) // 24 % 7, (2, 3))
    np.testing.assert_array_equal(bands[2, 0], np.where(ahead, 2.0, 10.0))
