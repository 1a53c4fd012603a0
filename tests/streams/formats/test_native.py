import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.formats.native import MAX_EVENT_BYTES, decode
from tests.streams.events import CHAT, change, charge, encoded, gpu, usage

MEGABYTE = 1_048_576
LAWFUL = settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def faults(value: Any) -> list[tuple[int, bytes, str]]:
    return [(fault.index, fault.payload, fault.reason) for fault in decode(encoded(value), MEGABYTE)[1]]


def good(value: Any) -> bool:
    events, bad = decode(encoded(value), MEGABYTE)
    return len(events) == 1 and not bad


WORDS_256 = "w" * 256
LONG_LABELS = {f"key-{number}": "v" for number in range(33)}

REFUSED = [
    (gpu, {"at": "2026-03-02T12:00:00"}),
    (gpu, {"at": "yesterday"}),
    (gpu, {"at": 1_772_000_000}),
    (gpu, {"span_s": 0}),
    (gpu, {"span_s": -30}),
    (gpu, {"span_s": 86_400.5}),
    (gpu, {"span_s": "30"}),
    (gpu, {"workload": "chat"}),
    (gpu, {"workload": "prod/chat"}),
    (gpu, {"workload": "/llm/chat"}),
    (gpu, {"workload": "a/b/c/d"}),
    (gpu, {"workload": "prod/llm/ch\u0007at"}),
    (gpu, {"workload": "prod/llm/chat\n"}),
    (gpu, {"workload": f"prod/llm/{'x' * 504}"}),
    (gpu, {"device": ""}),
    (gpu, {"device": f"{WORDS_256}+"}),
    (gpu, {"event_id": "e" * 129}),
    (gpu, {"team": f"{WORDS_256}+"}),
    (gpu, {"node": f"{WORDS_256}+"}),
    (gpu, {"gpu_model": f"{WORDS_256}+"}),
    (gpu, {"labels": {"k" * 65: "v"}}),
    (gpu, {"labels": {"k": f"{WORDS_256}+"}}),
    (gpu, {"labels": LONG_LABELS}),
    (gpu, {"labels": {"k": 1}}),
    *[
        (gpu, {f"{name}_ratio": value})
        for name in ("util", "engine_active", "sm_active", "tensor_active", "dram_active")
        for value in (-0.01, 1.01, 101, "0.5", True)
    ],
    (gpu, {"memory_used_bytes": -1}),
    (gpu, {"memory_used_bytes": 10**15 + 1}),
    (gpu, {"memory_total_bytes": 1.5}),
    (gpu, {"power_w": -1}),
    (gpu, {"power_w": 5000.5}),
    (gpu, {"power_w": 1e308}),
    (usage, {"event_id": ""}),
    (usage, {"event_id": "e" * 129}),
    (usage, {"span_s": -1}),
    (usage, {"span_s": 604_801}),
    (usage, {"provider": ""}),
    (usage, {"model": f"{WORDS_256}+"}),
    (usage, {"requests": -1}),
    (usage, {"requests": 1.5}),
    (usage, {"requests": 10**15 + 1}),
    (usage, {"errors": -1}),
    (usage, {"input_tokens": -1}),
    (usage, {"input_tokens": "7"}),
    (usage, {"input_tokens": 10**12 + 1}),
    (usage, {"output_tokens": 10**12 + 1}),
    (usage, {"output_tokens": -1}),
    (usage, {"cache_read_tokens": 10_001}),
    (usage, {"cache_read_tokens": 6_000, "cache_write_tokens": 4_001}),
    (usage, {"reasoning_tokens": 2_001}),
    (usage, {"requests_running": -0.1}),
    (usage, {"requests_waiting": 1e10}),
    (usage, {"cost_usd": -0.01}),
    (usage, {"cost_usd": "NaN"}),
    (usage, {"cost_usd": "sNaN"}),
    (usage, {"cost_usd": "Infinity"}),
    (usage, {"cost_usd": "a dollar"}),
    (usage, {"cost_usd": 1e308}),
    (charge, {"charge_category": "Gift"}),
    (charge, {"charge_class": "Guess"}),
    (charge, {"billing_currency": "usd"}),
    (charge, {"billing_currency": "USD\n"}),
    (charge, {"charge_period_end": "2026-03-01T00:00:00Z"}),
    (charge, {"charge_period_start": "0001-01-01T00:00:00+14:00"}),
    (charge, {"charge_period_end": "9999-12-31T23:59:59-14:00"}),
    (charge, {"billed_cost": "NaN"}),
    (charge, {"effective_cost": "-Infinity"}),
    (charge, {"effective_cost": 10**10}),
    (charge, {"effective_cost": "1e-9999"}),
    (charge, {"list_cost": "NaN"}),
    (charge, {"consumed_quantity": "NaN"}),
    (charge, {"consumed_quantity": "1e-999999"}),
    (charge, {"consumed_quantity": "1e999999"}),
    (charge, {"consumed_unit": "h" * 65}),
    (charge, {"resource_id": "r" * 2049}),
    (charge, {"tags": {"k": 1}}),
    (change, {"event_id": ""}),
    (change, {"kind": "party"}),
    (change, {"summary": "s" * 2049}),
    (change, {"url": "u" * 2049}),
]


@pytest.mark.parametrize(("make", "fields"), REFUSED)
def test_a_value_beyond_its_limit_is_set_aside_with_its_bytes(make, fields):
    event = make(**fields)

    ((index, payload, reason),) = faults(event)

    assert (index, payload) == (0, encoded(event))
    assert 0 < len(reason) <= 300


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (gpu, {"span_s": 86_400}),
        (gpu, {"workload": "prod//"}),
        (gpu, {"workload": f"prod/llm/{'x' * 503}"}),
        (gpu, {"util_ratio": 0, "sm_active_ratio": 1, "power_w": 5000, "memory_used_bytes": 10**15}),
        (gpu, {"device": WORDS_256, "team": WORDS_256, "node": WORDS_256, "event_id": "e" * 128}),
        (gpu, {"labels": {"k" * 64: "v" * 256}}),
        (gpu, {"something_new": {"a": [1, None]}}),
        (gpu, {"at": "2026-03-02T13:00:00+01:00"}),
        (usage, {"span_s": 0, "requests": 0, "input_tokens": 0, "output_tokens": 0}),
        (usage, {"cache_read_tokens": 6_000, "cache_write_tokens": 4_000, "reasoning_tokens": 2_000}),
        (usage, {"cost_usd": 0}),
        (usage, {"cost_usd": "0.000000000001"}),
        (charge, {"billed_cost": -48, "charge_category": "Credit", "charge_class": "Correction"}),
        (charge, {"workload": None, "consumed_quantity": None, "consumed_unit": None, "tags": {"a": "b"}}),
        (change, {"url": "https://example.com/deploys/7"}),
    ],
)
def test_a_value_at_its_limit_is_taken(make, fields):
    assert good(make(**fields))


REQUIRED = [
    (gpu, ("at", "workload", "device")),
    (usage, ("event_id", "at", "workload", "provider", "model", "requests", "input_tokens", "output_tokens")),
    (
        charge,
        (
            "at",
            "charge_period_start",
            "charge_period_end",
            "charge_category",
            "billed_cost",
            "effective_cost",
            "billing_currency",
        ),
    ),
    (change, ("event_id", "at", "workload", "kind", "summary")),
]


@pytest.mark.parametrize(("make", "name"), [(make, name) for make, names in REQUIRED for name in names])
def test_a_missing_required_field_is_named(make, name):
    event = make()
    del event[name]

    ((_, _, reason),) = faults(event)

    assert name in reason


def test_one_bad_element_does_not_stop_the_others():
    bad, worse = gpu(util_ratio=101), {"type": "poem"}

    events, bad_ones = decode(encoded([gpu(), bad, usage(), worse, change()]), MEGABYTE)

    assert [(index, type(event).__name__) for index, event in events] == [
        (0, "GpuSample"),
        (2, "TokenUsage"),
        (4, "Change"),
    ]
    assert [(one.index, one.payload) for one in bad_ones] == [(1, encoded(bad)), (3, encoded(worse))]


def test_the_bytes_of_a_bad_element_are_kept_as_they_came():
    raw = b'{ "type" : "gpu_sample", "at":"2026-03-02T12:00:00Z",  "workload":"a/b/c" , "device":"" }'

    assert [payload for _, payload, _ in faults(b"[" + raw + b"]")] == [raw]


def test_an_event_that_is_too_large_is_set_aside_whatever_its_neighbours_are():
    large = gpu(note="x" * MAX_EVENT_BYTES)

    alone, beside_good, beside_bad = faults(large), faults([gpu(), large]), faults([gpu(util_ratio=7), large])

    assert [(index, payload) for index, payload, _ in alone] == [(0, encoded(large))]
    assert [(index, payload) for index, payload, _ in beside_good] == [(1, encoded(large))]
    assert [index for index, _, _ in beside_bad] == [0, 1]
    assert all("the limit is 65536" in found[-1][2] for found in (alone, beside_good, beside_bad))


def test_a_message_over_the_limit_is_set_aside_whole():
    message = encoded([gpu()] * 10)

    events, (fault,) = decode(message, len(message) - 1)

    assert (events, fault.index, fault.payload) == ([], 0, message)
    assert fault.reason == f"message of {len(message)} bytes, the limit is {len(message) - 1}"
    assert len(decode(message, len(message))[0]) == 10


def test_an_empty_message_is_a_fault_and_an_empty_envelope_is_nothing():
    assert faults(b"") == [(0, b"", "empty message")]
    assert decode(b"[]", MEGABYTE) == ([], [])


@pytest.mark.parametrize(
    "message",
    [
        b"null",
        b"7",
        b'"gpu_sample"',
        b"{}",
        b"[null]",
        b"[[]]",
        b"[7, true]",
        b"   ",
        b"{",
        b"[{]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"[" * 50_000 + b"]" * 50_000 + b"]",
        encoded(gpu())[:-1] + b',"deep":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        encoded(gpu())[:-1] + b',"team":"\\ud800"}',
        encoded(gpu())[:-1] + b',"team":"\xed\xa0\x80"}',
        encoded(gpu())[:-1] + b',"power_w":NaN}',
        encoded(gpu())[:-1] + b',"power_w":-Infinity}',
        encoded(gpu())[:-1] + b',"power_w":1e999}',
        encoded(usage())[:-1] + b',"errors":1' + b"0" * 5_000 + b"}",
        encoded(usage())[:-1] + b',"cost_usd":1' + b"0" * 5_000 + b"}",
        encoded(usage())[:-1] + b',"cost_usd":1e99999999999999999999}',
        encoded(usage())[:-1] + b',"cost_usd":"' + b"9" * 5_000 + b'"}',
    ],
)
def test_what_is_no_event_is_set_aside(message):
    events, bad = decode(message, MEGABYTE)

    assert events == []
    assert bad
    assert all(0 < len(one.reason) <= 300 for one in bad)


def test_of_a_field_that_comes_twice_the_last_counts():
    ((_, event),), bad = decode(encoded(gpu())[:-1] + b',"util_ratio":0.25}', MEGABYTE)

    assert (event.util_ratio, bad) == (0.25, [])


@LAWFUL
@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise(message):
    events, bad = decode(message, MEGABYTE)

    assert len(events) + len(bad) >= 1 or message.strip()[:1] == b"["


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@LAWFUL
@given(
    make=st.sampled_from([gpu, usage, charge, change]),
    wrong=st.dictionaries(
        st.sampled_from([*gpu(), *usage(), *charge(), *change(), "cost_usd", "labels", "team", "tags"]),
        JSON,
        max_size=4,
    ),
    cut=st.none() | st.tuples(st.integers(0, 400), st.binary(max_size=3)),
)
def test_a_mutated_event_is_taken_or_set_aside_and_never_both(make, wrong, cut):
    message = json.dumps({**make(), **wrong}).encode()
    if cut is not None:
        message = message[: cut[0]] + cut[1] + message[cut[0] + 1 :]

    events, bad = decode(message, MEGABYTE)

    assert len(events) + len(bad) == 1
    assert all(one.payload == message and one.reason for one in bad)


def test_a_bad_element_between_many_keeps_every_place():
    values = [gpu(device=f"GPU-{number}") if number % 7 else {"type": CHAT} for number in range(100)]

    events, bad = decode(encoded(values), MEGABYTE)

    assert [index for index, _ in events] == [number for number in range(100) if number % 7]
    assert [one.index for one in bad] == [number for number in range(100) if not number % 7]


@pytest.mark.parametrize("at", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "2017-01-01T00:59:60+01:00"])
def test_a_leap_second_is_set_aside_with_the_way_out(at: str) -> None:
    event = b'{"type":"gpu_sample","at":"%s","workload":"c/n/w","device":"GPU-1"}' % at.encode()

    assert [fault.reason for fault in decode(event, 1_000_000)[1]] == [
        "Invalid RFC3339 encoded datetime - at `$.at`: a leap second, for which UTC as computers keep it has no place; "
        "send it as the second before"
    ]
