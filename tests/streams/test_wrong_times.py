"""Events of another time: what a wrong clock sends moves no watermark, and every dollar is where it belongs."""

from datetime import timedelta
from typing import Any

import pytest

from streams.pipeline import Pipeline
from tests.streams.events import HOUR, MINUTE, NOON, SECOND, Log, gpu, pipeline, usage

GPU_NANO_USD = 33_333_333  # of one sample


def spent(one: Pipeline) -> int:
    return sum(row.nano_usd for row in one.drain().ledger)


def fleet(log: Log, skews: dict[str, timedelta], minutes: int = 30) -> list[Any]:
    """A sample a minute of each host, dated by the host's own clock, and arriving in true order."""
    return [
        log.record(
            gpu(NOON + number * MINUTE + skew, device=device, workload=f"c/n/{device}"),
            NOON + number * MINUTE + SECOND,
        )
        for number in range(minutes)
        for device, skew in skews.items()
    ]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("1970-01-01T00:00:00Z", "older than the retention of 400 days"),
        ("2100-01-01T00:00:00Z", "dated 2329991999 s ahead of its arrival, the limit is 300 s"),
        ("2026-03-02T12:10:00Z", "dated 599 s ahead of its arrival, the limit is 300 s"),
        (
            "2026-03-02T11:59:60Z",
            "Invalid RFC3339 encoded datetime - at `$.at`: a leap second, for which UTC as computers keep it has no "
            "place; send it as the second before",
        ),
        ("2026-03-02T12:00:00", "Expected `datetime` with a timezone component - at `$.at`"),
    ],
)
def test_an_event_of_no_usable_time_is_set_aside_with_the_reason_and_moves_nothing(at: str, reason: str) -> None:
    log, one = Log(), pipeline()
    one.observe([log.record({**gpu(), "at": at}, NOON + SECOND)])
    assert (one.watermark, [row.reason for row in one.drain().rejects]) == (None, [reason])

    one.observe([log.record([gpu(), {**gpu(device="GPU-9"), "at": at}], NOON + SECOND)])

    facts = one.drain()
    assert [row.reason for row in facts.rejects] == [reason]
    assert sum(row.nano_usd for row in facts.ledger) == GPU_NANO_USD
    assert one.watermark == NOON - 2 * MINUTE


def test_hosts_with_skewed_clocks_within_the_lateness_cost_what_they_cost_and_are_all_on_time() -> None:
    log, one = Log(), pipeline()
    skews = {"a": timedelta(), "b": timedelta(seconds=50), "c": timedelta(seconds=-50)}

    one.observe(fleet(log, skews))

    tally = one.take_tally()
    assert (tally.late, tally.rejects, spent(one)) == (0, {}, 90 * GPU_NANO_USD)


def test_a_host_that_is_behind_by_more_is_late_and_its_dollars_count() -> None:
    log, one = Log(), pipeline()

    one.observe(fleet(log, {"a": timedelta(), "slow": timedelta(minutes=-20)}))

    tally = one.take_tally()
    assert (tally.late, tally.rejects, spent(one)) == (30, {}, 60 * GPU_NANO_USD)
    assert one.watermark == NOON + 27 * MINUTE


def test_a_host_that_is_ahead_by_more_is_set_aside_and_makes_nobody_late() -> None:
    log, one = Log(), pipeline()

    one.observe(fleet(log, {"a": timedelta(), "fast": timedelta(minutes=10)}))

    tally = one.take_tally()
    assert (tally.late, tally.rejects, spent(one)) == (0, {"in_the_future": 30}, 30 * GPU_NANO_USD)
    assert one.watermark == NOON + 27 * MINUTE


def test_a_host_ahead_within_the_limit_makes_others_late_by_its_skew_and_costs_nothing_of_theirs() -> None:
    """Four minutes ahead is believed: the others' minutes are closed early, and their dollars are in the ledger."""
    log, one = Log(), pipeline()

    one.observe(fleet(log, {"a": timedelta(), "fast": timedelta(minutes=4)}))

    tally = one.take_tally()
    assert (tally.rejects, spent(one)) == ({}, 60 * GPU_NANO_USD)
    assert tally.late == 29


def test_an_input_that_is_hours_behind_holds_the_clock_until_it_has_caught_up() -> None:
    log, one = Log(), pipeline()
    both = frozenset({"gpu.samples", "token.usage"})
    one.observe([log.record(usage(NOON - 3 * HOUR), NOON)], both)
    one.observe([log.record(gpu(NOON), NOON + SECOND)], both)
    assert one.watermark == NOON - 3 * HOUR - 2 * MINUTE

    one.observe([log.record(usage(NOON), NOON + 2 * SECOND)], frozenset())
    assert one.watermark == NOON - 2 * MINUTE


def test_a_silent_input_lets_go_and_what_it_sends_then_is_late_only_behind_the_watermark() -> None:
    log, one = Log(), pipeline()
    one.observe([log.record(usage(NOON), NOON), log.record(gpu(NOON + 10 * MINUTE), NOON + 10 * MINUTE)])
    one.tick(NOON + 12 * MINUTE)
    assert one.watermark == NOON + 8 * MINUTE
    one.take_tally()

    one.observe([log.record([usage(NOON + 7 * MINUTE), usage(NOON + 9 * MINUTE)], NOON + 12 * MINUTE)])

    assert (one.take_tally().late, one.watermark) == (1, NOON + 8 * MINUTE)


def test_the_watermark_never_goes_back_and_a_wall_clock_that_jumps_closes_nothing_early() -> None:
    log, one = Log(), pipeline()
    one.observe([log.record(gpu(NOON + number * MINUTE), NOON + number * MINUTE + SECOND) for number in range(10)])
    before = one.watermark

    for jump in (HOUR, -HOUR, 24 * HOUR):
        one.tick(NOON + 10 * MINUTE + jump)
        assert one.watermark == before

    one.observe([log.record(gpu(NOON + 10 * MINUTE), NOON + 10 * MINUTE + SECOND)])
    assert one.watermark == NOON + 8 * MINUTE
