"""Events that are malformed, or whose numbers are no numbers: each is set aside with its bytes, and nothing else is."""

import json
from functools import cache
from math import isfinite
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from store.facts import Facts
from streams.pipeline import Pipeline
from tests.streams.events import MINUTE, NOON, SECOND, Log, encoded, gpu, nano_usd, pipeline, usage

SAMPLE_NANO_USD = 33_333_333
DIGITS = b"9" * 5000
MOST_KEPT = 65_536  # bytes of what is set aside


def without(event: dict[str, Any], name: str) -> bytes:
    return encoded({key: value for key, value in event.items() if key != name})


def raw(event: dict[str, Any], field: str, value: bytes) -> bytes:
    """An event with a field whose JSON is written out."""
    return encoded({**event, field: "@"}).replace(b'"@"', value)


# each of them is one element of JSON, and no event
BAD_ELEMENTS = [
    b"null",
    b"true",
    b"0",
    DIGITS,
    b'""',
    b"[]",
    b"{}",
    b'{"type": null}',
    b'{"type": "gpu_sample"}',
    b'{"type": "gpu_sample_v9", "at": "2026-03-02T12:00:00Z"}',
    b"[" * 500 + b"]" * 500,
    b'{"type": ' + b'{"type": ' * 500 + b"1" + b"}" * 500 + b"}",
    *(without(gpu(), name) for name in ("type", "at", "workload", "device")),
    *(without(usage(), name) for name in ("event_id", "provider", "model", "requests", "input_tokens")),
    raw(gpu(), "util_ratio", DIGITS),
    raw(gpu(), "util_ratio", b'"0.5"'),
    raw(gpu(), "util_ratio", b"true"),
    raw(gpu(), "util_ratio", b"1e999"),
    raw(gpu(), "util_ratio", b"93"),
    raw(gpu(), "util_ratio", b"-1e-9"),
    raw(gpu(), "power_w", b"1e308"),
    raw(gpu(), "span_s", b"0"),
    raw(gpu(), "span_s", b"-30"),
    raw(gpu(), "memory_used_bytes", DIGITS),
    raw(gpu(), "memory_used_bytes", b"0.5"),
    raw(gpu(), "workload", b"7"),
    raw(gpu(), "workload", b'"no slashes"'),
    raw(gpu(), "labels", b'{"a": 1}'),
    raw(gpu(), "labels", json.dumps({f"l{number}": "x" for number in range(5000)}).encode()),
    raw(gpu(), "labels", json.dumps({"l": "x" * 30_000}).encode()),
    raw(gpu(), "at", b"1772452800"),
    raw(gpu(), "at", b'"2026-03-02T12:00:00"'),
    raw(gpu(), "at", b'"2026-13-02T12:00:00Z"'),
    raw(usage(), "requests", b"1.5"),
    raw(usage(), "input_tokens", b"1e13"),
    raw(usage(), "input_tokens", DIGITS),
    raw(usage(), "cost_usd", b'"NaN"'),
    raw(usage(), "cost_usd", b'"-0.01"'),
    raw(usage(), "cost_usd", b"1e308"),
]


@pytest.mark.parametrize("bad", BAD_ELEMENTS, ids=range(len(BAD_ELEMENTS)))
def test_a_bad_element_is_set_aside_alone_and_its_neighbours_are_applied(bad):
    message = b"[" + b", ".join([encoded(gpu(device="GPU-a")), bad, encoded(gpu(device="GPU-b"))]) + b"]"
    one = pipeline()

    one.observe([Log().record(message, NOON + SECOND)])

    facts = one.drain()
    assert [(row.offset, row.index, row.payload) for row in facts.rejects] == [(0, 1, bad[:MOST_KEPT])]
    assert 0 < len(facts.rejects[0].reason) <= 300
    assert sum(nano_usd(facts.ledger).values()) == 2 * SAMPLE_NANO_USD


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.none() | st.sampled_from(BAD_ELEMENTS), min_size=1, max_size=12))
def test_any_mix_of_good_and_bad_is_taken_apart_exactly(parts):
    elements = [encoded(gpu(device=f"GPU-{place}")) if part is None else part for place, part in enumerate(parts)]
    one = pipeline()

    one.observe([Log().record(b"[" + b",".join(elements) + b"]", NOON + SECOND)])

    facts = one.drain()
    bad = [(place, part[:MOST_KEPT]) for place, part in enumerate(parts) if part is not None]
    assert [(row.index, row.payload) for row in facts.rejects] == bad
    assert sum(nano_usd(facts.ledger).values()) == parts.count(None) * SAMPLE_NANO_USD


GOOD_MESSAGE = encoded([gpu(device="GPU-α"), usage()])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.binary(max_size=200)
    | st.integers(0, len(GOOD_MESSAGE) - 1).map(lambda cut: GOOD_MESSAGE[:cut])
    | st.tuples(st.integers(0, len(GOOD_MESSAGE) - 1), st.integers(0x80, 0xFF)).map(
        lambda how: GOOD_MESSAGE[: how[0]] + bytes([how[1]]) + GOOD_MESSAGE[how[0] :]
    )
    | st.sampled_from([b"", b"null", b"\xef\xbb\xbf{}", b'{"type":"gpu_sample","device":"\\ud800"}', b"[" * 100_000])
)
def test_bytes_that_are_no_events_are_set_aside_whole_between_messages_that_are_applied(message):
    log, one = Log(), pipeline()

    one.observe([log.record(gpu(device="GPU-x")), log.record(message, NOON), log.record(gpu(device="GPU-y"))])

    facts = one.drain()
    assert {row.offset for row in facts.rejects} <= {1}
    assert facts.rejects or message.lstrip()[:1] == b"["
    assert sum(nano_usd(facts.ledger).values()) >= 2 * SAMPLE_NANO_USD
    if len(facts.rejects) == 1 and facts.rejects[0].index == 0 and message.lstrip()[:1] != b"[":
        assert facts.rejects[0].payload == message[:MOST_KEPT]


def test_of_a_key_that_comes_twice_the_last_counts_and_a_lone_surrogate_is_set_aside():
    twice = encoded(gpu())[:-1] + b', "span_s": 60}'
    surrogate = raw(gpu(), "device", b'"GPU-\\ud800"')
    log, one = Log(), pipeline()

    one.observe([log.record(twice, NOON), log.record(surrogate, NOON)])

    facts = one.drain()
    assert [row.payload for row in facts.rejects] == [surrogate]
    assert sum(nano_usd(facts.ledger).values()) == 66_666_666


NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [-0.0, 5e-324, 2.2e-308, 1e308, -1e308, 1.01, 101.0, 1.0, 0.0, 1e9, 10**15, 10**16, -1]
)
GPU_FIELDS = ["span_s", "util_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w", "memory_used_bytes"]
USAGE_FIELDS = ["span_s", "requests", "errors", "input_tokens", "output_tokens", "requests_running", "cost_usd"]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["gpu"]), st.dictionaries(st.sampled_from(GPU_FIELDS), NUMBERS, max_size=3))
    | st.tuples(st.sampled_from(["usage"]), st.dictionaries(st.sampled_from(USAGE_FIELDS), NUMBERS, max_size=3)),
    min_size=1,
    max_size=25,
)


def infinite_columns(one: Pipeline) -> set[str]:
    """Columns of the state that hold an infinity in some row."""
    found = set()
    for panel in (one.fleet.workloads, one.fleet.devices):
        for name in list(panel._columns):
            values = panel.column(name)
            if values.dtype.kind == "f" and np.isinf(values).any():
                found.add(name)
    return found


def numbers(facts: Facts) -> list[float]:
    """Every number that goes to the store."""
    rows = [row for name in ("ledger", "statuses", "incidents") for row in getattr(facts, name)]
    values = [value for row in rows for value in asdict(row).values()]
    values += [value for row in facts.incidents for value in row.evidence.values()]
    return [float(value) for value in values if isinstance(value, int | float)]


@cache
def ordinary_infinities() -> set[str]:
    """Columns that say "never yet" by an infinity, in a run of ordinary events."""
    log, one, found = Log(), pipeline(), set()
    for number in range(30):
        for event in (gpu(NOON + number * MINUTE, power_w=None), usage(NOON + number * MINUTE)):
            one.observe([log.record(event)])
            found |= infinite_columns(one)
    return found


@settings(derandomize=True, max_examples=60, deadline=None)
@given(EVENTS)
def test_the_state_stays_finite_after_each_step_whatever_the_numbers_are(events):
    """NaN in a column means unknown; an infinity stands only where it says that something never was."""
    allowed = ordinary_infinities()
    log, one = Log(), pipeline()

    for place, (kind, fields) in enumerate(events):
        at = NOON + place * MINUTE
        event = {**(gpu(at) if kind == "gpu" else usage(at)), **fields}
        one.observe([log.record(encoded(event), at + SECOND, "gpu.samples" if kind == "gpu" else "token.usage")])
        assert infinite_columns(one) <= allowed
        facts = one.drain()
        assert all(isfinite(value) for value in numbers(facts))
        assert all(row.nano_usd >= 0 and row.gpu_s >= 0 for row in facts.ledger)
    one.finish()

    assert infinite_columns(one) <= allowed
    assert all(isfinite(value) for value in numbers(one.drain()))
    first, second = pipeline(), pipeline()
    first.load(one.snapshot(), one.offsets)
    second.load(first.snapshot(), first.offsets)
    assert second.snapshot() == first.snapshot()
