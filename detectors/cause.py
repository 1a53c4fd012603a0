"""Why spend changed: which factor of volume x tokens per request x model mix x price, or accelerators, moved most.

The factors multiply, their logarithms add up, and the logarithmic mean of before and now turns these into dollars that
add up, too (the mean Divisia index; Ang 2004).
"""

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
    cause, growth = max(_factors(before, now).items(), key=lambda item: item[1])
    return cause if growth > 0 else Cause.UNKNOWN


def shares_usd(before: Shape, now: Shape) -> dict[Cause, float]:
    """The rise in USD from `before` to `now` by factor; what no known factor explains is unknown. They add up."""
    was, is_now = before.usd - before.gpu_usd, now.usd - now.gpu_usd
    shares = {Cause.GPU_HOURS: now.gpu_usd - before.gpu_usd}
    if was > 0 and is_now > 0:
        grown = log(is_now / was)
        mean = (is_now - was) / grown if abs(grown) > 1e-9 else was
        shares |= {cause: mean * growth for cause, growth in _factors(before, now).items()}
    rest = now.usd - before.usd - sum(shares.values())
    shares[Cause.UNKNOWN] = rest
    least = 1e-6 * max(abs(now.usd - before.usd), 1e-9)
    return {cause: usd for cause, usd in shares.items() if abs(usd) > least}


def _factors(before: Shape, now: Shape) -> dict[Cause, float]:
    """Logarithms of how many times each factor is what it was; 0 where that is not known."""
    return {
        Cause.REQUEST_RATE: _growth(before.requests, now.requests),
        Cause.TOKENS_PER_REQUEST: _growth(_per(before.tokens, before.requests), _per(now.tokens, now.requests)),
        Cause.MODEL_MIX: _growth(_per(before.reference_usd, before.tokens), _per(now.reference_usd, now.tokens)),
        Cause.PRICE: _growth(
            _per(before.usd - before.gpu_usd, before.reference_usd), _per(now.usd - now.gpu_usd, now.reference_usd)
        ),
    }


def _per(whole: float, part: float) -> float:
    return whole / part if part > 0 else 0.0


def _growth(before: float, now: float) -> float:
    """Logarithm of now over before; 0 where either is unknown."""
    return log(now / before) if before > 0 and now > 0 else 0.0
