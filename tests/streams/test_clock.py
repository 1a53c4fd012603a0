import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.clock import NEVER, Clock

LATENESS_MS, SILENCE_MS = 120_000, 60_000
NOON_MS = 1_772_452_800_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def longs(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


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

    way = clock.way(["gpu", "tokens"], longs(0, 1), longs(0, 0), longs(NOON_MS, NOON_MS), frozenset())

    at_ms = [NOON_MS - LATENESS_MS - 1, NOON_MS - LATENESS_MS]
    assert way.late(longs(0, 0), longs(*at_ms), LATENESS_MS).tolist() == [True, False]
    at_ms = [NOON_MS - HOUR_MS - LATENESS_MS, NOON_MS - HOUR_MS]
    assert way.late(longs(1, 1), longs(*at_ms), LATENESS_MS).tolist() == [True, False]


STEPS = st.lists(
    st.tuples(st.sampled_from(["gpu", "tokens", "bill"]), st.sampled_from([0, *range(1, 40, 3)]), st.integers(0, 6)),
    max_size=25,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(STEPS, STEPS, st.sets(st.sampled_from(["gpu", "tokens", "unheard"])))
def test_the_way_of_the_clock_is_that_of_one_message_after_the_other(before, steps, behind):
    now = NOON_MS
    walked = Clock(lateness_ms=LATENESS_MS, silence_ms=SILENCE_MS)
    for topic, minute, _ in before:
        walked.take(topic, NOON_MS + minute * MINUTE_MS, now)
        walked.advance(now, behind)
    jumped = msgspec.convert(msgspec.to_builtins(walked), Clock)
    topics = ["gpu", "tokens", "bill"]
    newest, heard, own, after = [], [], [], []
    for topic, minute, step in steps:
        now += step * SILENCE_MS // 3
        newest.append(NOON_MS + minute * MINUTE_MS if minute else 0)
        heard.append(now)
        known = walked.inputs.get(topic)
        own.append(known.newest_ms if known else NEVER)
        if minute:
            walked.take(topic, newest[-1], now)
        after.append(walked.advance(now, behind))

    places = longs(*(topics.index(topic) for topic, *_ in steps))
    way = jumped.way(topics, places, longs(*newest), longs(*heard), behind)

    assert (way.watermark_ms.tolist(), way.own_newest_ms.tolist()) == (after, own)


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
