"""Why spend changed: which factor of volume x tokens per request x model mix x price, or accelerators, moved most."""

from dataclasses import dataclass
from math import log

from detectors.findings import Cause


@dataclass(frozen=True, slots=True)
class Shape:
    """What a workload used and paid in ten minutes. `reference_usd`: its tokens at their first known prices."""

    usd: float
    gpu_usd: float
    requests: float
    tokens: float
    reference_usd: float


def cause_of(before: Shape, now: Shape) -> Cause:
    """The factor with the largest share (in logarithms, which add up) of the rise from `before` to `now`."""
    rise = now.usd - before.usd
    if rise > 0 and now.gpu_usd - before.gpu_usd > 0.5 * rise:
        return Cause.GPU_HOURS
    factors = {
        Cause.REQUEST_RATE: _growth(before.requests, now.requests),
        Cause.TOKENS_PER_REQUEST: _growth(_per(before.tokens, before.requests), _per(now.tokens, now.requests)),
        Cause.MODEL_MIX: _growth(_per(before.reference_usd, before.tokens), _per(now.reference_usd, now.tokens)),
        Cause.PRICE: _growth(
            _per(before.usd - before.gpu_usd, before.reference_usd), _per(now.usd - now.gpu_usd, now.reference_usd)
        ),
    }
    cause, growth = max(factors.items(), key=lambda item: item[1])
    return cause if growth > 0 else Cause.UNKNOWN


def _per(whole: float, part: float) -> float:
    return whole / part if part > 0 else 0.0


def _growth(before: float, now: float) -> float:
    """Logarithm of now over before; 0 where either is unknown."""
    return log(now / before) if before > 0 and now > 0 else 0.0
