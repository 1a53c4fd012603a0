"""Decimal rounding of many numbers at a time: to the bit what `round` makes of each."""

import numpy as np
from numpy.typing import NDArray

MOST = 2.0**50  # of a number times its power of ten: beyond it the product is too coarse to tell
CLOSE = 1e-2  # to the middle between two decimals, where the product's own error may decide


def rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    """Each number (n,) rounded to so many decimals, halves as `round` does; what is no number stays none.

    A whole number over a power of ten is the float nearest to that decimal, which is what `round` returns; where it is
    not certain which whole number it is, `round` itself is asked.
    """
    scale = 10.0**digits
    with np.errstate(over="ignore"):
        scaled = values * scale
    with np.errstate(invalid="ignore"):
        whole = np.rint(scaled)
        doubtful = (np.abs(np.abs(scaled - whole) - 0.5) < CLOSE) | (np.abs(scaled) > MOST)
    found: list[float] = (whole / scale).tolist()
    for place in np.flatnonzero(doubtful).tolist():
        found[place] = round(float(values[place]), digits)
    return found
