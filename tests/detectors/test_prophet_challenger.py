"""Prophet as challenger: when it may speak, and what it says."""

import numpy as np
import pytest

from detectors.prophet_challenger import backtest_origins, fit_and_forecast, promoted


def errors(size: float, n_origins: int = 4, bias: float = 0.0) -> np.ndarray:
    return np.tile([size + bias, -size + bias], (n_origins, 12))


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [
        (errors(1.0), errors(0.89), True),
        (errors(1.0), errors(0.91), False),
        (errors(1.0), errors(0.5, bias=0.1), False),  # single hours are better, the totals are not
        (errors(1.0, bias=0.2), errors(0.5, bias=0.1), True),
        (errors(1.0, n_origins=3), errors(0.1, n_origins=3), False),
        (errors(0.0), errors(0.0), False),
    ],
)
def test_a_challenger_must_win_by_a_margin(champion: np.ndarray, challenger: np.ndarray, expected: bool):
    assert promoted(champion, challenger) is expected


def test_the_longest_block_that_leaves_two_weeks_is_tested_four_times():
    assert backtest_origins(24 * 17) is None
    assert backtest_origins(24 * 18) == (24, (96, 72, 48, 24))
    assert backtest_origins(24 * 22) == (48, (192, 144, 96, 48))
    assert backtest_origins(24 * 42) == (168, (672, 504, 336, 168))


def test_less_than_two_weeks_is_refused():
    with pytest.raises(ValueError, match="prophet needs 336 known hours of history, got 335"):
        fit_and_forecast(np.r_[np.nan, np.ones(335)], 0, 24)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # prophet on pandas 3.1
def test_prophet_follows_a_daily_pattern():
    random = np.random.default_rng(1)
    hours = np.arange(24 * 21)
    series = 10.0 + 5.0 * np.sin(hours / 24.0 * 2.0 * np.pi) + random.normal(0.0, 0.2, len(hours))
    series[50:60] = np.nan

    said = fit_and_forecast(series, 24 * 20000, 48)

    expected = 10.0 + 5.0 * np.sin((len(hours) + np.arange(48)) / 24.0 * 2.0 * np.pi)
    np.testing.assert_allclose(said, expected, atol=1.0)
