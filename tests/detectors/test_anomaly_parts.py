"""Spend unlike its own past: price, model, size of a request, bursts and levels."""

from math import sin

import pytest

from detectors.anomaly import AnomalyDetector
from detectors.findings import Cause, Kind
from tests.detectors.reports import Gpu, Use, Watch, at

BIN, HOUR, DAY = 10, 60, 1440
WARM = 4 * DAY  # minutes


def use(
    number: int, *, volume: float = 1.0, size: float = 1.0, mix: float = 1.0, price: float = 1.0, **more: float
) -> Use:
    """Ten minutes of traffic that swings by the day, 6 USD an hour on average; all else multiplies."""
    requests = round(100.0 * volume * (1.0 + 0.5 * sin(number / DAY * 6.2832)))
    reference_usd = requests * 0.01 * size * mix
    return Use(
        requests=float(requests), tokens=requests * 1000.0 * size, reference_usd=reference_usd,
        usd=reference_usd * price, span_s=600.0, **more,
    )  # fmt: skip


def run(watch: Watch, start: int, stop: int, **factors: float) -> Watch:
    """From minute `start` to minute `stop`, one report each ten minutes."""
    for number in range(start + BIN, stop + 1, BIN):
        watch.see(number, use(number, **factors))
    return watch


@pytest.fixture
def warm() -> Watch:
    """Four quiet days."""
    watch = run(Watch(AnomalyDetector()), 0, WARM)
    assert watch.findings == []
    return watch


@pytest.mark.parametrize("price", [0.5, 1.2])
def test_a_price_step_is_told_once_within_half_an_hour_and_ends_after_a_day(warm, price):
    run(warm, WARM, WARM + 3 * DAY, price=price)

    opened, ended = warm.told
    assert (opened.kind, opened.cause, opened.at) == (Kind.ANOMALY, Cause.PRICE, at(WARM + 30))
    assert opened.evidence == {"price_ratio": price}
    assert (opened.began_at, opened.observed, opened.expected) == (at(WARM), price, 1.0)
    assert opened.usd_per_hour == pytest.approx(6.0 * (price - 1.0), rel=0.1)
    assert ended.cleared
    assert ended.usd_so_far == pytest.approx(abs(24 * 6.0 * (price - 1.0)), rel=0.1)


def test_a_dearer_model_is_told_however_the_traffic_moves(warm):
    run(warm, WARM, WARM + 6 * HOUR, mix=4.0, volume=0.4)

    (opened,) = warm.told
    assert opened.cause is Cause.MODEL_MIX
    assert at(WARM) <= opened.began_at < opened.at <= at(WARM + HOUR)


def test_what_became_normal_and_goes_back_is_no_news(warm):
    run(warm, WARM, WARM + 3 * DAY, mix=4.0)
    run(warm, WARM + 3 * DAY, WARM + 6 * DAY)

    assert [(finding.cause, finding.cleared) for finding in warm.told] == [
        (Cause.MODEL_MIX, False),
        (Cause.MODEL_MIX, True),
    ]


def test_longer_prompts_are_told_and_end_when_they_are_short_again(warm):
    run(warm, WARM, WARM + 8 * HOUR, size=5.0)
    run(warm, WARM + 8 * HOUR, WARM + 24 * HOUR)

    opened, ended = warm.told
    assert opened.cause is Cause.TOKENS_PER_REQUEST
    assert opened.at <= at(WARM + HOUR)
    assert at(WARM + 8 * HOUR) <= ended.at <= at(WARM + 10 * HOUR)


def test_a_retry_loop_is_told_by_its_first_bin(warm):
    run(warm, WARM, WARM + 30, volume=2.0, errors=80.0)
    run(warm, WARM + 30, WARM + 3 * HOUR)

    opened, ended = warm.told
    assert (opened.cause, opened.at, opened.began_at) == (Cause.REQUEST_RATE, at(WARM + 10), at(WARM))
    assert (ended.cleared, ended.ended_at) == (True, at(WARM + 30))


def test_failing_requests_that_bring_no_more_traffic_are_an_outage_not_spend(warm):
    run(warm, WARM, WARM + HOUR, errors=80.0)

    assert warm.findings == []


def test_a_burst_must_last_for_two_bins_unless_it_is_enormous(warm):
    run(warm, WARM, WARM + BIN, volume=3.0)
    run(warm, WARM + BIN, WARM + 6 * HOUR)
    assert warm.findings == []

    run(warm, WARM + 6 * HOUR, WARM + 6 * HOUR + BIN, volume=30.0)
    assert [finding.at for finding in warm.told] == [at(WARM + 6 * HOUR + BIN)]


def test_a_burst_is_not_told_again_the_next_day(warm):
    for day in range(3):
        begin = WARM + day * DAY
        run(warm, begin, begin + HOUR, volume=5.0)
        run(warm, begin + HOUR, begin + DAY)

    assert [finding.cleared for finding in warm.told] == [False, True]


def test_a_lasting_step_of_the_level_is_told_within_a_day_and_then_adopted():
    watch = run(Watch(AnomalyDetector()), 0, 14 * DAY)
    run(watch, 14 * DAY, 20 * DAY, volume=1.5)

    opened, ended = watch.told
    assert (opened.cause, opened.cleared, ended.cleared) == (Cause.LEVEL_STEP, False, True)
    assert at(14 * DAY) < opened.at <= at(15 * DAY)
    assert abs((opened.began_at - at(14 * DAY)).total_seconds()) <= 3 * 3600


def test_a_step_at_a_deploy_needs_less_and_names_it(warm):
    change = (0, int(at(WARM).timestamp()), "deploy", "release 7")
    for number in range(WARM + BIN, WARM + DAY + 1, BIN):
        warm.see(number, use(number, volume=1.5), changes=(change,))

    (opened,) = warm.told
    assert (opened.cause, opened.changes) == (Cause.LEVEL_STEP, ("deploy: release 7",))


def test_a_young_workload_is_not_judged():
    watch = run(Watch(AnomalyDetector()), 0, DAY)
    run(watch, DAY, DAY + 6 * HOUR, volume=10.0, mix=5.0)

    assert watch.findings == []


def test_accelerators_that_serve_may_follow_the_traffic():
    watch = Watch(AnomalyDetector())
    for number in range(BIN, 10 * DAY, BIN):
        peak = WARM <= number < WARM + 4 * HOUR
        count = 6 if peak else 3
        gpus = [Gpu(device=f"GPU-{n}", util_ratio=0.5, span_s=600.0) for n in range(count)]
        watch.see(number, *gpus, Use(requests=300.0 * count, span_s=600.0))

    assert watch.findings == []


def test_neighbours_and_a_trip_through_bytes_change_nothing(warm):
    other = warm.through_bytes()
    for number in range(WARM + BIN, WARM + DAY + 1, BIN):
        sample = use(number, volume=2.0, mix=4.0)
        warm.see(number, sample)
        other.see(number, sample, Use(workload="prod/llm/other", requests=50.0, tokens=9e4, usd=9.0, span_s=600.0))

    assert other.findings == warm.findings
    assert warm.findings


def test_a_weak_day_before_a_change_does_not_hide_what_the_change_costs(warm):
    run(warm, WARM, WARM + DAY, volume=0.6)
    changed = WARM + DAY
    change = (0, at(changed).timestamp(), "deploy", "release 8")
    for number in range(changed + BIN, changed + 12 * HOUR + 1, BIN):
        warm.see(number, use(number, volume=0.9), changes=(change,))  # no more than on the days before
    (opened,) = warm.told
    assert (opened.cause, opened.changes) == (Cause.LEVEL_STEP, ("deploy: release 8",))
    assert opened.began_at == at(changed)
    assert opened.at <= at(changed + 7 * HOUR)


def test_a_level_costs_what_lies_over_the_same_hours_of_the_days_before(warm):
    run(warm, WARM, WARM + 18 * HOUR, volume=2.0)

    last = warm.findings[-1]
    spent = sum(use(number).usd for number in range(WARM + BIN, WARM + 18 * HOUR + 1, BIN))
    assert last.cause is Cause.LEVEL_STEP
    assert last.usd_so_far == pytest.approx(spent, rel=0.1)
