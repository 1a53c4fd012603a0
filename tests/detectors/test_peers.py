"""An accelerator that lags behind its group, and the same data seen by an isolation forest."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.findings import Cause, Kind
from detectors.groups import median_by_group, unlikeness
from detectors.peers import PeersDetector
from tests.detectors.reports import Gpu, Watch, at

HOUR = 60
WORK = (0.9, 0.6, 0.3, 500.0)  # utilisation, multiprocessors, tensor cores, W


def group(watch: Watch, hours: range, factors: list[float], *, util: bool = True) -> None:
    """Hours of a workload whose accelerators do so many times the work of a healthy one, a report each ten minutes."""
    random = np.random.default_rng(hours.start)
    for number in range(hours.start * HOUR + 10, hours.stop * HOUR + 1, 10):
        samples = []
        for place, factor in enumerate(factors):
            values = np.array(WORK) * (factor if util else 1.0) * random.normal(1.0, 0.01, 4)
            samples.append(
                Gpu(
                    device=f"GPU-{place}", span_s=600.0, util_ratio=min(float(values[0]), 1.0),
                    sm_active_ratio=float(values[1]), tensor_active_ratio=float(values[2]), power_w=float(values[3]),
                )
            )  # fmt: skip
        watch.see(number, *samples)


def test_one_that_lags_for_three_hours_is_told_with_the_share_of_its_price_that_is_lost():
    watch = Watch(PeersDetector())
    group(watch, range(0, 4), [1.0] * 8)
    group(watch, range(4, 8), [1.0] * 7 + [0.6])

    (opened,) = watch.told
    assert (opened.kind, opened.cause, opened.devices) == (Kind.WASTE, Cause.UNLIKE_PEERS, ("GPU-7",))
    assert (opened.began_at, opened.at) == (at(4 * HOUR), at(7 * HOUR))
    assert opened.usd_per_hour == pytest.approx(2.0 * 0.4, rel=0.05)
    assert opened.usd_so_far == pytest.approx(3 * 2.0 * 0.4, rel=0.05)
    assert opened.observed == pytest.approx(0.6, rel=0.05)


def test_it_is_over_when_it_keeps_up_again():
    watch = Watch(PeersDetector())
    group(watch, range(0, 5), [1.0] * 7 + [0.5])
    group(watch, range(5, 7), [1.0] * 8)

    opened, ended = watch.told
    assert (opened.cleared, ended.cleared, ended.ended_at) == (False, True, at(6 * HOUR))
    assert ended.usd_so_far == pytest.approx(5 * 2.0 * 0.5, rel=0.05)


@pytest.mark.parametrize(
    "factors",
    [
        [1.0, 1.0, 0.5],  # too few to know who is odd
        [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5],  # two halves: that is how the work is shared out
        [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65],  # no two alike
        [1.0] * 7 + [0.8],  # not worth a look
        [0.2] * 7 + [0.05],  # where nobody works, nobody lags
        [1.0] * 8,
    ],
)
def test_what_is_no_lag(factors):
    watch = Watch(PeersDetector())
    group(watch, range(0, 12), factors)

    assert watch.findings == []


def test_an_hour_of_lag_is_nothing_yet():
    watch = Watch(PeersDetector())
    for hour in range(0, 12, 3):
        group(watch, range(hour, hour + 2), [1.0] * 7 + [0.5])
        group(watch, range(hour + 2, hour + 3), [1.0] * 8)

    assert watch.findings == []


def test_the_state_survives_a_trip_through_bytes():
    watch = Watch(PeersDetector())
    group(watch, range(0, 2), [1.0] * 7 + [0.5])
    watch = watch.through_bytes()
    group(watch, range(2, 3), [1.0] * 7 + [0.5])

    assert [one.at for one in watch.told] == [at(3 * HOUR)]


def test_medians_of_many_groups_are_those_of_each():
    random = np.random.default_rng(3)
    of = random.integers(0, 20, 500)
    values = np.where(random.random(500) < 0.1, np.nan, random.normal(size=500))
    found = median_by_group(of, values, 21)

    assert np.allclose(found[:20], [np.nanmedian(values[of == number]) for number in range(20)])
    assert np.isnan(found[20])


def hour_of_groups(seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """200 groups of eight, each at work of its own; in every fifth, one does 60 percent of it."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(200), 8)
    lags = (np.arange(1600) % 8 == 3) & (of % 5 == 0)
    level = random.uniform(0.4, 1.0, 200)[of]
    values = np.array(WORK) * (level * np.where(lags, 0.6, 1.0))[:, None] * random.normal(1.0, 0.05, (1600, 4))
    return of, values, lags


def test_group_medians_find_all_and_no_other_where_a_forest_on_the_same_figures_finds_half():
    from sklearn.ensemble import IsolationForest

    of, values, lags = hour_of_groups(7)
    found = np.zeros(1600, dtype=bool)
    for signal, least in zip(values.T, (0.2, 0.2, 0.2, 1.0), strict=True):
        _, middle = unlikeness(of, signal, 200, 1.0)
        spreads, _ = unlikeness(of, signal, 200, 0.05 * np.maximum(middle, least))
        found |= (spreads <= -5.0) & (signal <= 0.75 * middle)
    forest = IsolationForest(random_state=0, n_estimators=50).fit(values)
    oddest = np.argsort(forest.score_samples(values))[: int(lags.sum())]  # it is even told how many there are

    assert (found == lags).all()
    assert lags[oddest].sum() <= 0.6 * lags.sum()
