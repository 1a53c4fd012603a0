import pytest

from streams.clock import Clock

LATENESS_MS, SILENCE_MS = 120_000, 60_000
NOON_MS = 1_772_452_800_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@pytest.fixture
def clock() -> Clock:
    return Clock(lateness_ms=LATENESS_MS, silence_ms=SILENCE_MS)


def test_the_watermark_is_the_slowest_input_less_the_lateness(clock):
    clock.take("gpu", NOON_MS, NOON_MS)
    clock.take("tokens", NOON_MS - MINUTE_MS, NOON_MS)

    assert clock.advance(NOON_MS) == NOON_MS - MINUTE_MS - LATENESS_MS


def test_an_input_that_is_silent_lets_go_after_a_while(clock):
    clock.take("tokens", NOON_MS, NOON_MS)
    clock.take("gpu", NOON_MS + 5 * MINUTE_MS, NOON_MS + 5 * MINUTE_MS)

    assert clock.advance(NOON_MS + SILENCE_MS) == NOON_MS - LATENESS_MS
    assert clock.advance(NOON_MS + 5 * MINUTE_MS) == NOON_MS + 5 * MINUTE_MS - LATENESS_MS


def test_an_input_with_unread_messages_holds_it_however_long_it_takes(clock):
    clock.take("tokens", NOON_MS, NOON_MS)
    clock.take("gpu", NOON_MS + HOUR_MS, NOON_MS + HOUR_MS)

    assert clock.advance(NOON_MS + HOUR_MS, frozenset({"tokens"})) == NOON_MS - LATENESS_MS


def test_an_input_with_unread_messages_that_was_never_met_holds_it(clock):
    clock.take("gpu", NOON_MS, NOON_MS)

    assert clock.advance(NOON_MS, frozenset({"tokens"})) == 0


def test_it_never_goes_back(clock):
    clock.take("gpu", NOON_MS, NOON_MS)
    clock.advance(NOON_MS)
    clock.take("tokens", NOON_MS - HOUR_MS, NOON_MS)
    clock.take("gpu", NOON_MS - HOUR_MS, NOON_MS - HOUR_MS)

    assert clock.advance(NOON_MS) == NOON_MS - LATENESS_MS


def test_an_event_is_late_behind_the_watermark_or_behind_its_own_input(clock):
    clock.take("gpu", NOON_MS, NOON_MS)
    clock.take("tokens", NOON_MS - HOUR_MS, NOON_MS)
    clock.advance(NOON_MS)

    assert [clock.late("gpu", NOON_MS - LATENESS_MS - 1), clock.late("gpu", NOON_MS - LATENESS_MS)] == [True, False]
    assert [clock.late("tokens", NOON_MS - HOUR_MS - LATENESS_MS), clock.late("tokens", NOON_MS - HOUR_MS)] == [
        True,
        False,
    ]


def test_the_oldest_input_counts_while_it_was_heard_within_the_horizon(clock):
    assert clock.oldest_ms(48 * HOUR_MS) == 0
    clock.take("ops", NOON_MS, NOON_MS)
    clock.take("gpu", NOON_MS + 48 * HOUR_MS, NOON_MS + 48 * HOUR_MS)
    assert clock.oldest_ms(48 * HOUR_MS) == NOON_MS

    clock.take("gpu", NOON_MS + 49 * HOUR_MS, NOON_MS + 49 * HOUR_MS)
    assert clock.oldest_ms(48 * HOUR_MS) == NOON_MS + 49 * HOUR_MS


def test_an_old_backlog_that_is_being_read_is_no_silence(clock):
    clock.take("tokens", NOON_MS - 100 * HOUR_MS, NOON_MS)
    clock.take("gpu", NOON_MS, NOON_MS)

    assert clock.oldest_ms(48 * HOUR_MS) == NOON_MS - 100 * HOUR_MS
