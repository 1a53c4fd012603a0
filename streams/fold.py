"""Open minutes: events fold into the minute in which their span ends; order inside a minute changes nothing.

A minute is columns with a place for each row that reported: sums are of whole numbers, and what is the latest is
decided by time. So a minute costs the same whether a row reported once in it or a thousand times.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.minute import DeviceMinute, Minute, UnpricedUse, UsageMinute
from streams.codes import distinct

NAN = float("nan")
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST = 10**18  # of a sum
MOST_AT_ONCE = 10**12  # of one event, where many are summed in one step

SAMPLE_MAXIMA = ("util_ratio", "engine_active_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w")
SAMPLE_LATEST = ("workload", "last_span_s", "memory_used_ratio", "usd_per_hour")
USAGE_SUMS = ("requests", "errors", "input_tokens", "output_tokens", "nano_usd", "reference_nano_usd")
USAGE_MAXIMA = ("span_s", "running", "waiting")


_Packed = tuple[bytes, bytes, bytes]


class _Table:
    """Columns by row: sums that begin at 0, and maxima and latest values that begin unknown."""

    def __init__(self, sums: tuple[str, ...], maxima: tuple[str, ...], latest: tuple[str, ...]) -> None:
        self.sums, self.maxima, self.latest = sums, maxima, latest
        self._whole: Longs = np.zeros((1 + len(sums), 0), dtype=np.int64)
        self._known: Floats = np.zeros((len(maxima) + len(latest), 0))
        self._name()

    def _name(self) -> None:
        self.at_ms: Longs = self._whole[0]  # of the latest event of a row; 0: none
        self.whole: dict[str, Longs] = dict(zip(self.sums, self._whole[1:], strict=True))
        self.known: dict[str, Floats] = dict(zip((*self.maxima, *self.latest), self._known, strict=True))

    def room(self, rows: int) -> None:
        have = self._whole.shape[1]
        if rows > have:
            size = max(rows, have + have // 4, 16)
            whole, known = self._whole, self._known
            self._whole = np.zeros((len(whole), size), dtype=np.int64)
            self._known = np.full((len(known), size), np.nan)
            self._whole[:, :have], self._known[:, :have] = whole, known
            self._name()

    def add(self, rows: Longs, at_ms: Longs, columns: Mapping[str, NDArray[Any]]) -> None:
        self.room(int(rows.max()) + 1)
        for name in self.sums:
            column, values = self.whole[name], columns[name]
            large = values > MOST_AT_ONCE
            if large.any():
                np.add.at(column, rows, np.where(large, 0, values))
                for place in np.flatnonzero(large).tolist():
                    column[rows[place]] = min(int(column[rows[place]]) + int(values[place]), MOST)
            else:
                np.add.at(column, rows, values)
            column[rows] = np.minimum(column[rows], MOST)
        for name in self.maxima:
            np.fmax.at(self.known[name], rows, columns[name])
        if self.latest:
            self._keep_latest(rows, at_ms, columns)
        else:
            np.maximum.at(self.at_ms, rows, at_ms)

    def _keep_latest(self, rows: Longs, at_ms: Longs, columns: Mapping[str, NDArray[Any]]) -> None:
        """Of each row the values of its latest event; of several at one time the largest, NaN being largest."""
        before = self.at_ms[rows]
        np.maximum.at(self.at_ms, rows, at_ms)
        winning = np.flatnonzero(at_ms == self.at_ms[rows])
        places, values = rows[winning], [np.asarray(columns[name], dtype=np.float64)[winning] for name in self.latest]
        tied = before[winning] == at_ms[winning]
        if tied.any() or len(distinct(places)) != len(places):
            places = np.concatenate([places, places[tied]])
            values = [
                np.concatenate([column, self.known[name][rows[winning][tied]]])
                for name, column in zip(self.latest, values, strict=True)
            ]
            order = np.lexsort([*values[::-1], places])
            order = order[np.r_[places[order][1:] != places[order][:-1], True]]
            places, values = places[order], [column[order] for column in values]
        for name, column in zip(self.latest, values, strict=True):
            self.known[name][places] = column

    def rows(self) -> Longs:
        return np.flatnonzero(self.at_ms)

    def to_rows(self) -> _Packed:
        rows = self.rows()
        whole, known = self._whole[:, rows], self._known[:, rows]
        return rows.astype("<i8").tobytes(), whole.astype("<i8").tobytes(), known.astype("<f8").tobytes()

    def load(self, held: _Packed) -> None:
        rows = np.frombuffer(held[0], dtype="<i8")
        self.room(int(rows.max(initial=-1)) + 1)
        self._whole[:, rows] = np.frombuffer(held[1], dtype="<i8").reshape(len(self._whole), -1)
        self._known[:, rows] = np.frombuffer(held[2], dtype="<f8").reshape(len(self._known), -1)


class OpenMinute:
    """What has come so far for one minute."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._samples = _Table(("span_ms",), SAMPLE_MAXIMA, SAMPLE_LATEST)
        self._usage = _Table(USAGE_SUMS, USAGE_MAXIMA, ())
        self._unpriced: dict[tuple[int, str], tuple[int, int]] = {}  # tokens and accelerator milliseconds
        self.unwritten = True

    def add_samples(self, rows: Longs, at_ms: Longs, columns: Mapping[str, NDArray[Any]]) -> None:
        """Samples of device rows (n,), each column (n,).

        `span_ms`, the maxima and `workload` (row), `last_span_s`, `memory_used_ratio`, `usd_per_hour`; NaN: unknown.
        """
        self._samples.add(rows, at_ms, columns)
        self.unwritten = True

    def add_usage(self, rows: Longs, at_ms: Longs, columns: Mapping[str, NDArray[Any]]) -> None:
        """Usage of workload rows (n,): columns (n,) of the sums, whole numbers, and of the maxima, NaN: unknown."""
        self._usage.add(rows, at_ms, columns)
        self.unwritten = True

    def add_unpriced(self, row: int, model: str, tokens: int, gpu_ms: int) -> None:
        """Usage without a price. Integers: their sum is the same in any order."""
        had_tokens, had_gpu_ms = self._unpriced.get((row, model), (0, 0))
        self._unpriced[row, model] = (had_tokens + tokens, had_gpu_ms + gpu_ms)
        self.unwritten = True

    def workloads(self) -> set[int]:
        """Workload rows that this minute tells of."""
        samples = self._samples.known["workload"][self._samples.rows()].astype(np.int64)
        return {*samples.tolist(), *self._usage.rows().tolist(), *(row for row, _ in self._unpriced)}

    def devices(self) -> set[int]:
        """Device rows that this minute tells of."""
        return set(self._samples.rows().tolist())

    def close(
        self, end_s: int, lateness_s: int, changes: tuple[tuple[int, int, str, str], ...], *, others_heard: bool = False
    ) -> Minute:
        """The minute as detectors see it."""
        return Minute(
            end_s=end_s,
            lateness_s=lateness_s,
            devices=self._device_minute(),
            usage=self._usage_minute(),
            unpriced=tuple(
                UnpricedUse(row, model, float(tokens), gpu_ms / 1000)
                for (row, model), (tokens, gpu_ms) in sorted(self._unpriced.items())
            ),
            changes=changes,
            others_heard=others_heard,
        )

    def _device_minute(self) -> DeviceMinute:
        rows, table = self._samples.rows(), self._samples
        known = {name: column[rows] for name, column in table.known.items()}
        return DeviceMinute(
            row=rows,
            workload=known.pop("workload").astype(np.int64),
            span_s=table.whole["span_ms"][rows] / 1000.0,
            **known,
        )

    def _usage_minute(self) -> UsageMinute:
        rows, table = self._usage.rows(), self._usage
        sums = {name: column[rows].astype(np.float64) for name, column in table.whole.items()}
        return UsageMinute(
            row=rows,
            usd=sums.pop("nano_usd") / 1e9,
            reference_usd=sums.pop("reference_nano_usd") / 1e9,
            **sums,
            **{name: column[rows] for name, column in table.known.items()},
        )

    def to_bytes(self) -> bytes:
        """All of it."""
        unpriced = [(row, model, *amounts) for (row, model), amounts in sorted(self._unpriced.items())]
        return msgspec.msgpack.encode((self._samples.to_rows(), self._usage.to_rows(), unpriced))

    @classmethod
    def from_bytes(cls, data: bytes) -> "OpenMinute":
        """What `to_bytes` wrote. Raises msgspec.MsgspecError or ValueError for anything else."""
        samples, usage, unpriced = msgspec.msgpack.decode(
            data, type=tuple[_Packed, _Packed, list[tuple[int, str, int, int]]]
        )
        minute = cls()
        minute._samples.load(samples)
        minute._usage.load(usage)
        minute._unpriced = {(row, model): (tokens, gpu_ms) for row, model, tokens, gpu_ms in unpriced}
        minute.unwritten = False
        return minute
