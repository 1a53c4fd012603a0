"""Slow growth is told in dollars; noise, one wild day and a step down are not."""

from datetime import UTC, datetime

import numpy as np

from detectors.findings import Cause, Kind
from detectors.growth import GrowthDetector, robust_line

END = datetime(2026, 3, 1, tzinfo=UTC)


def noise(days: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0.0, 0.05, days)


def test_three_percent_a_day_is_said_with_its_dollars():
    usd_per_day = 100.0 * 1.03 ** np.arange(20) * noise(20)

    finding = GrowthDetector().look("prod/chat/api", "search", usd_per_day, END)

    assert finding is not None
    assert (finding.kind, finding.cause, finding.cleared) == (Kind.DRIFT, Cause.SLOW_GROWTH, False)
    assert abs(finding.evidence["growth_ratio_per_day"] - 0.03) < 0.01
    assert finding.usd_per_hour == round((finding.observed - finding.expected), 6)  # type: ignore[operator]
    assert 0.6 * 1.2 < finding.usd_per_hour * 24 / 75.0 < 1.3


def test_level_spend_is_not_said():
    finding = GrowthDetector().look("prod/chat/api", None, 100.0 * noise(20), END)

    assert finding is None or finding.cleared


def test_one_wild_day_at_the_end_is_no_growth():
    usd_per_day = 100.0 * noise(20)
    usd_per_day[-1] = 2000.0

    finding = GrowthDetector().look("prod/chat/api", None, usd_per_day, END)

    assert finding is None or finding.cleared


def test_growth_of_cents_is_nobodys_business():
    assert GrowthDetector().look("dev/chat/api", None, 0.1 * 1.03 ** np.arange(20), END) is None


def test_what_costs_nothing_any_more_has_stopped_growing():
    usd_per_day = 100.0 * 1.03 ** np.arange(20)
    usd_per_day[-1] = 0.0

    finding = GrowthDetector().look("prod/chat/api", "search", usd_per_day, END)

    assert finding is not None
    assert (finding.cleared, finding.ended_at, finding.fingerprint) == (True, END, "drift|prod/chat/api||")


def test_too_few_days_say_nothing():
    assert GrowthDetector().look("prod/chat/api", None, 100.0 * 1.1 ** np.arange(9), END) is None


def test_the_line_of_an_exact_growth_is_exact():
    slope, _, line = robust_line(np.log(100.0 * 1.02 ** np.arange(14)))

    assert abs(np.expm1(slope) - 0.02) < 1e-4
    assert np.allclose(np.exp(line), 100.0 * 1.02 ** np.arange(14), rtol=1e-3)


def test_a_step_is_no_growth():
    usd_per_day = np.r_[np.full(10, 100.0), np.full(10, 160.0)] * noise(20)

    finding = GrowthDetector().look("prod/chat/api", None, usd_per_day, END)

    assert finding is None or finding.cleared
