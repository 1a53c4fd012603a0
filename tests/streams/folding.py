"""Rows of numbers into an open minute, for the tests of what folds and what is made of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streams.fold import USAGE_SUMS, OpenMinute

SAMPLE_NAMES = (
    "workload", "last_span_s", "util_ratio", "engine_active_ratio", "sm_active_ratio", "tensor_active_ratio",
    "memory_used_ratio", "power_w", "usd_per_hour",
)  # fmt: skip
USAGE_NAMES = (
    "span_s", "requests", "errors", "input_tokens", "output_tokens", "running", "waiting", "nano_usd",
    "reference_nano_usd",
)  # fmt: skip


def add_devices(minute: OpenMinute, events: Sequence[tuple[int, int, tuple[Any, ...]]]) -> None:
    """Samples: device row, time in milliseconds, and the values of SAMPLE_NAMES."""
    if events:
        rows, times, values = zip(*events, strict=True)
        columns = dict(zip(SAMPLE_NAMES, np.array(values, dtype=np.float64).T, strict=True))
        columns["span_ms"] = np.rint(columns["last_span_s"] * 1000).astype(np.int64)
        minute.add_samples(np.array(rows), np.array(times), columns)


def add_usages(minute: OpenMinute, events: Sequence[tuple[int, int, tuple[Any, ...]]]) -> None:
    """Usage: workload row, time in milliseconds, and the values of USAGE_NAMES."""
    if events:
        rows, times, values = zip(*events, strict=True)
        columns = {
            name: np.array(column, dtype=np.int64 if name in USAGE_SUMS else np.float64)
            for name, column in zip(USAGE_NAMES, zip(*values, strict=True), strict=True)
        }
        minute.add_usage(np.array(rows), np.array(times), columns)
