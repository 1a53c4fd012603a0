"""The model of all rows: what it learns, what it must not see, and when it keeps quiet."""

import numpy as np
import pytest

from detectors.global_challenger import LEAST_ROWS, NAME, learn_and_forecast, trial_of

MONDAY = 24 * 18624


def spend(n_rows: int = 24, n_days: int = 40, seed: int = 2) -> np.ndarray:
    """Workloads that alternate between a dear and a cheap day, which no plain forecaster expects."""
    random = np.random.default_rng(seed)
    level = random.uniform(1.0, 20.0, (n_rows, 1))
    day = np.arange(n_days * 24) // 24 % 2
    return level * np.where(day == 0, 1.0, 3.0) * random.lognormal(0.0, 0.02, (n_rows, n_days * 24))


@pytest.fixture(scope="module")
def said() -> dict:
    return learn_and_forecast(spend(), MONDAY, 24 * 10)


def test_it_learns_from_all_what_holds_for_each(said):
    assert set(said) == set(range(24))
    history = spend(n_days=43)
    for row, challenger in said.items():
        assert challenger.name == NAME
        assert challenger.path.shape == (240,)
        expected = history[row, 40 * 24 :].reshape(3, 24).sum(axis=1)
        np.testing.assert_allclose(challenger.path[:72].reshape(3, 24).sum(axis=1), expected, rtol=0.1)


def test_the_same_history_gives_the_same_bytes(said):
    again = learn_and_forecast(spend(), MONDAY, 24 * 10)
    assert all(again[row].path.tobytes() == challenger.path.tobytes() for row, challenger in said.items())


def test_what_is_tried_saw_nothing_after_the_first_origin(said):
    changed = spend()
    first = said[0].origins_ago[0]
    changed[:, -first:] = 1e4
    other = learn_and_forecast(changed, MONDAY, 24 * 10)
    shares = [path.reshape(-1, 24).sum(axis=1) for path in (said[3].backtests[0], other[3].backtests[0])]
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-9)


def test_few_rows_and_short_histories_are_left_alone():
    assert learn_and_forecast(spend(n_rows=LEAST_ROWS - 1), MONDAY, 48) == {}
    assert learn_and_forecast(spend(n_days=20), MONDAY, 48) == {}


@pytest.mark.parametrize(
    ("days", "expected"), [(24, None), (25, (1, (4, 3, 2, 1))), (29, (2, (8, 6, 4, 2))), (49, (7, (28, 21, 14, 7)))]
)
def test_the_longest_trials_that_leave_three_weeks(days: int, expected: tuple[int, tuple[int, ...]] | None):
    trial = trial_of(days)
    assert (trial and (trial.block_days, trial.ago_days)) == expected
