"""Rounding many numbers at a time gives what `round` gives for each, to the bit."""

import math
import struct

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.rounding import rounded

LAWFUL = settings(derandomize=True, max_examples=500, deadline=None)
numbers = st.floats(allow_infinity=False) | st.decimals(-100_000, 100_000, places=7).map(float) | st.floats(-1e4, 1e4)


def bits(values: list[float]) -> list[bytes]:
    return [b"nan" if math.isnan(value) else struct.pack("<d", value) for value in values]


@LAWFUL
@given(values=st.lists(numbers, max_size=20), digits=st.sampled_from([1, 3, 4, 6]))
@example(values=[2.5, 0.25, 0.35, 2.675, 1.0005, 0.12345, -0.0, 1e300, 4503599627370497.5, float("nan")], digits=1)
@example(values=[1.0005, 2.0015, 0.0005, 8.1235, 2.675], digits=3)
@example(values=[0.12345, 0.00005, 1.00015, -0.00005], digits=4)
def test_each_number_is_rounded_as_round_does_it(values, digits):
    assert bits(rounded(np.array(values, dtype=np.float64), digits)) == bits([round(value, digits) for value in values])
