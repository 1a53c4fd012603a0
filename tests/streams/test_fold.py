import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.minute import UnpricedUse
from streams.fold import NAN, OpenMinute
from tests.streams.folding import add_devices, add_usages

LAWFUL = settings(derandomize=True, max_examples=100, deadline=None)
NUMBER = st.sampled_from([NAN, 0.0, 0.1, 0.2, 0.3, 1e-9, 1e9]) | st.floats(0, 1e6)
WHOLE = st.sampled_from([0, 1, 7, 10**12 + 1, 10**15])
SECONDS = st.sampled_from([0.001, 0.1, 30.0])
DEVICES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.tuples(st.integers(0, 2), SECONDS, *[NUMBER] * 7)), max_size=15
)
USAGE = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.tuples(SECONDS, *[WHOLE] * 4, *[NUMBER] * 2, *[WHOLE] * 2)),
    max_size=15,
)


def closed(devices, usage, unpriced=(), cut=None):
    minute = OpenMinute()
    for events in (devices[:cut], devices[cut:] if cut is not None else []):
        add_devices(minute, events)
    for events in (usage[:cut], usage[cut:] if cut is not None else []):
        add_usages(minute, events)
    for use in unpriced:
        minute.add_unpriced(*use)
    return minute


def columns(minute: OpenMinute) -> list[list[float]]:
    whole = minute.close(60, 120, ())
    return [getattr(part, name).tolist() for part in (whole.devices, whole.usage) for name in part.__dataclass_fields__]


def same(one: list[list[float]], other: list[list[float]]) -> bool:
    return all(np.array_equal(left, right, equal_nan=True) for left, right in zip(one, other, strict=True))


def test_samples_of_one_device_fold_by_sum_maximum_and_last():
    minute = OpenMinute()
    add_devices(minute, [(4, 30_000, (7, 30.0, 0.2, 0.9, NAN, NAN, 0.5, 100.0, 4.0))])
    add_devices(minute, [(2, 30_000, (7, 30.0, NAN, NAN, NAN, NAN, NAN, NAN, NAN))])
    add_devices(minute, [(4, 60_000, (8, 29.0, 0.1, NAN, 0.3, NAN, 0.4, 300.0, 3.0))])

    seen = minute.close(60, 120, ()).devices

    assert (seen.row.tolist(), seen.workload.tolist()) == ([2, 4], [7, 8])
    assert (seen.span_s.tolist(), seen.last_span_s.tolist()) == ([30.0, 59.0], [30.0, 29.0])
    assert [values.tolist()[1] for values in (seen.util_ratio, seen.engine_active_ratio, seen.sm_active_ratio)] == [
        0.2,
        0.9,
        0.3,
    ]
    assert [values.tolist()[1] for values in (seen.memory_used_ratio, seen.power_w, seen.usd_per_hour)] == [
        0.4,
        300.0,
        3.0,
    ]
    assert all(
        math.isnan(values[0])
        for values in (
            seen.util_ratio,
            seen.tensor_active_ratio,
            seen.memory_used_ratio,
            seen.power_w,
            seen.usd_per_hour,
        )
    )
    assert math.isnan(seen.tensor_active_ratio[1])


def test_usage_of_one_workload_adds_up_and_unknown_is_not_zero():
    minute = OpenMinute()
    add_usages(minute, [(1, 10_000, (10.0, 5, 1, 100, 20, NAN, NAN, 500_000_000, 250_000_000))])
    add_usages(minute, [(1, 20_000, (60.0, 7, 0, 200, 30, 2.0, NAN, 250_000_000, 250_000_000))])

    used = minute.close(60, 120, ()).usage

    figures = (used.row, used.span_s, used.requests, used.errors, used.input_tokens, used.output_tokens, used.running)
    assert [column.tolist() for column in (*figures, used.usd, used.reference_usd)] == [
        [1],
        [60.0],
        [12.0],
        [1.0],
        [300.0],
        [50.0],
        [2.0],
        [0.75],
        [0.5],
    ]
    assert math.isnan(used.waiting[0])


def test_an_empty_minute_has_empty_columns_and_the_changes():
    changes = ((1, 30, "deploy", "v2"),)

    whole = OpenMinute().close(60, 120, changes)

    assert all(column == [] for column in columns(OpenMinute()))
    assert (whole.unpriced, whole.changes, whole.end_s, whole.lateness_s) == ((), changes, 60, 120)


def test_what_has_no_price_adds_up_exactly_in_any_order():
    spans_ms = [100, 200, 300, 30_100, 7]
    for seed in range(5):
        random.Random(seed).shuffle(spans_ms)
        minute = closed([], [], [(3, "Abacus", 0, span_ms) for span_ms in spans_ms] + [(1, "m", 9, 0)])
        assert minute.close(60, 120, ()).unpriced == (
            UnpricedUse(1, "m", 9.0, 0.0),
            UnpricedUse(3, "Abacus", 0.0, 30.707),
        )


@LAWFUL
@given(DEVICES, USAGE, st.randoms(use_true_random=False))
def test_order_changes_not_a_bit(devices, usage, mix):
    straight = columns(closed(devices, usage))
    mix.shuffle(devices)
    mix.shuffle(usage)

    assert same(columns(closed(devices, usage, cut=mix.randint(0, 15))), straight)


@LAWFUL
@given(DEVICES, USAGE, st.randoms(use_true_random=False))
def test_a_trip_through_bytes_changes_not_a_bit(devices, usage, mix):
    minute = closed(devices, usage)
    travelled = OpenMinute.from_bytes(minute.to_bytes())
    again = [event for event in devices if mix.random() < 0.5]
    add_devices(minute, again)
    add_devices(travelled, again)

    assert same(columns(travelled), columns(minute))
    assert travelled.to_bytes() == minute.to_bytes()


@pytest.mark.parametrize("count", [1, 2, 500])
def test_rows_come_out_in_order(count):
    order = list(range(count))
    random.Random(1).shuffle(order)

    minute = closed([(row, 9, (0, *[1.0] * 8)) for row in order], [(row, 9, (1,) * 9) for row in order]).close(
        60, 0, ()
    )

    assert minute.devices.row.tolist() == minute.usage.row.tolist() == list(range(count))
