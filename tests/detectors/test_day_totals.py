"""The forecasters of whole days, and the weighed median of them."""

import numpy as np

from detectors.day_totals import day_paths
from detectors.seasonal import Matrix

AGO = (14, 7, 3, 2, 1, 0)
MONDAY = 18624


def now(totals: Matrix, n_ahead: int = 7) -> Matrix:
    return day_paths(totals, np.ones(totals.shape, dtype=bool), MONDAY, n_ahead, AGO, 31)[-1].totals


def test_a_constant_goes_on_whatever_its_age():
    for n_days in (1, 2, 5, 8, 40):
        np.testing.assert_allclose(now(np.full((2, n_days), 3.0)), np.full((2, 7), 3.0), rtol=1e-12)


def test_a_week_goes_on():
    week = np.array([10.0, 11.0, 12.0, 11.0, 10.0, 2.0, 3.0])
    np.testing.assert_allclose(now(np.tile(week, 5)[None, :], 14)[0], np.tile(week, 2), rtol=0.1)


def test_a_new_level_is_believed_after_a_few_days():
    totals = np.r_[np.full(20, 10.0), np.full(4, 30.0)][None, :]
    assert (now(totals) > 25.0).all()


def test_one_wild_day_moves_nothing():
    totals = np.full((1, 20), 10.0)
    totals[0, -3] = 1e4
    np.testing.assert_allclose(now(totals), np.full((1, 7), 10.0), rtol=0.05)


def test_an_origin_sees_nothing_of_what_came_after_it():
    totals = np.random.default_rng(1).lognormal(0.0, 0.5, (4, 40))
    changed = totals.copy()
    changed[:, -7:] = 1e9
    first, second = (day_paths(t, np.ones(t.shape, dtype=bool), MONDAY, 7, AGO, 31) for t in (totals, changed))
    for before, after in zip(first, second, strict=True):
        if before.ago_days >= 7:
            np.testing.assert_array_equal(before.totals, after.totals)


def test_an_unknown_day_teaches_nothing():
    totals = np.full((1, 20), 10.0)
    totals[0, -2] = 500.0
    known = np.ones(totals.shape, dtype=bool)
    known[0, -2] = False
    np.testing.assert_allclose(
        day_paths(totals, known, MONDAY, 7, AGO, 31)[-1].totals, np.full((1, 7), 10.0), rtol=1e-9
    )
