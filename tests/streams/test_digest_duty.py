from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from alerts.digest_words import quality
from detectors.budget import Budget
from store.facts import Facts, ForecastRow, RejectRow
from store.store import Store
from streams.digest_duty import DigestDuty
from streams.forecast_duty import EVERYTHING
from tests.store.samples import commit, gap_row, incident, ledger_row
from tests.streams.events import HOUR, MINUTE

MONDAY = datetime(2026, 3, 9, 9, tzinfo=UTC)
WEEK = timedelta(days=7)
BUDGET = Budget(name="search", usd_per_month=100.0, match={"team": "search"})


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    rows = [ledger_row(hour=MONDAY - WEEK + number * HOUR, nano_usd=10**9) for number in range(24)]
    commit(opened, Facts(ledger=[*rows, ledger_row(hour=MONDAY - 2 * WEEK, nano_usd=6 * 10**9)]))
    yield opened
    opened.close()


def duty(store: Store, **how: Any) -> DigestDuty:
    values = {
        "budgets": [BUDGET],
        "channels": ("slack", "mail"),
        "day": "monday",
        "at": time(9),
        "timezone": "UTC",
    }
    return DigestDuty(store, **{**values, **how})


def test_it_is_written_when_its_hour_has_come_and_not_before(store):
    one = duty(store)

    assert [one.run(MONDAY - MINUTE), one.run(MONDAY), one.run(MONDAY + MINUTE)] == [False, True, False]
    written = [(entry.notice.subject_id, entry.notice.channel) for entry in store.notices(10)]
    assert sorted(written) == [
        ("digest:2026-W10", "mail"),
        ("digest:2026-W10", "slack"),
    ]


def test_restarts_and_two_holders_write_it_once(store):
    written = [duty(store).run(MONDAY + number * MINUTE) for number in range(5)]
    written += [one.run(MONDAY + HOUR) for one in (duty(store), duty(store))]

    assert written == [True, *[False] * 6]
    assert len(store.notices(10)) == 2


def test_what_was_set_aside_is_that_of_the_week(store):
    moments = [MONDAY - 2 * WEEK, MONDAY - WEEK + 10 * HOUR, MONDAY - 5 * 24 * HOUR, MONDAY]
    rejects = [
        RejectRow(topic="gpu.samples", partition=0, offset=number, index=0, reason="not JSON", payload=b"?", at=at)
        for number, at in enumerate(moments)
    ]
    commit(store, Facts(rejects=rejects))
    one = duty(store)

    assert one.compose(one.latest_week(MONDAY)).quality.rejects == 2


def test_a_week_that_is_no_news_any_more_is_not_told(store):
    assert not duty(store, day="tuesday").run(MONDAY + timedelta(hours=20))
    assert store.notices(10) == []


def test_without_channels_or_without_any_spend_nothing_is_written(store):
    empty = Store.open("sqlite://")

    assert not duty(store, channels=()).run(MONDAY)
    assert not duty(empty).run(MONDAY)
    empty.close()


def test_it_says_what_was_spent_and_what_is_to_be_expected(store):
    march = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    forecast = ForecastRow(
        issued_at=MONDAY, workload=None, budget=EVERYTHING.name, period_start=march[0], period_end=march[1],
        p10_usd=90.0, p50_usd=100.0, p90_usd=120.0, method="run_rate",
    )  # fmt: skip
    commit(store, Facts(forecasts=[forecast], incidents=[incident(began_at=MONDAY - 3 * timedelta(days=1))]))
    one = duty(store)

    digest = one.compose(one.latest_week(MONDAY))

    assert digest.week.label == "2026-W10"
    assert digest == one.compose(one.latest_week(MONDAY + HOUR))
    assert (digest.total.this_usd, digest.total.last_usd) == (24.0, 6.0)
    assert digest.outlook is not None
    assert (digest.outlook.p10_usd, digest.outlook.p50_usd, digest.outlook.p90_usd) == (90.0, 100.0, 120.0)


def test_what_was_gone_from_kafka_unread_is_in_the_quality_of_the_data(store):
    at = MONDAY - 2 * timedelta(days=1)
    gaps = [
        gap_row(began_at=at, found_at=at + HOUR, ended_at=at + HOUR),
        gap_row(gap_id="gap_b", began_at=at, found_at=at + HOUR, most_events=None, usd_per_hour=None),
        gap_row(gap_id="gap_c", began_at=at - WEEK, found_at=at - WEEK, ended_at=at - WEEK),
    ]
    commit(store, Facts(gaps=gaps), partition=3)
    made = duty(store)

    trust = made.compose(made.latest_week(MONDAY)).quality

    assert (trust.lost_events, trust.lost_usd) == (30, 4.0)
    assert quality(trust) == "up to 30 messages gone from Kafka unread (about $4.00 may be missing)."
