"""Known steps of price: what the book says of hours that were and hours to come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from streams.forecasting import issue_forecasts
from streams.price_steps import has_steps, price_levels
from streams.pricing import GpuPrice, PriceBook, TokenPrice
from tests.store.samples import CHAT, ledger_row

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW, STEP, END = START + 10 * DAY, START + 12 * DAY, START + 20 * DAY
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def gpu_book(*steps: tuple[datetime, str]) -> PriceBook:
    return PriceBook(gpu=tuple(GpuPrice(model="*H100*", usd_per_hour=Decimal(usd), since=at) for at, usd in steps))


def test_a_step_ahead_is_told_from_its_hour_on():
    book = gpu_book((LONG_AGO, "4.00"), (STEP, "6.00"))

    levels = price_levels([ledger_row(hour=NOW - HOUR)], book, START, NOW, END)

    np.testing.assert_allclose(levels[CHAT], np.r_[np.ones(12 * 24), np.full(8 * 24, 1.5)])


def test_a_step_behind_puts_the_past_at_todays_price():
    book = gpu_book((LONG_AGO, "4.00"), (START + 3 * DAY, "2.00"))
    levels = price_levels([ledger_row(hour=NOW - HOUR)], book, START, NOW, END)
    np.testing.assert_allclose(levels[CHAT], np.r_[np.full(3 * 24, 2.0), np.ones(17 * 24)])


def test_only_the_share_that_the_book_prices_steps():
    book = gpu_book((LONG_AGO, "4.00"), (STEP, "6.00"))
    rows = [ledger_row(), ledger_row(line="gpu|H100|learnt"), ledger_row(workload="a/b/c", line="gpu|A100|book")]
    levels = price_levels(rows, book, START, NOW, END)
    assert set(levels) == {CHAT}
    np.testing.assert_allclose(levels[CHAT][-1], 1.25)


def test_tokens_step_by_what_was_read_and_written():
    prices = [
        TokenPrice(
            provider="p",
            model="m",
            since=since,
            input_usd_per_million=Decimal(read),
            output_usd_per_million=Decimal(written),
        )
        for since, read, written in ((LONG_AGO, 1, 4), (STEP, 2, 4))
    ]
    row = ledger_row(line="tokens|p/m|book", input_tokens=4_000_000, output_tokens=1_000_000)
    levels = price_levels([row], PriceBook(tokens=tuple(prices)), START, NOW, END)
    np.testing.assert_allclose(levels[CHAT][[0, -1]], [1.0, 12.0 / 8.0])


def test_a_book_without_a_date_in_sight_has_no_steps():
    assert not has_steps(gpu_book((LONG_AGO, "4.00")), START, END)
    assert has_steps(gpu_book((LONG_AGO, "4.00"), (STEP, "5.00")), START, END)


def test_the_forecast_is_at_the_prices_that_are_known_for_workload_and_budget():
    spend = [(START + n * HOUR, CHAT, "search", 4.0 if n < 120 else 8.0) for n in range(240)]
    levels = {CHAT: np.r_[np.full(120, 0.5), np.ones(120 + 48), np.full(60 * 24, 1.5)]}

    rows, _ = issue_forecasts(spend, [], NOW, None, prices=levels)

    day, week, month = ((row.p50_usd, row.p90_usd - row.p50_usd) for row in rows)
    np.testing.assert_allclose([day[0], week[0]], [8.0 * 24, 8.0 * 48 + 12.0 * 120], rtol=1e-9)
    assert month[0] > week[0]
    assert week[1] < 0.2 * week[0]  # the step of the past is no reason to doubt
