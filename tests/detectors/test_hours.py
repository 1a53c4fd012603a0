"""The rules for single steps, and how they are weighed by what they did before."""

import numpy as np

from detectors.hours import step_paths, weighed_median
from detectors.seasonal import HOURLY, Matrix

AGO = (7, 3, 2, 1, 0)


def paths(series: Matrix, horizon: int = 48) -> dict[int, Matrix]:
    found = step_paths(series, np.ones(series.shape, dtype=bool), 0, horizon, HOURLY, AGO)
    return {path.ago_days: path.steps for path in found}


def noise(n_days: int = 20) -> Matrix:
    return np.random.default_rng(7).lognormal(0.0, 0.4, (3, 24 * n_days))


def test_an_origin_sees_nothing_of_what_came_after_it():
    series = noise()
    changed = series.copy()
    changed[:, -72:] = 1e6
    first, second = paths(series), paths(changed)
    for ago in (7, 3):
        np.testing.assert_array_equal(first[ago], second[ago])


def test_an_earlier_origin_says_what_it_would_have_said_then():
    series = noise()
    then = paths(series[:, :-72], horizon=72)[0]
    np.testing.assert_allclose(paths(series)[3][:, :24], then[:, :24], rtol=0.5)  # it had judged at other origins
    assert paths(series)[3].shape == (3, 72)


def test_what_is_beyond_a_week_repeats_the_week():
    path = paths(noise(), horizon=400)[0]
    np.testing.assert_array_equal(path[:, 168:336], path[:, :168])


def test_the_rule_that_served_best_lately_is_believed():
    """A level that has just stepped up: the last days are right, the like days of weeks ago are not."""
    series = np.r_[np.full(24 * 20, 1.0), np.full(24 * 4, 5.0)][None, :]
    np.testing.assert_array_equal(paths(series)[0], np.full((1, 48), 5.0))


def test_one_outburst_moves_nothing():
    series = np.full((1, 24 * 12), 2.0)
    series[0, -40:-34] = 500.0
    np.testing.assert_array_equal(paths(series)[0], np.full((1, 48), 2.0))


def test_a_weighed_median_is_the_value_at_half_the_weight_or_between_two():
    values = np.array([1.0, 2.0, 9.0, 100.0]).reshape(4, 1, 1)
    for weight, expected in (([1, 1, 1, 1], 5.5), ([1, 1, 1, 4], 100.0), ([0.1, 3, 1, 1], 2.0), ([2, 1, 1, 0], 1.5)):
        assert weighed_median(values, np.array(weight, dtype=float)[:, None]).item() == expected
