"""What each workload costs and does now: the latest complete minute, for people to look at and for second looks."""

from math import isnan
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerts.scale_down_proof import SIGHTED_EVERY_S
from detectors.idle import IdleDetector
from detectors.minute import Minute, moment
from detectors.panel import OVERFLOW, Fleet
from store.facts import DeviceRow, StatusRow, WorkloadState
from streams.rounding import rounded

Flags = NDArray[np.bool_]


class Statuses:
    """Collects which workloads reported since the last look, and describes them."""

    def __init__(self, idle: IdleDetector) -> None:
        """Uses the idle detector's own view of accelerators, so that both always agree."""
        self._idle = idle
        self._rows: Flags = np.zeros(0, dtype=np.bool_)  # by workload row
        self._sighted: Flags = np.zeros(0, dtype=np.bool_)  # by accelerator: to be put on record
        self._end_s = 0

    @staticmethod
    def declare(fleet: Fleet) -> None:
        """The columns that are kept here."""
        fleet.workloads.declare("status_s", "f8", 0.0)
        fleet.workloads.declare("token_usd_per_hour", "f8", 0.0)
        fleet.workloads.declare("tokens_per_minute", "f8", np.nan)
        fleet.devices.declare("status_owner", "i4", -1, owner=True)
        fleet.devices.declare("recorded_s", "f8", 0.0)

    def take(self, fleet: Fleet, minute: Minute) -> None:
        """Note a complete minute. Who gave up an accelerator has reported, too: it is seen with someone else."""
        self.declare(fleet)
        workloads = fleet.workloads
        usage = minute.usage
        if len(usage.row):
            span_s = np.maximum(usage.span_s, 60.0)
            workloads.column("token_usd_per_hour")[usage.row] = usage.usd * 3600.0 / span_s
            tokens = usage.input_tokens + usage.output_tokens
            workloads.column("tokens_per_minute")[usage.row] = tokens * 60.0 / span_s
        owners = fleet.devices.column("status_owner")
        before = owners[minute.devices.row]
        given_up = before[(before >= 0) & (before != minute.devices.workload)]
        owners[minute.devices.row] = minute.devices.workload
        self._sight(fleet, minute, before != minute.devices.workload)
        self._rows = _roomy(self._rows, len(workloads))
        for rows in (minute.devices.workload, usage.row, given_up):
            workloads.column("status_s")[rows] = minute.end_s
            self._rows[rows] = True
        self._end_s = minute.end_s

    def _sight(self, fleet: Fleet, minute: Minute, changed: NDArray[np.bool_]) -> None:
        """Put accelerators on record that have another owner, and those whose record has grown old: a few at a time."""
        rows, recorded_s = minute.devices.row, fleet.devices.column("recorded_s")
        due = changed | (minute.end_s - recorded_s[rows] >= SIGHTED_EVERY_S)
        minutes_spread = int(SIGHTED_EVERY_S) // 60
        spread_s = 60.0 * (rows % minutes_spread)  # so that not all records grow old in the same minute
        recorded_s[rows[due]] = minute.end_s - np.where(changed, spread_s, 0.0)[due]
        self._sighted = _roomy(self._sighted, len(fleet.devices))
        self._sighted[rows[due]] = True

    def unsaid(self) -> tuple[frozenset[int], frozenset[int]]:
        """Workload and accelerator rows that are still to be handed over: they must not be evicted before."""
        workloads, devices = (np.flatnonzero(flags).tolist() for flags in (self._rows, self._sighted))
        return frozenset(workloads), frozenset(devices)

    def drain_devices(self, fleet: Fleet) -> list[DeviceRow]:
        """Accelerators to be put on record, by name; those that share a row have no owner that is known."""
        chosen = np.flatnonzero(self._sighted)
        if not len(chosen):
            return []
        self._sighted[:] = False
        devices, keys = fleet.devices, fleet.workloads.keys
        chosen = chosen[np.argsort(devices.ranks()[chosen])]
        owners, seen_s = devices.column("status_owner")[chosen].tolist(), devices.column("seen_s")[chosen].tolist()
        at = {end_s: moment(end_s) for end_s in set(seen_s)}
        return [
            DeviceRow(device=devices.keys[row], workload=keys[owner], at=at[end_s], gpu_model=fleet.models[row])
            for row, owner, end_s in zip(chosen.tolist(), owners, seen_s, strict=True)
            if devices.keys[row] != OVERFLOW
        ]

    def drain(self, fleet: Fleet) -> list[StatusRow]:
        """Workloads that reported since the last call, by name."""
        chosen = np.flatnonzero(self._rows)
        if not len(chosen):
            return []
        self._rows[:] = False
        found = self._idle.gather(fleet, float(self._end_s))
        workloads, held = fleet.workloads, self._held(fleet)
        chosen = chosen[np.argsort(workloads.ranks()[chosen])]
        active = found.busy[chosen] > 0
        quiet = (found.fresh[chosen] > 0) & ~active
        evident = quiet & (found.families[chosen] >= self._idle.min_families)
        evident &= found.requests_known[chosen] | ~found.serves[chosen]
        age_s = self._end_s - workloads.column("usage_s")[chosen]
        live = age_s <= np.maximum(3.0 * workloads.column("usage_span_s")[chosen], 600.0)
        tokens = workloads.column("tokens_per_minute")[chosen]
        busy = active | (live & (held.devices[chosen] == 0) & (tokens > 0))
        idle = ~busy & evident & (found.until_s[chosen] > found.since_s[chosen])
        usd = found.usd_per_hour[chosen] + np.where(live, workloads.column("token_usd_per_hour")[chosen], 0.0)
        status_s = workloads.column("status_s")[chosen].tolist()
        at = {end_s: moment(end_s) for end_s in set(status_s)}
        columns = zip(
            chosen.tolist(), busy.tolist(), idle.tolist(), rounded(usd, 6), live.tolist(),
            rounded(tokens, 3), found.since_s[chosen].tolist(), status_s,
            held.devices[chosen].tolist(), np.where(evident, held.quiet[chosen], 0).tolist(),
            held.first[chosen].tolist(), rounded(held.util_ratio[chosen], 4), rounded(held.power_w[chosen], 1),
            strict=True,
        )  # fmt: skip
        return [
            StatusRow(
                workload=workloads.keys[row],
                team=fleet.teams[row],
                at=at[end_s],
                state=WorkloadState.BUSY if is_busy else WorkloadState.IDLE if is_idle else WorkloadState.UNKNOWN,
                usd_per_hour=usd_per_hour,
                devices=devices,
                idle_devices=idle_devices,
                gpu_model=fleet.models[first] if first >= 0 else None,
                util_ratio=None if isnan(util_ratio) else util_ratio,
                power_w=None if isnan(power_w) else power_w,
                tokens_per_minute=None if isnan(per_minute) else per_minute if is_live else 0.0,
                idle_since=moment(since_s) if is_idle else None,
            )
            for (
                row, is_busy, is_idle, usd_per_hour, is_live, per_minute, since_s, end_s, devices, idle_devices, first,
                util_ratio, power_w,
            ) in columns
        ]  # fmt: skip

    def _held(self, fleet: Fleet) -> "_Held":
        """What accelerators of which something was heard lately are held by each workload row."""
        devices, size = fleet.devices, len(fleet.workloads)
        silence_s = self._end_s - devices.column("seen_s")
        fresh = silence_s <= np.maximum(self._idle.stale_spans * devices.column("span_s"), self._idle.stale_after_s)
        mine = np.flatnonzero(fresh & (devices.column("workload") >= 0))
        owner = devices.column("workload")[mine]
        first = np.full(size, -1, dtype=np.int64)
        first[owner[::-1]] = mine[::-1]
        quiet = devices.column("quiet_since_s")[mine] > 0
        return _Held(
            devices=np.bincount(owner, minlength=size),
            quiet=np.bincount(owner[quiet], minlength=size),
            first=first,
            util_ratio=_means(owner, devices.column("util_ratio")[mine], size),
            power_w=_means(owner, devices.column("power_w")[mine], size),
        )


class _Held(Struct, frozen=True):
    """By workload row: how many accelerators, how many of them quiet, the first one's row (-1: none), and means."""

    devices: NDArray[np.int64]
    quiet: NDArray[np.int64]
    first: NDArray[np.int64]
    util_ratio: NDArray[np.float64]  # NaN where none is known
    power_w: NDArray[np.float64]


def _roomy(flags: Flags, size: int) -> Flags:
    """The same flags for at least so many rows."""
    return (
        flags if len(flags) >= size else np.concatenate([flags, np.zeros(max(size, 64) - len(flags), dtype=np.bool_)])
    )


def _means(owner: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    numbers = np.bincount(owner[known], minlength=size)
    sums = np.bincount(owner[known], weights=values[known].astype(np.float64), minlength=size)
    means: NDArray[np.float64] = np.divide(sums, numbers, out=np.full(size, np.nan), where=numbers > 0)
    return means
