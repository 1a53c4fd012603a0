"""Figures and names in words."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.wording import (
    clean,
    count,
    day,
    duration,
    figure,
    moment,
    money,
    per_day,
    per_hour,
    percent,
    quantity,
    visible,
)


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0.0, "$0"),
        (0.001, "<$0.01"),
        (0.126, "$0.13"),
        (16.0, "$16.00"),
        (-3.5, "-$3.50"),
        (999.99, "$999.99"),
        (999.999, "$1,000"),
        (14200.4, "$14,200"),
    ],
)
def test_money_has_cents_only_where_they_matter(usd: float, words: str) -> None:
    assert money(usd) == words


def test_rates_name_their_time() -> None:
    assert (per_hour(16.0), per_hour(0.0125), per_day(171.6667)) == ("$16.00/h", "$0.30/day", "$4,120/day")


@pytest.mark.parametrize(
    ("span_s", "words"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (2820, "47 min"),
        (3600, "1 h"),
        (12000, "3 h 20 min"),
        (2 * 86400, "2 d"),
        (2 * 86400 + 4 * 3600, "2 d 4 h"),
        (40 * 86400 + 4 * 3600, "40 d"),
        (-5, "0 s"),
    ],
)
def test_durations_have_at_most_two_units(span_s: float, words: str) -> None:
    assert duration(span_s) == words
    assert duration(timedelta(seconds=span_s)) == words


def test_moments_are_told_in_utc() -> None:
    at = datetime(2026, 12, 14, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert (moment(at), day(at)) == ("2026-12-13 23:30 UTC", "Dec 13")
    assert moment(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02 00:00 UTC"


def test_quantities_read_their_unit_from_the_name() -> None:
    assert [
        percent(0.004),
        percent(0.02),
        percent(0.0),
        count(950),
        count(12_000),
        count(1.2e6),
        count(0.25),
        quantity(2**31, "memory_used_bytes"),
        quantity(0.02, "util_ratio"),
        quantity(3.0, "requests"),
        quantity(1.2e6, "tokens"),
        figure("power_w", 71.0),
        figure("idle_s", 2820.0),
        figure("wasted_usd", 3.2),
        figure("tokens_per_request", 5210.0),
        figure("tokens", 0.0),
        figure("idle_s", float("inf")),
        count(float("nan")),
    ] == [
        "0.4 %",
        "2 %",
        "0 %",
        "950",
        "12 k",
        "1.2 M",
        "0.25",
        "2.0 GiB",
        "2 %",
        "3",
        "1.2 M tokens",
        "power 71 W",
        "idle 47 min",
        "wasted $3.20",
        "tokens per request 5.2 k",
        "tokens 0",
        "idle unknown",
        "unknown",
    ]


def test_hidden_and_bidirectional_characters_are_taken_out() -> None:
    assert clean("pay\u202eload\x00 \x1b[31m\n\tnext\u2066\u200b") == "payload [31m next"


@given(st.text(), st.integers(1, 50))
def test_clean_text_is_one_line_within_its_limit(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert shown == clean(shown, limit)
    assert not set(shown) & set("\r\n\t\x00\u202e\u2028\u2029")


def test_lines_and_spaces_stay_where_they_are_meant() -> None:
    assert visible("a  b\n\x1b[2Jc\u202e\td") == "a  b\n[2Jcd"
