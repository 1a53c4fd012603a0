"""Minutes from plain words: what each accelerator and each workload reported."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import nan
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.findings import Finding
from detectors.minute import Detector, DeviceMinute, Minute, UnpricedUse, UsageMinute, moment
from detectors.panel import Fleet

NOON_S = 1_769_428_800  # 2026-01-26T12:00:00Z, a Monday
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


class Gpu(Struct, frozen=True, kw_only=True):
    """What one accelerator reported in a minute; NaN is unknown."""

    device: str = "GPU-0"
    workload: str = "prod/llm/chat"
    span_s: float = 60.0
    util_ratio: float = nan
    engine_active_ratio: float = nan
    sm_active_ratio: float = nan
    tensor_active_ratio: float = nan
    memory_used_ratio: float = nan
    power_w: float = nan
    usd_per_hour: float = 4.0


class Use(Struct, frozen=True, kw_only=True):
    """What one workload served in a minute; NaN is unknown."""

    workload: str = "prod/llm/chat"
    span_s: float = 60.0
    requests: float = 0.0
    tokens: float = 0.0
    running: float = nan
    waiting: float = nan
    usd: float = 0.0
    reference_usd: float | None = None  # as `usd` where it is not given


class Unpriced(Struct, frozen=True, kw_only=True):
    """Usage that has no price."""

    workload: str = "prod/llm/chat"
    model: str = "new-model"
    tokens: float = 0.0
    gpu_s: float = 0.0


class Deed(Struct, frozen=True, kw_only=True):
    """What somebody did to a workload."""

    at_s: int
    kind: str = "scale"
    summary: str = "4 to 8 replicas"
    workload: str = "prod/llm/chat"


QUIET = Gpu(util_ratio=0.0, power_w=70.0, memory_used_ratio=0.6)
BUSY = Gpu(util_ratio=0.9, power_w=600.0, memory_used_ratio=0.6)

Report = Gpu | Use | Unpriced | Deed


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return moment(NOON_S + minutes * MINUTE_S)


def minute_of(fleet: Fleet, number: int, *reports: Report, lateness_s: int = 0) -> Minute:
    """The minute that ends `number` minutes after noon. Rows are made in the order of the reports."""
    gpus = [
        (fleet.device(one.device, "H100", row), row, one)
        for one in reports
        if isinstance(one, Gpu)
        for row in [fleet.workload(one.workload, team_of(one.workload))]
    ]
    uses = [(fleet.workload(one.workload, team_of(one.workload)), one) for one in reports if isinstance(one, Use)]
    unpriced = [
        UnpricedUse(fleet.workload(one.workload, team_of(one.workload)), one.model, one.tokens, one.gpu_s)
        for one in reports
        if isinstance(one, Unpriced)
    ]
    deeds = [
        (fleet.workload(one.workload, team_of(one.workload)), one.at_s, one.kind, one.summary)
        for one in reports
        if isinstance(one, Deed)
    ]
    return Minute(
        end_s=NOON_S + number * MINUTE_S,
        lateness_s=lateness_s,
        devices=_devices(gpus),
        usage=_usage(uses),
        unpriced=tuple(unpriced),
        changes=tuple(deeds),
    )


def team_of(workload: str) -> str | None:
    """The namespace stands for the team."""
    return workload.split("/")[1] or None


def _devices(gpus: list[tuple[int, int, Gpu]]) -> DeviceMinute:
    latest = {row: (workload, one) for row, workload, one in gpus}  # of those that share a row, the last one counts
    rows = sorted(latest)
    ordered = [latest[row][1] for row in rows]

    def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([getattr(one, name) for one in ordered], dtype=np.float64)

    return DeviceMinute(
        row=np.array(rows, dtype=np.int64),
        workload=np.array([latest[row][0] for row in rows], dtype=np.int64),
        span_s=column("span_s"),
        last_span_s=column("span_s"),
        util_ratio=column("util_ratio"),
        engine_active_ratio=column("engine_active_ratio"),
        sm_active_ratio=column("sm_active_ratio"),
        tensor_active_ratio=column("tensor_active_ratio"),
        memory_used_ratio=column("memory_used_ratio"),
        power_w=column("power_w"),
        usd_per_hour=column("usd_per_hour"),
    )


def _usage(uses: list[tuple[int, Use]]) -> UsageMinute:
    uses = sorted(uses, key=lambda one: one[0])

    def column(values: Iterable[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array(list(values), dtype=np.float64)

    return UsageMinute(
        row=np.array([row for row, _ in uses], dtype=np.int64),
        span_s=column(one.span_s for _, one in uses),
        requests=column(one.requests for _, one in uses),
        errors=column(0.0 for _ in uses),
        input_tokens=column(one.tokens for _, one in uses),
        output_tokens=column(0.0 for _ in uses),
        running=column(one.running for _, one in uses),
        waiting=column(one.waiting for _, one in uses),
        usd=column(one.usd for _, one in uses),
        reference_usd=column(one.usd if one.reference_usd is None else one.reference_usd for _, one in uses),
    )


class Watch:
    """A detector and its fleet, shown one minute after another."""

    def __init__(self, *detectors: Detector, fleet: Fleet | None = None) -> None:
        """Detectors look in the order given."""
        self.detectors, self.fleet, self.number = detectors, fleet or Fleet(), 0

    def see(self, *reports: Report, minutes: int = 1) -> list[Finding]:
        """The same reports for so many minutes; what was found in them."""
        found: list[Finding] = []
        for _ in range(minutes):
            self.number += 1
            shown = minute_of(self.fleet, self.number, *reports)
            for detector in self.detectors:
                found += detector.look(self.fleet, shown)
        return found


def openings(findings: Sequence[Finding]) -> list[Finding]:
    """The first finding of each condition, after its beginning or its last clearing."""
    held: set[str] = set()
    first = []
    for one in findings:
        if one.cleared:
            held.discard(one.fingerprint)
        elif one.fingerprint not in held:
            held.add(one.fingerprint)
            first.append(one)
    return first


def clearings(findings: Sequence[Finding]) -> list[Finding]:
    """What has ended."""
    return [one for one in findings if one.cleared]
