"""Totals of periods and steps of plain series: what is exact, what is sure, and what does not matter."""

import numpy as np
import pytest

from detectors.forecast import Challenger, backtest, forecast_steps, forecast_totals
from detectors.seasonal import Season

MONDAY = 24 * 18627  # epoch hour of Monday 2020-12-28


def traffic(n_rows: int, n_days: int, seed: int = 1, noise: float = 0.2) -> np.ndarray:
    """Spend with a day, a weekend and noise: (n_rows, n_hours), USD."""
    random = np.random.default_rng(seed)
    hours = MONDAY + np.arange(n_days * 24)
    shape = 1.0 + 0.5 * np.sin(hours / 24.0 * 2.0 * np.pi)
    weekend = np.where((hours // 24 + 3) % 7 >= 5, 0.6, 1.0)
    level = random.uniform(1.0, 20.0, (n_rows, 1))
    drift = np.exp(np.cumsum(random.normal(0.0, 0.03, (n_rows, n_days)), axis=1)).repeat(24, axis=1)
    return level * shape * weekend * drift * random.lognormal(0.0, noise, (n_rows, n_days * 24))


@pytest.mark.parametrize("n_hours", [1, 5, 24, 40, 96, 170, 24 * 30, 24 * 80])
def test_a_constant_goes_on(n_hours: int):
    history = np.full((2, n_hours), 4.0)
    end = MONDAY + n_hours

    totals = forecast_totals(history, MONDAY, [(end, end + 24), (end, end + 168), (MONDAY, end + 100)])

    np.testing.assert_allclose(totals.p50, np.tile([96.0, 672.0, 4.0 * (n_hours + 100)], (2, 1)), rtol=1e-9)


@pytest.mark.parametrize("n_days", [4, 7, 8, 60])
def test_a_pure_daily_pattern_goes_on(n_days: int):
    day = np.arange(24.0)
    history = np.tile(day, n_days)[None, :-5]
    end = MONDAY + history.shape[1]

    totals = forecast_totals(history, MONDAY, [(end, end + 29)])

    np.testing.assert_allclose(totals.path[0, :29], np.r_[day[-5:], day], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(totals.p50, [[day[-5:].sum() + day.sum()]], rtol=1e-9)
    assert totals.method == ("weighed_median",)


def test_history_decides_the_method():
    history = np.full((5, 24 * 20), np.nan)
    for row, lived in enumerate([0, 5, 30, 24 * 5, 24 * 20]):
        if lived:
            history[row, -lived:] = 1.0

    totals = forecast_totals(history, MONDAY, [(MONDAY + 480, MONDAY + 504)])

    assert totals.method == ("run_rate", "run_rate", "weighed_median", "weighed_median", "weighed_median")
    np.testing.assert_allclose(totals.p50[:, 0], [0.0, 24.0, 24.0, 24.0, 24.0], rtol=1e-9)


def test_what_is_spent_is_certain_and_only_the_rest_is_not():
    history = traffic(3, 20)
    end = MONDAY + 480
    spent = history[:, 240:].sum(axis=1)

    totals = forecast_totals(history, MONDAY, [(MONDAY + 240, end), (MONDAY + 240, end + 48), (MONDAY - 50, end + 48)])

    for quantile in (totals.p10, totals.p50, totals.p90):
        np.testing.assert_allclose(quantile[:, 0], spent, rtol=1e-12)
    assert (totals.p10[:, 1] >= spent).all()
    assert (totals.p10[:, 1] < totals.p50[:, 1]).all()
    assert (totals.p50[:, 1] < totals.p90[:, 1]).all()
    np.testing.assert_allclose(totals.p50[:, 2], totals.p50[:, 1] + history[:, :240].sum(axis=1), rtol=1e-12)


def test_the_interval_of_a_longer_period_is_wider():
    history = traffic(4, 40)
    end = MONDAY + 960
    totals = forecast_totals(history, MONDAY, [(end, end + hours) for hours in (6, 24, 72, 168, 500)])
    assert (np.diff(totals.p90 - totals.p50, axis=1) > 0.0).all()


def test_the_same_history_gives_the_same_bytes():
    history = traffic(30, 25)
    period = [(MONDAY + 600, MONDAY + 700)]
    first, second = (forecast_totals(history.copy(), MONDAY, period) for _ in range(2))
    assert first.p10.tobytes() + first.p90.tobytes() == second.p10.tobytes() + second.p90.tobytes()


def test_a_neighbour_changes_the_width_at_most():
    """The point is the row's own; the interval takes the pooled scale from all rows, and no more."""
    history = traffic(40, 25)
    period = [(MONDAY + 600, MONDAY + 700)]

    together, alone = forecast_totals(history, MONDAY, period), forecast_totals(history[7:8], MONDAY, period)

    assert together.path[7].tobytes() == alone.path[0].tobytes()
    assert together.p50[7] == alone.p50[0]
    ratio = (together.p90[7] - together.p50[7]) / (alone.p90[0] - alone.p50[0])
    assert 0.3 < ratio.item() < 3.0


def test_how_rows_are_cut_into_chunks_changes_nothing():
    history = np.tile(traffic(7, 15), (80, 1))
    totals = forecast_totals(history, MONDAY, [(MONDAY + 360, MONDAY + 400)])
    np.testing.assert_array_equal(totals.path, np.tile(totals.path[:7], (80, 1)))


def test_intervals_hold_what_they_promise_on_seeded_traffic():
    """80 percent intervals, over many rows and origins: between 70 and 92 percent of the totals lie inside."""
    history = traffic(150, 45, seed=5)
    for hours in (24, 168):
        inside = []
        for end in range(24 * 21, 24 * 38, 24 * 4):
            totals = forecast_totals(history[:, :end], MONDAY, [(MONDAY + end, MONDAY + end + hours)])
            actual = history[:, end : end + hours].sum(axis=1)
            inside.append((totals.p10[:, 0] <= actual) & (actual <= totals.p90[:, 0]))
        assert 0.70 <= np.mean(inside) <= 0.92


def test_spend_is_never_negative_and_always_finite():
    random = np.random.default_rng(2)
    history = np.where(random.random((50, 24 * 16)) < 0.9, 0.0, random.lognormal(0.0, 2.0, (50, 24 * 16)))
    history[:, : 24 * 15] *= 100.0
    history[random.random(history.shape) < 0.2] = np.nan

    end = MONDAY + 24 * 16
    totals = forecast_totals(history, MONDAY, [(end, end + 24), (end, end + 800)])

    for quantile in (totals.p10, totals.p50, totals.p90, totals.path):
        assert np.isfinite(quantile).all()
        assert (quantile >= 0.0).all()
    assert (totals.p10 <= totals.p50).all()
    assert (totals.p50 <= totals.p90).all()


def test_a_masked_outburst_counts_as_spent_and_teaches_nothing():
    history = np.full((1, 24 * 10), 2.0)
    history[0, -5:] = 200.0
    mask = history > 100.0
    end = MONDAY + 240

    totals = forecast_totals(history, MONDAY, [(end - 24, end + 24)], mask)

    np.testing.assert_allclose(totals.p50, [[19 * 2.0 + 5 * 200.0 + 48.0]], rtol=1e-9)


def test_a_challenger_stands_in_for_its_row_with_an_interval_from_its_own_errors():
    history = traffic(5, 30)
    end = MONDAY + 720
    said = tuple(history[2, 720 - back : 720 - back + 48] for back in (192, 144, 96, 48))
    challenger = Challenger("prophet", np.full(60, 3.0), (192, 144, 96, 48), said)

    plain = forecast_totals(history, MONDAY, [(end, end + 48)])
    other = forecast_totals(history, MONDAY, [(end, end + 48)], challengers={2: challenger})

    assert other.method == (*plain.method[:2], "prophet", *plain.method[3:])
    assert other.p50[2, 0] == 144.0
    assert other.p90[2, 0] - 144.0 < 0.7 * (plain.p90[2, 0] - plain.p50[2, 0])


def test_a_backtest_sees_nothing_after_its_origin():
    history = traffic(3, 30)
    changed = history.copy()
    changed[:, -96:] = 1000.0

    first, second = (backtest(data, MONDAY, (144, 96), 48)[1] for data in (history, changed))

    np.testing.assert_array_equal(first, second)
    now = forecast_totals(history[:, :-96], MONDAY, [(MONDAY + 624, MONDAY + 672)])
    np.testing.assert_allclose(first, now.path, rtol=1e-9)


@pytest.mark.parametrize("season", [Season(1, 7), Season(24, 168), Season(96, 672)])
def test_steps_of_any_interval_have_ordered_bands(season: Season):
    random = np.random.default_rng(8)
    history = (
        5.0
        + np.sin(np.arange(season.day * 30) / season.day * 2 * np.pi)[None, :]
        + random.normal(0, 0.3, 30 * season.day)
    )

    steps = forecast_steps(history, 0, season.week, season)

    stack = np.stack([steps.p025, steps.p10, steps.p50, steps.p90, steps.p975])
    assert stack.shape == (5, 1, season.week)
    assert (np.diff(stack, axis=0) >= 0.0).all()
    assert np.isfinite(stack).all()


def test_bands_of_steps_hold_what_they_promise_on_seeded_traffic():
    history = traffic(40, 49, seed=9)
    steps = forecast_steps(history[:, :-168], MONDAY, 168)
    actual = history[:, -168:]

    assert 0.74 <= np.mean((steps.p10 <= actual) & (actual <= steps.p90)) <= 0.93
    assert 0.91 <= np.mean((steps.p025 <= actual) & (actual <= steps.p975)) <= 1.0


def test_a_series_that_was_negative_may_be_again_and_another_may_not():
    wave = np.tile(np.sin(np.arange(24) / 24.0 * 2.0 * np.pi), 20)
    steps = forecast_steps(np.stack([wave, np.maximum(wave, 0.0)]), 0, 48)

    np.testing.assert_allclose(steps.p50[0], wave[:48], atol=1e-9)
    assert (steps.p025[1] >= 0.0).all()
