"""The measure itself: what counts as a task, and that a perfect and a naive forecast are told apart."""

import numpy as np

from benchmarks.forecast_tasks import Task, hour_figures, hour_tasks, month_around, total_figures, total_tasks
from benchmarks.recorded import Source, together


def task(error: float, naive: float, inside: float = 1.0) -> Task:
    held = np.arange(10) < inside * 10
    return Task(10, error, naive, float("nan"), 1.0, held, held)


def test_ratios_are_geometric_means_and_what_has_nothing_to_win_is_left_out():
    figures = hour_figures([task(0.5, 1.0, 0.8), task(2.0, 1.0, 0.6), task(1.0, 1e-6)])
    assert figures["tasks"] == 2.0
    np.testing.assert_allclose([figures["rel_mae"], figures["cover80"]], [1.0, 0.7])


def test_a_week_that_repeats_is_foretold_where_yesterday_again_is_not():
    hours = np.arange(24 * 28)
    week = np.where(np.isin(hours // 24 % 7, (2, 3)), 1.0, 5.0) + np.sin(hours / 24.0 * 2.0 * np.pi)
    source = Source("made", 0, week[None, :])

    hourly = hour_figures([task for task in hour_tasks(source) if task.history_days >= 21])
    totals = total_figures([total for total in total_tasks(source) if total.history_days >= 21])

    assert hourly["rel_mae"] < 0.1
    assert totals["wape_7d"] < 0.1 < totals["naive_7d"]


def test_an_hour_without_a_value_is_unknown_and_a_month_is_the_calendars():
    source = together("made", [{5: [1.0, 3.0], 7: [4.0]}, {6: [2.0]}])
    assert source.first_hour == 5
    np.testing.assert_array_equal(source.values, [[2.0, np.nan, 4.0], [np.nan, 2.0, np.nan]])
    assert month_around(24 * 40) == (24 * 31, 24 * 59)
