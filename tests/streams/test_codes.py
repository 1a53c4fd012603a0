"""Codes: which occur, and in what order they occur last."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codes import distinct, last_places

LAWFUL = settings(derandomize=True, max_examples=200, deadline=None)
codes = st.lists(st.integers(0, 9), max_size=30)


@LAWFUL
@given(codes)
def test_each_value_that_occurs_is_told_once_and_in_order(values):
    assert distinct(np.array(values, dtype=np.int64)) == sorted(set(values))


@LAWFUL
@given(codes)
def test_codes_are_told_in_the_order_of_their_last_occurrence(values):
    last = {value: place for place, value in enumerate(values)}
    assert last_places(np.array(values, dtype=np.int64)) == sorted(last, key=last.__getitem__)
