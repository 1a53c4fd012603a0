from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.facts import ChangeRow, ChargeRow, LedgerRow, RejectRow
from streams.attribution import TeamRule
from streams.pipeline import Limits
from streams.records import Slice
from tests.streams.events import (
    CHAT,
    H100,
    HOUR,
    MINUTE,
    NOON,
    NOTEBOOK,
    SECOND,
    Log,
    change,
    charge,
    encoded,
    gpu,
    nano_usd,
    observed,
    pipeline,
    usage,
)

DAY = timedelta(days=1)


def test_what_is_set_aside_keeps_its_messages_key_unless_that_is_no_key_for_anyone():
    one = pipeline()
    arrived_ms = round((NOON + SECOND).timestamp() * 1000)
    values = [encoded(gpu()), b"nonsense", b"nonsense", encoded([gpu(NOON + HOUR), b"{".decode()]), b"nonsense"]
    keys = [b"good", b"prod/chat", None, b"envelope", b"k" * 5000]

    one.observe(Slice("gpu.samples", 0, list(range(4)), [arrived_ms] * 4, values[:4], keys[:4]))
    one.observe(Slice("gpu.samples", 0, list(range(5)), [arrived_ms] * 5, values, keys))  # four of them again

    assert [(row.offset, row.index, row.key) for row in one.drain().rejects] == [
        (1, 0, b"prod/chat"),
        (2, 0, None),
        (3, 0, b"envelope"),
        (3, 1, b"envelope"),
        (4, 0, None),
    ]


def test_what_is_set_aside_keeps_its_bytes_its_place_and_the_reason():
    log = Log()
    good, bad, future = gpu(), gpu(util_ratio=101), gpu(NOON + 10 * MINUTE, note="  unknown field  ")
    one = pipeline()

    one.observe([log.record(good), log.record([usage(), bad, future], NOON + SECOND, "gpu.samples")])

    assert one.drain().rejects == [
        RejectRow(
            topic="gpu.samples",
            partition=0,
            offset=1,
            index=1,
            reason="Expected `float` <= 1.0 - at `$.util_ratio`",
            payload=encoded(bad),
            at=NOON + SECOND,
        ),
        RejectRow(
            topic="gpu.samples",
            partition=0,
            offset=1,
            index=2,
            reason="dated 599 s ahead of its arrival, the limit is 300 s",
            payload=encoded(future),
            at=NOON + SECOND,
            fault="in_the_future",
        ),
    ]
    tally = one.take_tally()
    assert (tally.records, tally.events) == ({"gpu.samples": 2}, {"GpuSample": 1, "TokenUsage": 1})
    assert tally.rejects == {"malformed": 1, "in_the_future": 1}


def test_the_single_event_of_an_envelope_keeps_its_own_bytes():
    future = usage(NOON + 10 * MINUTE)
    one = pipeline()

    one.observe([Log().record([future], NOON)])

    assert [(row.index, row.payload) for row in one.drain().rejects] == [(0, encoded(future))]


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (gpu(NOON + 20 * MINUTE, device="GPU-9"), "in_the_future"),
        (gpu(NOON.replace(year=1970), device="GPU-9"), "too_old"),
        (usage(NOON - 401 * DAY), "too_old"),
        (charge(NOON - 401 * DAY), "too_old"),
        (change(NOON - 401 * DAY), "too_old"),
        (charge(NOON + 15 * MINUTE), "in_the_future"),
        (gpu(NOON - timedelta(hours=50), device="GPU-9"), "too_late"),
        (usage(NOON - timedelta(hours=50)), "too_late"),
        (usage(NOON - timedelta(hours=47), span_s=6 * 3600), "too_late"),
    ],
)
def test_an_event_of_another_time_is_set_aside_before_it_moves_the_clock(event, word):
    log, one = Log(), pipeline()
    one.observe(log.records([gpu(NOON + number * MINUTE) for number in range(10)]))
    one.drain()
    one.take_tally()
    before = (one.watermark, one.next_minute, one.snapshot())

    one.observe([log.record(event, NOON + 9 * MINUTE + SECOND)])

    assert one.take_tally().rejects == {word: 1}
    assert one.drain().rejects[0].payload == encoded(event)
    assert (one.watermark, one.next_minute, one.snapshot()) == before


@pytest.mark.parametrize("late_by", [timedelta(hours=1), timedelta(hours=47)])
def test_a_late_event_corrects_the_ledger_and_judges_no_minute(late_by):
    log, one = Log(), pipeline()
    one.observe(log.records([gpu(NOON + number * MINUTE) for number in range(10)]))
    minutes = one.next_minute

    one.observe([log.record(gpu(NOON - late_by, device="GPU-9", span_s=3600), NOON + 10 * MINUTE)])

    assert one.take_tally().late == 1
    assert one.next_minute == minutes
    assert sum(row.nano_usd for row in one.drain().ledger) == 10 * 33_333_333 + 4_000_000_000


def test_a_message_over_the_size_limit_is_set_aside_in_part_and_stops_nothing():
    limits = Limits(max_message_bytes=100_000)
    large = encoded([gpu(device=f"GPU-{number}") for number in range(1000)])

    facts = observed(large, gpu(), limits=limits)

    assert [(row.reason, row.payload) for row in facts.rejects] == [
        (f"message of {len(large)} bytes, the limit is 100000", large[:65_536])
    ]
    assert len(facts.ledger) == 1


@pytest.mark.parametrize("value", [b"", b"\xff", b"null", b"[" * 90_000, b'{"type":"gpu_sample","power_w":NaN}'])
def test_a_tombstone_or_nonsense_is_set_aside(value):
    facts = observed(value, gpu())

    assert [row.payload for row in facts.rejects] == [value[:65_536]]
    assert len(facts.ledger) == 1


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.builds(
            lambda make, field, value: encoded({**make(), field: value}),
            st.sampled_from([gpu, usage, charge, change]),
            st.sampled_from(
                ["at", "span_s", "workload", "team", "util_ratio", "requests", "consumed_quantity", "cost_usd"]
            ),
            st.sampled_from(
                [
                    float("nan"),
                    float("inf"),
                    -1,
                    1e308,
                    101,
                    10**4000,
                    "",
                    "\ud800",
                    "\x00",
                    None,
                    [],
                    {},
                    "NaN",
                    "1e-999999",
                    "0001-01-01T00:00:00+14:00",
                    "9999-12-31T23:59:59-14:00",
                    "2026-03-02T12:00:00+23:59",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_no_message_whatever_stops_the_pipeline(messages):
    log, one = Log(), pipeline()

    one.observe([*(log.record(message, NOON) for message in messages), log.record(gpu())])
    one.finish()

    facts = one.drain()
    assert one.tally.records["gpu.samples"] == len(messages) + 1
    assert any(row.workload == NOTEBOOK for row in facts.ledger)
    fresh = pipeline()
    fresh.load(one.snapshot(), one.offsets)
    assert fresh.snapshot() == one.snapshot()


def test_a_sample_and_an_event_are_priced_attributed_and_written_to_their_hour():
    rules = [TeamRule(match={"namespace": "llm"}, team="search")]

    facts = observed(gpu(team="research"), usage(), rules=rules)

    assert facts.ledger == [
        LedgerRow(
            hour=NOON - HOUR,
            workload=NOTEBOOK,
            line=f"gpu|{H100}|book",
            team="research",
            nano_usd=33_333_333,
            gpu_s=30.0,
        ),
        LedgerRow(
            hour=NOON - HOUR,
            workload=CHAT,
            line="tokens|openai/gpt-5-mini|book",
            team="search",
            nano_usd=6_500_000,
            requests=10,
            input_tokens=10_000,
            output_tokens=2_000,
        ),
    ]


def test_a_charge_and_a_change_become_rows():
    facts = observed(charge(), change(url="https://example.com/7"))

    assert facts.charges == [
        ChargeRow(
            identity="Example Cloud|i-1|gpu|2026-03-01T00:00:00+00:00|2026-03-02T00:00:00+00:00|Usage",
            at=NOON,
            period_start=NOON.replace(day=1, hour=0),
            period_end=NOON.replace(hour=0),
            workload=NOTEBOOK,
            team=None,
            provider="Example Cloud",
            sku="gpu",
            category="Usage",
            currency="USD",
            billed_cost=Decimal(48),
            effective_cost=Decimal(48),
        )
    ]
    assert facts.changes == [
        ChangeRow(
            event_id="c-2026-03-02T12:00:00Z",
            at=NOON,
            workload=CHAT,
            kind="deploy",
            summary="chat v2",
            url="https://example.com/7",
        )
    ]


def test_a_span_over_the_hour_pays_in_both_hours():
    facts = observed(gpu(NOON + 10 * MINUTE, span_s=1800))

    assert nano_usd(facts.ledger) == {
        (NOON - HOUR, NOTEBOOK): 1_333_333_333,
        (NOON, NOTEBOOK): 666_666_667,
    }


def test_the_price_in_force_when_a_samples_span_began_counts():
    new_year = NOON.replace(month=1, day=1, hour=0)

    facts = observed(gpu(new_year, workload="a/b/c"), gpu(new_year + MINUTE, workload="a/b/d", device="GPU-2"))

    assert [row.line.split("|")[2] for row in facts.ledger] == ["shipped", "book"]


def test_a_model_without_a_price_is_counted_and_told_and_never_a_cost():
    one, log = pipeline(), Log()
    one.observe(log.records([usage(NOON + number * MINUTE, model="mystery-1") for number in range(10)]))

    facts = one.drain()

    assert {(row.nano_usd, row.line) for row in facts.ledger} == {(0, "tokens|openai/mystery-1|unpriced")}
    assert sum(row.unpriced_tokens for row in facts.ledger) == 120_000
    assert one.take_tally().unpriced_tokens == {"mystery-1": 120_000}
    assert [(str(incident.kind), str(incident.cause), incident.model) for incident in facts.incidents] == [
        ("unpriced", "unknown_model", "mystery-1")
    ]


def test_an_accelerator_without_a_price_is_told_and_never_a_cost():
    facts = observed(*[gpu(NOON + number * MINUTE, gpu_model="Abacus", span_s=60) for number in range(6)])

    assert {(row.nano_usd, row.line) for row in facts.ledger} == {(0, "gpu|Abacus|unpriced")}
    assert [(str(incident.kind), incident.workload, incident.model) for incident in facts.incidents] == [
        ("unpriced", NOTEBOOK, "Abacus")
    ]


def test_a_device_and_an_event_of_the_same_name_are_two_events():
    facts = observed(gpu(device="same"), usage(event_id="same"))

    assert len(facts.ledger) == 2


def test_a_topic_that_fell_silent_long_ago_does_not_keep_everything_in_memory():
    one, log = pipeline(), Log()
    one.observe([log.record(change())])

    one.observe(log.records([gpu(NOON + number * HOUR) for number in range(200)]))
    one.drain()
    one.observe(log.records([gpu(NOON + number * HOUR) for number in range(200, 205)]))

    kept = one.snapshot()
    assert sum(name.startswith("seen/") for name in kept) <= 51
    assert sum(name.startswith("pages/hour") for name in kept) <= 51


def test_messages_that_were_taken_already_are_passed_over():
    log, one = Log(), pipeline()
    records = log.records([gpu(NOON + number * MINUTE) for number in range(3)])

    one.observe(records)
    one.observe(records)

    assert one.take_tally().records == {"gpu.samples": 3}
    assert one.offsets == {"gpu.samples": 3}


def test_a_row_that_only_a_change_made_is_written_with_the_next_changes():
    one, log, parts = pipeline(), Log(), {}
    for values in ([gpu(NOON)], [change(NOON + SECOND, workload="research/new/one")]):
        one.observe(log.records(values))
        one.drain()
        parts |= one.changes()
    heir = pipeline()

    heir.load({name: bytes(body) for name, body in parts.items() if body is not None}, one.offsets)

    assert heir.fleet.workloads.keys == one.fleet.workloads.keys


def test_codes_are_not_forgotten_between_two_runs_of_one_kind_in_a_batch():
    story = [gpu(NOON + number * SECOND, device=f"GPU-{number}", workload=f"a/b/w{number}") for number in range(4)]
    values = [story[0], usage(NOON), story[1], story[2], usage(NOON + SECOND, event_id="b"), story[3]]
    whole, tight = pipeline(), pipeline()
    tight._samples._codes.limit = 2
    for one in (whole, tight):
        one.observe(Log().records(values))

    assert tight.drain().ledger == whole.drain().ledger


def test_the_team_that_was_stated_last_stands_whoever_stated_it():
    log, one = Log(), pipeline()
    stated = [
        gpu(NOON, workload=CHAT, team="first"),
        usage(NOON + SECOND, team="second"),
        gpu(NOON + 30 * SECOND, workload=CHAT, team="first"),
    ]

    for event in stated:
        one.observe([log.record(event)])

    assert one.fleet.teams == ["first"]
