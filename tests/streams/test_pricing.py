from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from detectors.events import Charge, TokenUsage
from streams.pricing import MOST_MODELS, SHIPPED_GPU_USD_PER_HOUR, Cost, GpuPrice, PriceBook, Pricer, TokenPrice
from tests.streams.events import BOOK, H100, HOUR, MINUTE, NEW_YEAR, NOON, NOTEBOOK, SECOND, charge, usage

LAWFUL = settings(derandomize=True, max_examples=200, deadline=None)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def tokens(at: datetime = NOON, /, **fields) -> TokenUsage:
    return convert(usage(at, **fields), TokenUsage)


def billed(at: datetime = NOON, /, **fields) -> Charge:
    return convert(charge(at, **fields), Charge, strict=False)


def row(since: datetime, usd: str, **fields) -> TokenPrice:
    values = {
        "provider": "own",
        "model": "m",
        "input_usd_per_million": Decimal(usd),
        "output_usd_per_million": Decimal(0),
    }
    return TokenPrice(since=since, **{**values, **fields})


def test_tokens_are_priced_exactly_by_the_book():
    assert Pricer(BOOK).tokens(tokens()) == Cost(6_500_000, "book", 6_500_000)


def test_cache_reads_and_writes_have_their_prices_within_the_input():
    book = PriceBook(
        tokens=(
            row(
                NEW_YEAR,
                "3",
                cache_read_usd_per_million=Decimal("0.3"),
                cache_write_usd_per_million=Decimal("3.75"),
                output_usd_per_million=Decimal(15),
            ),
        )
    )
    event = tokens(
        provider="own",
        model="m",
        input_tokens=1_000,
        cache_read_tokens=600,
        cache_write_tokens=300,
        output_tokens=10,
        reasoning_tokens=10,
    )

    assert Pricer(book).tokens(event) == Cost(
        100 * 3_000 + 600 * 300 + 300 * 3_750 + 10 * 15_000, "book", 300_000 + 180_000 + 1_125_000 + 150_000
    )


def test_cache_tokens_without_a_price_of_their_own_cost_what_input_costs():
    plain = Pricer(PriceBook(tokens=(row(NEW_YEAR, "3"),)))
    event = {"provider": "own", "model": "m"}

    assert plain.tokens(tokens(**event, cache_read_tokens=500, cache_write_tokens=500)) == plain.tokens(tokens(**event))


def test_a_cache_price_of_zero_is_a_price():
    book = PriceBook(tokens=(row(NEW_YEAR, "3", cache_read_usd_per_million=Decimal(0)),))

    assert Pricer(book).tokens(tokens(provider="own", model="m", cache_read_tokens=10_000)) == Cost(0, "book", 0)


@LAWFUL
@given(
    input_tokens=st.integers(0, 10**12),
    output_tokens=st.integers(0, 10**12),
    prices=st.tuples(*[st.decimals(0, 1000, places=6)] * 4),
    shares=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_a_cost_is_the_exact_sum_to_half_a_nano_dollar(input_tokens, output_tokens, prices, shares):
    read, write = input_tokens * shares[0] // 200, input_tokens * shares[1] // 200
    book = PriceBook(
        tokens=(
            row(
                NEW_YEAR,
                str(prices[0]),
                output_usd_per_million=prices[1],
                cache_read_usd_per_million=prices[2],
                cache_write_usd_per_million=prices[3],
            ),
        )
    )
    event = tokens(
        provider="own",
        model="m",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=write,
    )

    cost = Pricer(book).tokens(event)

    counts = (input_tokens - read - write, output_tokens, read, write)
    exact = sum(Fraction(price) * count * 1000 for price, count in zip(prices, counts, strict=True))
    assert abs(cost.nano_usd - exact) <= Fraction(1, 2)


def test_the_row_in_force_when_the_span_began_counts():
    pricer = Pricer(PriceBook(tokens=(row(JUNE, "2"), row(NEW_YEAR, "1"))))

    def cost(at: datetime, span_s: float) -> Cost:
        return pricer.tokens(tokens(at, provider="own", model="m", span_s=span_s, input_tokens=1000))

    assert cost(JUNE + MINUTE, 120) == Cost(1_000_000, "book", 1_000_000)
    assert cost(JUNE, 60) == Cost(1_000_000, "book", 1_000_000)
    assert cost(JUNE, 0) == Cost(2_000_000, "book", 1_000_000)
    assert cost(JUNE + MINUTE, 60) == Cost(2_000_000, "book", 1_000_000)


def test_before_the_first_row_of_the_book_the_model_is_unpriced():
    assert Pricer(PriceBook(tokens=(row(JUNE, "2"),))).tokens(tokens(provider="own", model="m")) is None


def test_a_reported_cost_wins_over_the_book_and_zero_is_a_cost():
    pricer = Pricer(BOOK)

    assert pricer.tokens(tokens(cost_usd="0.0100000005")) == Cost(10_000_000, "reported", 6_500_000)
    assert pricer.tokens(tokens(cost_usd=0)) == Cost(0, "reported", 6_500_000)
    assert pricer.tokens(tokens(cost_usd="1.5", provider="x", model="y")) == Cost(
        1_500_000_000, "reported", 1_500_000_000
    )


def test_a_public_model_that_the_book_lacks_is_priced_by_genai_prices():
    event = tokens(provider="openai", model="gpt-4o", input_tokens=1_000_000, output_tokens=0)

    assert Pricer(PriceBook()).tokens(event) == Cost(2_500_000_000, "genai-prices", 2_500_000_000)


def test_cache_reads_of_a_public_model_are_cheaper_than_its_input():
    pricer, event = Pricer(PriceBook()), {"provider": "openai", "model": "gpt-4o", "output_tokens": 0}

    cached = pricer.tokens(tokens(**event, input_tokens=1_000_000, cache_read_tokens=1_000_000))

    assert cached.nano_usd == 1_250_000_000


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no-such-model"), ("nobody", "gpt-4o"), ("\u2603", "\x00(")]
)
def test_a_model_that_nobody_knows_has_no_cost(provider, model):
    pricer = Pricer(BOOK)

    assert [pricer.tokens(tokens(provider=provider, model=model)) for _ in range(2)] == [None, None]


def test_gpu_prices_come_from_the_book_then_from_charges_then_from_the_shipped_table():
    pricer = Pricer(BOOK)

    assert pricer.gpu_rate(H100, NOTEBOOK, NOON) == (4_000_000_000, "book")
    assert pricer.gpu_rate("NVIDIA L40S", NOTEBOOK, NOON) == (1_850_000_000, "shipped")
    assert pricer.gpu_rate("Abacus", NOTEBOOK, NOON) is None
    assert pricer.gpu_rate(None, NOTEBOOK, NOON) is None

    pricer.learn(billed())

    assert pricer.gpu_rate(H100, NOTEBOOK, NOON) == (4_000_000_000, "book")
    assert pricer.gpu_rate("NVIDIA L40S", NOTEBOOK, NOON) == (2_000_000_000, "learnt")
    assert pricer.gpu_rate("Abacus", NOTEBOOK, NOON) == (2_000_000_000, "learnt")
    assert pricer.gpu_rate(None, NOTEBOOK, NOON) == (2_000_000_000, "learnt")
    assert pricer.gpu_rate("NVIDIA L40S", "a/b/c", NOON) == (1_850_000_000, "shipped")


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_the_dated_rows_of_a_glob_the_latest_in_force_counts(newest_first):
    rows = [
        GpuPrice(model="*H100*", usd_per_hour=Decimal(4), since=NEW_YEAR),
        GpuPrice(model="*H100*", usd_per_hour=Decimal(3), since=JUNE),
    ]
    pricer = Pricer(PriceBook(gpu=tuple(rows[::-1] if newest_first else rows)))

    assert [pricer.gpu_rate(H100, NOTEBOOK, at) for at in (JUNE - SECOND, JUNE)] == [
        (4_000_000_000, "book"),
        (3_000_000_000, "book"),
    ]
    assert pricer.gpu_rate(H100, NOTEBOOK, NEW_YEAR - SECOND) == (4_000_000_000, "shipped")


def test_of_several_globs_the_first_that_is_in_force_counts():
    book = PriceBook(
        gpu=(
            GpuPrice(model="*HBM3*", usd_per_hour=Decimal(5), since=JUNE),
            GpuPrice(model="*", usd_per_hour=Decimal(1), since=NEW_YEAR),
            GpuPrice(model="*H100*", usd_per_hour=Decimal(9), since=NEW_YEAR),
        )
    )

    assert [Pricer(book).gpu_rate(H100, NOTEBOOK, at) for at in (NOON, JUNE)] == [
        (1_000_000_000, "book"),
        (5_000_000_000, "book"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"consumed_unit": "GB-Hours"},
        {"consumed_unit": "vCPU-Hours"},
        {"consumed_unit": "Tokens"},
        {"consumed_unit": None},
        {"consumed_quantity": None},
        {"consumed_quantity": "0"},
        {"consumed_quantity": "-24"},
        {"charge_category": "Credit"},
        {"charge_class": "Correction"},
        {"effective_cost": "-48"},
        {"effective_cost": "0"},
        {"consumed_quantity": "0.0000001"},
        {"workload": None},
    ],
)
def test_nothing_is_learnt_from_what_is_no_accelerators_time(fields):
    pricer = Pricer(PriceBook())

    pricer.learn(billed(**fields))

    assert pricer.learnt == {}


@pytest.mark.parametrize("unit", ["Hours", "hour", "Hrs", "GPU-Hours", "gpu hours", "Accelerator-Hours"])
def test_a_rate_is_learnt_from_hours_however_they_are_spelt(unit):
    pricer = Pricer(PriceBook())

    pricer.learn(billed(consumed_unit=unit, effective_cost="60.00", billed_cost="1"))

    assert pricer.gpu_rate(None, NOTEBOOK, NOON) == (2_500_000_000, "learnt")


def test_an_old_charge_delivered_again_does_not_bring_its_rate_back():
    old, new = billed(), billed(NOON + timedelta(days=1), effective_cost="72")
    restated = billed(NOON + timedelta(days=1) + HOUR, effective_cost="96")
    pricer = Pricer(PriceBook())

    rates = []
    for one in (old, new, old, restated, new, old):
        pricer.learn(one)
        rates.append(pricer.gpu_rate(None, NOTEBOOK, NOON)[0] / 1e9)

    assert rates == [2.0, 3.0, 3.0, 4.0, 4.0, 4.0]


def test_every_shipped_price_is_found_and_is_money():
    pricer = Pricer(PriceBook())

    for glob, usd in SHIPPED_GPU_USD_PER_HOUR:
        name = glob.replace("*", " ")
        nano_usd, source = pricer.gpu_rate(name, NOTEBOOK, NOON)
        assert source == "shipped"
        assert 10**8 < nano_usd <= 11 * 10**9
        assert Decimal(usd) * 10**9 == nano_usd


def test_the_number_of_remembered_models_is_bounded():
    pricer = Pricer(BOOK)

    for number in range(MOST_MODELS + 5):
        pricer.gpu_rate(f"made-up {number}", NOTEBOOK, NOON)

    assert len(pricer._gpu) <= MOST_MODELS


def test_no_rate_is_learnt_from_a_charge_in_another_currency():
    pricer = Pricer(PriceBook())

    pricer.learn(billed(billing_currency="EUR"))
    assert pricer.learnt == {}
    pricer.learn(billed())
    assert list(pricer.learnt) == [billed().workload]


def test_a_bill_of_very_many_workloads_is_learnt_from_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("streams.pricing.MOST_LEARNT", 2)
    pricer = Pricer(PriceBook())

    for name in ("a", "b", "c", "a"):
        pricer.learn(billed(workload=f"prod/llm/{name}"))

    assert sorted(pricer.learnt) == ["prod/llm/a", "prod/llm/b"]
