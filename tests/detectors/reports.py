"""Minutes written out by hand, and fleets that look at them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from detectors.findings import Finding
from detectors.minute import Detector, DeviceMinute, Minute, UsageMinute
from detectors.panel import Fleet

MONDAY = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
NAN = float("nan")


class Gpu(Struct, kw_only=True):
    """One accelerator's sample of a minute. NaN is unknown."""

    device: str = "GPU-1"
    workload: str = "prod/llm/chat"
    util_ratio: float = NAN
    sm_active_ratio: float = NAN
    tensor_active_ratio: float = NAN
    power_w: float = NAN
    usd_per_hour: float = 2.0
    span_s: float = 60.0


class Use(Struct, kw_only=True):
    """One workload's usage of a minute."""

    workload: str = "prod/llm/chat"
    requests: float = 0.0
    errors: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0
    reference_usd: float | None = None  # None: as `usd`
    span_s: float = 60.0


def at(minute: int) -> datetime:
    """The end of a minute, counted from Monday, midnight."""
    return MONDAY + timedelta(minutes=minute)


def minute_of(
    fleet: Fleet,
    number: int,
    samples: Sequence[Gpu | Use] = (),
    changes: tuple[tuple[int, int, str, str], ...] = (),
) -> Minute:
    """The minute that ends `number` minutes after Monday, midnight."""
    gpus = [one for one in samples if isinstance(one, Gpu)]
    uses = [one for one in samples if isinstance(one, Use)]
    gpus.sort(key=lambda one: fleet.device(one.device, "L40S"))
    uses.sort(key=lambda one: fleet.workload(one.workload, "search"))

    def floats(values: Iterable[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(list(values), dtype=np.float64)

    unknown = np.full(len(gpus), np.nan)
    none = np.full(len(uses), np.nan)
    return Minute(
        end_s=int(at(number).timestamp()),
        lateness_s=0,
        devices=DeviceMinute(
            row=np.array([fleet.device(one.device, "L40S") for one in gpus], dtype=np.int64),
            workload=np.array([fleet.workload(one.workload, "search") for one in gpus], dtype=np.int64),
            span_s=floats(one.span_s for one in gpus),
            last_span_s=floats(one.span_s for one in gpus),
            util_ratio=floats(one.util_ratio for one in gpus),
            engine_active_ratio=unknown,
            sm_active_ratio=floats(one.sm_active_ratio for one in gpus),
            tensor_active_ratio=floats(one.tensor_active_ratio for one in gpus),
            memory_used_ratio=unknown,
            power_w=floats(one.power_w for one in gpus),
            usd_per_hour=floats(one.usd_per_hour for one in gpus),
        ),
        usage=UsageMinute(
            row=np.array([fleet.workload(one.workload, "search") for one in uses], dtype=np.int64),
            span_s=floats(one.span_s for one in uses),
            requests=floats(one.requests for one in uses),
            errors=floats(one.errors for one in uses),
            input_tokens=floats(one.tokens for one in uses),
            output_tokens=np.zeros(len(uses)),
            running=none,
            waiting=none,
            usd=floats(one.usd for one in uses),
            reference_usd=floats(one.usd if one.reference_usd is None else one.reference_usd for one in uses),
        ),
        changes=changes,
    )


def told(findings: Iterable[Finding]) -> list[Finding]:
    """Openings and ends, without what only says that it lasts."""
    opened: set[str] = set()
    result = []
    for finding in findings:
        if finding.cleared:
            opened.discard(finding.fingerprint)
            result.append(finding)
        elif finding.fingerprint not in opened:
            opened.add(finding.fingerprint)
            result.append(finding)
    return result


class Watch:
    """A detector with a fleet of its own."""

    def __init__(self, detector: Detector) -> None:
        """Nothing has been seen."""
        self.detector, self.fleet = detector, Fleet()
        self.findings: list[Finding] = []

    def see(
        self, number: int, *samples: Gpu | Use, changes: tuple[tuple[int, int, str, str], ...] = ()
    ) -> list[Finding]:
        """Look at a minute; what it says is kept, too."""
        said = self.detector.look(self.fleet, minute_of(self.fleet, number, samples, changes))
        self.findings += said
        return said

    @property
    def told(self) -> list[Finding]:
        """Openings and ends so far."""
        return told(self.findings)

    def through_bytes(self) -> "Watch":
        """The same, after a trip of its state through bytes."""
        other = Watch(self.detector)
        other.detector.look(other.fleet, minute_of(other.fleet, 0))
        other.fleet.load(self.fleet.to_bytes())
        return other
