"""Spend unlike its own past, on written-out weeks: what is said, when, how often, and in how many dollars."""

from collections.abc import Callable

import pytest

from detectors.anomaly import AnomalyDetector
from detectors.findings import Cause, Finding, Kind
from tests.detectors.minutes import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    NOON_S,
    Deed,
    Gpu,
    Report,
    Use,
    Watch,
    clearings,
    moment,
    openings,
)

STEP_S = 600  # one report for each ten minutes
USD = 2.0  # of an ordinary step: 12 USD/h
TOKENS = 200_000.0


def daily(at_s: int) -> float:
    """Busy by day, quiet by night, and a little uneven, always in the same way."""
    hour = at_s // HOUR_S % 24
    uneven = 1.0 + 0.04 * ((at_s // STEP_S * 7) % 5 - 2)
    return (1.0 if 8 <= hour < 20 else 0.4) * uneven


def traffic(factor: float, price: float = 1.0) -> Use:
    """So many times the ordinary traffic of a step."""
    return Use(
        span_s=float(STEP_S), requests=100.0 * factor, tokens=TOKENS * factor,
        usd=USD * factor * price, reference_usd=USD * factor,
    )  # fmt: skip


class Days:
    """A workload that reports each ten minutes, for days."""

    def __init__(self, **settings: float) -> None:
        self.watch = Watch(AnomalyDetector(**settings))

    @property
    def now_s(self) -> int:
        return NOON_S + self.watch.number * MINUTE_S

    def go(self, hours: float, report: Callable[[int], Report | tuple[Report, ...]]) -> list[Finding]:
        """So many hours on; `report` says what comes at the end of each step."""
        found: list[Finding] = []
        for _ in range(round(hours * HOUR_S / STEP_S)):
            found += self.watch.see(minutes=STEP_S // MINUTE_S - 1)
            said = report(self.now_s + MINUTE_S)
            found += self.watch.see(*(said if isinstance(said, tuple) else (said,)))
        return found


def ordinary(at_s: int) -> Use:
    return traffic(daily(at_s))


def test_ordinary_days_say_nothing():
    assert Days().go(10 * 24, ordinary) == []


def test_a_cold_start_is_quiet_whatever_comes():
    days = Days()
    assert days.go(20, ordinary) + days.go(1, lambda at_s: traffic(30.0)) + days.go(20, ordinary) == []


def test_a_spike_is_said_once_within_two_bins_and_cleared():
    days = Days()
    days.go(4 * 24, ordinary)
    began_s = days.now_s

    findings = days.go(1, lambda at_s: traffic(10.0)) + days.go(6, ordinary)

    (opened,), (ended,) = openings(findings), clearings(findings)
    assert (opened.kind, opened.cause, opened.workload, opened.team) == (
        Kind.ANOMALY,
        Cause.REQUEST_RATE,
        "prod/llm/chat",
        "llm",
    )
    assert opened.began_at == moment(began_s)
    assert opened.at <= moment(began_s + 2 * STEP_S)
    assert opened.observed == 120.0
    assert opened.usd_per_hour == pytest.approx(opened.observed - (opened.expected or 0.0), abs=1e-5)
    assert moment(began_s + HOUR_S) <= (ended.ended_at or ended.at) <= moment(began_s + 2 * HOUR_S)
    assert ended.usd_per_hour == 0.0


def test_the_dollars_of_a_spike_add_up():
    days = Days()
    days.go(4 * 24, ordinary)
    findings = days.go(1, lambda at_s: traffic(10.0)) + days.go(6, ordinary)
    (ended,) = clearings(findings)
    expected_usd = openings(findings)[0].expected or 0.0
    assert ended.usd_so_far == pytest.approx(6 * 10.0 * USD - expected_usd, rel=0.05)
    so_far = [one.usd_so_far for one in findings]
    assert so_far == sorted(so_far)


def test_longer_requests_are_named_as_the_cause():
    days = Days()
    days.go(4 * 24, ordinary)

    def longer(at_s: int) -> Use:
        one = traffic(daily(at_s))
        return Use(
            span_s=one.span_s, requests=one.requests, tokens=one.tokens * 9, usd=one.usd * 9,
            reference_usd=one.usd * 9,
        )  # fmt: skip

    assert [one.cause for one in openings(days.go(2, longer))] == [Cause.TOKENS_PER_REQUEST]


def test_more_accelerators_are_named_as_the_cause():
    days = Days()

    def gpus(number: int) -> Callable[[int], tuple[Report, ...]]:
        return lambda at_s: tuple(Gpu(device=f"GPU-{one}", span_s=float(STEP_S)) for one in range(number))

    days.go(4 * 24, gpus(2))
    opened = openings(days.go(24, gpus(20)))[0]
    assert (opened.cause, opened.expected) == (Cause.GPU_HOURS, 8.0)


def test_what_people_did_shortly_before_is_told_with_it():
    days = Days()
    days.go(4 * 24, ordinary)
    deed = Deed(at_s=days.now_s - 300, kind="deploy", summary="chat v42")
    (opened,) = openings(days.go(1, lambda at_s: (traffic(10.0), deed)))
    assert opened.changes == ("deploy: chat v42",)


def test_a_lasting_step_is_said_once_and_is_normal_after_a_day():
    days = Days()
    days.go(5 * 24, ordinary)
    findings = days.go(4 * 24, lambda at_s: traffic(4.0 * daily(at_s)))
    assert 1 <= len(openings(findings)) <= 2  # at the fast scale, and perhaps at the slow one
    assert days.go(2 * 24, lambda at_s: traffic(4.0 * daily(at_s))) == []


def test_nothing_is_learnt_while_it_lasts():
    days = Days()
    days.go(4 * 24, ordinary)
    first = days.go(3, lambda at_s: traffic(10.0))
    assert len({one.expected for one in first}) == 1
    days.go(21, ordinary)
    (again,) = openings(days.go(3, lambda at_s: traffic(10.0)))
    assert again.expected == pytest.approx(first[0].expected, rel=0.2)


def test_savings_say_nothing():
    days = Days()
    days.go(4 * 24, ordinary)
    assert days.go(24, lambda at_s: traffic(0.1 * daily(at_s))) == []


def test_a_steady_growth_of_a_percent_a_day_says_nothing():
    days = Days()
    began_s = days.now_s

    def grown(at_s: int) -> Use:
        return traffic(daily(at_s) * 1.01 ** ((at_s - began_s) / DAY_S))

    assert days.go(14 * 24, grown) == []


def test_a_trifle_ten_times_over_is_nobodys_business():
    days = Days()
    days.go(4 * 24, lambda at_s: traffic(0.002))
    assert days.go(2, lambda at_s: traffic(0.02)) == []


def test_a_price_step_is_said_once_and_over_after_a_day():
    days = Days()
    days.go(3 * 24, ordinary)
    began_s = days.now_s

    findings = days.go(3 * 24, lambda at_s: traffic(daily(at_s), price=1.25))

    priced = [one for one in findings if one.cause is Cause.PRICE]
    (opened,), (ended,) = openings(priced), clearings(priced)
    assert {(one.began_at, one.unit) for one in priced} == {(moment(began_s), "times_reference_price")}
    assert (opened.at, opened.observed, opened.expected) == (moment(began_s + 3 * STEP_S), 1.25, 1.0)
    assert opened.evidence["price_ratio"] == 1.25
    assert opened.usd_per_hour > 0.0
    assert opened.usd_so_far == pytest.approx(opened.usd_per_hour / 2, rel=0.2)  # half an hour of it
    assert moment(began_s + DAY_S) <= (ended.ended_at or began_s) <= moment(began_s + DAY_S + HOUR_S)


def test_one_dear_bin_is_no_price_step():
    days = Days()
    days.go(3 * 24, ordinary)
    findings = days.go(1 / 3, lambda at_s: traffic(daily(at_s), price=1.25)) + days.go(12, ordinary)
    assert [one for one in findings if one.cause is Cause.PRICE] == []
