"""The process that fits prophet: what it answers, and that it ends."""

import numpy as np
import pytest

from streams.challenger import ProphetPool, challenge


def series(n_days: int) -> np.ndarray:
    hours = np.arange(24 * n_days)
    return 10.0 + 5.0 * np.sin(hours / 24.0 * 2.0 * np.pi) + np.random.default_rng(1).normal(0.0, 0.2, len(hours))


def test_too_short_a_history_has_no_challenger():
    assert challenge(series(17), 0, 24) is None


@pytest.mark.slow
def test_the_pool_answers_within_its_time_and_ends():
    with ProphetPool() as pool:
        found = pool.run({"a": series(19), "b": series(15)}, 24 * 20000, 30, budget_s=600.0)
        assert pool.run({"a": series(19)}, 24 * 20000, 30, budget_s=0.0) == {}
    pool.close()

    (result,) = found.values()
    assert list(found) == ["a"]
    assert (result.path.shape, result.block_hours, result.origins_ago) == ((30,), 24, (96, 72, 48, 24))
    assert [said.shape for said in result.backtests] == [(24,)] * 4


@pytest.mark.slow
def test_a_fit_that_takes_too_long_ends_with_its_process():
    """The first answer is waited for; then the time is over in the middle of the second series, and nothing hangs."""
    with ProphetPool() as pool:
        warm = pool.run({"warm": series(19)}, 24 * 20000, 24, budget_s=600.0)
        many = {f"w{number}": series(60) for number in range(200)}
        found = pool.run(many, 24 * 20000, 24, budget_s=1.0)
        again = pool.run({"again": series(19)}, 24 * 20000, 24, budget_s=600.0)

    assert (list(warm), list(again)) == (["warm"], ["again"])
    assert list(found) == list(many)[: len(found)]
    assert len(found) < 200
