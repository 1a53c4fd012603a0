import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.arrivals import UNKNOWN_TOPIC, in_order, lines_of, read_head, records
from tests.streams.events import HOUR, MINUTE, NOON, SECOND, change, charge, encoded, gpu, stamp, usage


def write(path: Path, *values) -> Path:
    lines = b"".join(encoded(value) + b"\n" for value in values)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def arrivals(*values) -> list[datetime]:
    return [at for at, _ in in_order(lines_of(encoded(value) for value in values))]


def test_a_line_says_its_topic_and_when_it_arrived():
    values = [gpu(), usage(), charge(), change(), gpu(arrived_at=stamp(NOON + HOUR)), [gpu(), usage(NOON + MINUTE)]]

    heads = [read_head(encoded(value)) for value in values]

    assert [(head.topic, head.arrived_at, head.stated) for head in heads] == [
        ("gpu.samples", NOON, False),
        ("token.usage", NOON, False),
        ("billing.charges", NOON, False),
        ("ops.changes", NOON, False),
        ("gpu.samples", NOON + HOUR, True),
        ("gpu.samples", NOON + MINUTE, False),
    ]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"type":7}',
        b'{"at":"yesterday"}',
        b'{"at":"2026-03-02T12:00:00"}',
        b'{"at":"0001-01-01T00:00:00+14:00"}',
        b'{"at":"9999-12-31T23:59:59-14:00"}',
        b'{"arrived_at":"0001-01-01T00:00:00+00:01"}',
        b'[{"at":"9999-12-31T23:59:59-14:00"},{"at":"0001-01-01T00:00:00+14:00"}]',
    ],
)
def test_a_line_without_a_usable_time_goes_on_without_one(value):
    head = read_head(value)

    assert (head.value, head.topic, head.arrived_at) == (value, UNKNOWN_TOPIC, None)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(value):
    assert read_head(value).value == value


def test_lines_of_several_files_are_merged_by_arrival(tmp_path):
    one = write(tmp_path / "gpu.jsonl", gpu(NOON), gpu(NOON + 2 * MINUTE))
    two = write(tmp_path / "use.jsonl.gz", usage(NOON - MINUTE), usage(NOON + MINUTE))
    bill = write(tmp_path / "bill.jsonl", charge(NOON, arrived_at=stamp(NOON + 90 * SECOND)))

    found = [(record.topic, record.offset, record.arrived_at) for record in records([one, str(two), bill])]

    assert found == [
        ("token.usage", 0, NOON - MINUTE),
        ("gpu.samples", 0, NOON),
        ("token.usage", 1, NOON + MINUTE),
        ("billing.charges", 0, NOON + 90 * SECOND),
        ("gpu.samples", 1, NOON + 2 * MINUTE),
    ]


def test_standard_input_is_a_file_named_by_a_dash(monkeypatch):
    class Input:
        buffer = io.BytesIO(encoded(gpu()) + b"\n\n  \n" + encoded(usage()))

    monkeypatch.setattr("sys.stdin", Input)

    assert [record.topic for record in records(["-"])] == ["gpu.samples", "token.usage"]


def test_a_line_dated_far_ahead_does_not_move_the_clock():
    values = [gpu(NOON + number * MINUTE) for number in range(40)]
    values[20] = gpu(NOON + timedelta(days=300))

    times = arrivals(*values)

    assert times[20] == NOON + 19 * MINUTE
    assert times[21:] == [NOON + number * MINUTE for number in range(21, 40)]


@pytest.mark.parametrize("place", [0, 39])
def test_a_line_dated_far_ahead_at_either_end_does_not_move_the_clock(place):
    values = [gpu(NOON + number * MINUTE) for number in range(40)]
    values[place] = gpu(NOON + timedelta(days=300))

    times = arrivals(*values)

    assert times[place] == NOON + (1 if place == 0 else 38) * MINUTE
    assert times[1:39] == [NOON + number * MINUTE for number in range(1, 39)]


def test_a_real_hole_in_a_file_is_believed():
    values = [gpu(NOON + number * MINUTE) for number in range(5)]
    values += [gpu(NOON + timedelta(days=3) + number * MINUTE) for number in range(40)]

    assert arrivals(*values) == [datetime.fromisoformat(value["at"]) for value in values]


def test_the_clock_of_a_file_never_goes_back():
    values = [gpu(NOON), gpu(NOON - MINUTE), gpu(NOON + MINUTE), b"no event", gpu(NOON - 5 * HOUR)]

    assert arrivals(*values) == [NOON, NOON, NOON + MINUTE, NOON + MINUTE, NOON + MINUTE]


def test_a_first_line_of_another_age_does_not_begin_the_file():
    ancient = gpu(datetime(1970, 1, 1, tzinfo=UTC))

    assert arrivals(ancient, gpu(NOON), gpu(NOON + MINUTE)) == [NOON, NOON, NOON + MINUTE]


def test_lines_without_any_time_come_when_the_next_one_does():
    assert arrivals(b"no event", gpu(), b"none either") == [NOON, NOON, NOON]
    assert arrivals(b"no event") == [datetime(1970, 1, 1, tzinfo=UTC)]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(
        st.none() | st.integers(-900, 900).map(timedelta) | st.integers(0, 9000).map(lambda s: timedelta(seconds=s)),
        max_size=50,
    )
)
def test_whatever_the_lines_say_the_clock_never_goes_back(offsets):
    times = arrivals(*[b"x" if offset is None else gpu(NOON + offset) for offset in offsets])

    assert times == sorted(times)
    assert len(times) == len(offsets)


def test_a_stated_arrival_is_believed_and_the_line_keeps_its_bytes():
    value = json.dumps(gpu(NOON, arrived_at=stamp(NOON + timedelta(days=2)))).encode()

    ((at, line),) = in_order(lines_of([value]))

    assert (at, line.value) == (NOON + timedelta(days=2), value)
