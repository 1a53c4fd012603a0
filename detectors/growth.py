"""Slow growth: spend that rises a little every day, which no spike rule sees.

A robust line through the logarithm of daily spend (Huber's loss, so that one wild day does not turn it; Huber 1964,
as in scikit-learn). It is said when the slope is large against the scatter around the line, and in dollars.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind


@dataclass(frozen=True)
class GrowthDetector:
    """Looks at whole days, once a day, off the stream."""

    min_days: int = 10
    max_days: int = 21
    min_growth_a_day: float = 0.01  # 0.01 is one percent
    min_rise_usd_per_day: float = 5.0  # between the ends of the line
    min_rise_ratio: float = 0.15
    certain: float = 5.0  # slope against its own standard error
    both_halves_ratio: float = 0.25  # each half must rise by this share of the whole slope: a step is no growth
    over_below: float = 2.5  # and over again below this
    name: str = "growth"

    def look(
        self, workload: str, team: str | None, usd_per_day: NDArray[np.float64], end_at: datetime
    ) -> Finding | None:
        """Judge the days that end at `end_at`. usd_per_day: (n_days,), the latest last. None: nothing to say."""
        days = usd_per_day[-self.max_days :]
        if len(days) and float(days[-1]) <= 0.0:  # what costs nothing any more has stopped growing
            return Finding(
                kind=Kind.DRIFT,
                cause=Cause.SLOW_GROWTH,
                at=end_at,
                began_at=end_at - timedelta(days=len(days)),
                ended_at=end_at,
                workload=workload,
                team=team,
                cleared=True,
            )
        if len(days) < self.min_days or float(days.min()) <= 0.0:
            return None
        slope, error, line = robust_line(np.log(days))
        certainty = slope / error if error > 0 else 0.0
        first, last = float(np.exp(line[0])), float(np.exp(line[-1]))
        rises = (
            slope >= np.log1p(self.min_growth_a_day)
            and certainty >= self.certain
            and last - first >= max(self.min_rise_usd_per_day, self.min_rise_ratio * first)
            and self._in_both_halves(np.log(days), slope)
        )
        if not rises and certainty >= self.over_below:
            return None
        return Finding(
            kind=Kind.DRIFT,
            cause=Cause.SLOW_GROWTH,
            at=end_at,
            began_at=end_at - timedelta(days=len(days)),
            ended_at=None if rises else end_at,
            workload=workload,
            team=team,
            cleared=not rises,
            usd_per_hour=round((last - first) / 24.0, 6) if rises else 0.0,
            usd_so_far=round(float(np.maximum(days - first, 0.0).sum()), 6) if rises else 0.0,
            observed=round(last / 24.0, 6),
            expected=round(first / 24.0, 6),
            confidence=0.9,
            evidence={"growth_ratio_per_day": round(float(np.expm1(slope)), 5), "days": float(len(days))},
        )

    def _in_both_halves(self, values: NDArray[np.float64], slope: float) -> bool:
        half = len(values) // 2
        return all(robust_line(part)[0] >= self.both_halves_ratio * slope for part in (values[:half], values[-half:]))


def robust_line(values: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
    """Slope a step, its standard error, and the fitted line of values (n,)."""
    from sklearn.linear_model import HuberRegressor

    steps = np.arange(len(values), dtype=np.float64)
    middle = steps - steps.mean()
    scale = max(float(np.ptp(values)), 1e-9)
    fit = HuberRegressor(alpha=0.0, max_iter=1000).fit(middle[:, None], (values - values.mean()) / scale)
    line = fit.predict(middle[:, None]) * scale + values.mean()
    scatter = max(1.4826 * float(np.median(np.abs(values - line))), 0.005)
    return float(fit.coef_[0]) * scale, scatter / float(np.sqrt((middle**2).sum())), line
