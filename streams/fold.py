"""Open minutes: events fold into the minute in which their span ends; order inside a minute changes nothing."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.minute import DeviceMinute, Minute, UnpricedUse, UsageMinute

NAN = float("nan")
_DEVICE_FIELDS = 11
_USAGE_FIELDS = 11


class OpenMinute(msgspec.Struct):
    """What has come so far for one minute: rows of numbers, sorted when it closes."""

    devices: list[tuple[float, ...]] = []
    usage: list[tuple[float, ...]] = []
    unpriced: dict[str, tuple[int, str, int, int]] = {}

    def add_device(self, row: int, at_ms: int, values: tuple[float, ...]) -> None:
        """A sample: workload row, span_s, util, engine, sm, tensor, memory ratio, power_w, usd_per_hour."""
        self.devices.append((row, at_ms, *values))

    def add_usage(self, row: int, at_ms: int, values: tuple[float, ...]) -> None:
        """Usage: span_s, requests, errors, input, output, running, waiting, usd, reference_usd."""
        self.usage.append((row, at_ms, *values))

    def add_unpriced(self, row: int, model: str, tokens: int, gpu_ms: int) -> None:
        """Usage without a price. Integers: their sum is the same in any order."""
        key = f"{row}\x1f{model}"
        _, _, had_tokens, had_gpu_ms = self.unpriced.get(key, (row, model, 0, 0))
        self.unpriced[key] = (row, model, had_tokens + tokens, had_gpu_ms + gpu_ms)

    def close(
        self, end_s: int, lateness_s: int, changes: tuple[tuple[int, int, str, str], ...], *, others_heard: bool = False
    ) -> Minute:
        """The minute as detectors see it."""
        return Minute(
            end_s=end_s,
            lateness_s=lateness_s,
            devices=_devices(self.devices),
            usage=_usage(self.usage),
            unpriced=tuple(
                UnpricedUse(row, model, float(tokens), gpu_ms / 1000)
                for _, (row, model, tokens, gpu_ms) in sorted(self.unpriced.items())
            ),
            changes=changes,
            others_heard=others_heard,
        )


def _groups(rows: list[tuple[float, ...]], width: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sorted columns, where each row's group begins, and where it ends (the latest by time)."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    table = table[np.lexsort(table.T[::-1])]  # a total order, NaN last, whatever came first
    starts = np.flatnonzero(np.r_[True, table[1:, 0] != table[:-1, 0]]) if len(rows) else np.zeros(0, dtype=np.intp)
    ends = np.r_[starts[1:], len(rows)] - 1 if len(rows) else starts
    return table, starts, ends


def _most(column: NDArray[Any], starts: NDArray[Any]) -> NDArray[np.float64]:
    """Largest known value of each group, NaN where none is known."""
    if not len(starts):
        return np.zeros(0)
    return np.fmax.reduceat(column, starts)


def _sum(column: NDArray[Any], starts: NDArray[Any]) -> NDArray[np.float64]:
    if not len(starts):
        return np.zeros(0)
    return np.add.reduceat(column, starts)


def _devices(rows: list[tuple[float, ...]]) -> DeviceMinute:
    table, starts, ends = _groups(rows, _DEVICE_FIELDS)
    return DeviceMinute(
        row=table[starts, 0].astype(np.int64),
        workload=table[ends, 2].astype(np.int64),
        span_s=_sum(table[:, 3], starts),
        last_span_s=table[ends, 3],
        util_ratio=_most(table[:, 4], starts),
        engine_active_ratio=_most(table[:, 5], starts),
        sm_active_ratio=_most(table[:, 6], starts),
        tensor_active_ratio=_most(table[:, 7], starts),
        memory_used_ratio=table[ends, 8],
        power_w=_most(table[:, 9], starts),
        usd_per_hour=table[ends, 10],
    )


def _usage(rows: list[tuple[float, ...]]) -> UsageMinute:
    table, starts, _ = _groups(rows, _USAGE_FIELDS)
    return UsageMinute(
        row=table[starts, 0].astype(np.int64),
        span_s=_most(table[:, 2], starts),
        requests=_sum(table[:, 3], starts),
        errors=_sum(table[:, 4], starts),
        input_tokens=_sum(table[:, 5], starts),
        output_tokens=_sum(table[:, 6], starts),
        running=_most(table[:, 7], starts),
        waiting=_most(table[:, 8], starts),
        usd=_sum(table[:, 9], starts),
        reference_usd=_sum(table[:, 10], starts),
    )
