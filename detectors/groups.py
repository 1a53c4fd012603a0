"""Medians of many groups at once: one sort for all of them."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def median_by_group(group: Rows, values: Floats, n_groups: int) -> Floats:
    """The median of each group's known values, NaN where it has none: (n_groups,). group: (n,), 0 to n_groups - 1."""
    known = ~np.isnan(values)
    group, values = group[known], values[known]
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    first = np.searchsorted(group, np.arange(n_groups))
    count = np.bincount(group, minlength=n_groups)
    found = np.full(n_groups, np.nan)
    some = count > 0
    low, high = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
    found[some] = 0.5 * (values[low] + values[high])
    return found


def unlikeness(group: Rows, values: Floats, n_groups: int, least: Floats | float) -> tuple[Floats, Floats]:
    """How many spreads each value lies from its group's median, below it negative, and that median: twice (n,).

    The spread is the median absolute deviation, as a standard deviation (Rousseeuw, Croux 1993), and at least `least`:
    a group that agrees to the last digit makes nobody an outcast.
    """
    middle = median_by_group(group, values, n_groups)[group]
    off = values - middle
    spread = 1.4826 * median_by_group(group, np.abs(off), n_groups)[group]
    return off / np.maximum(spread, least), middle
