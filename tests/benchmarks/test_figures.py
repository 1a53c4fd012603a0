"""What the benchmark says is what its runs were."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from benchmarks.events import KEYS, envelopes, singles
from benchmarks.figures import Result, Row, Verdict, add_ratios, load, percentiles, quotient, row_of, save
from benchmarks.suites.profile import busiest
from detectors.events import GpuSample

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_row_holds_medians_of_what_every_run_has():
    runs = [{"events_per_s": 3.0, "hour_s": 9.0}, {"events_per_s": 1.0}, {"events_per_s": 2.0}]

    row = row_of("a peer", runs)

    assert row == Row(name="a peer", figures={"events_per_s": 2.0}, runs=runs)


def test_a_row_without_runs_is_refused():
    with pytest.raises(ValueError, match="a peer: no run"):
        row_of("a peer", [])


def test_ratios_are_to_the_base_row_and_absent_without_it():
    rows = [Row(name="ours", figures={"events_per_s": 8.0}), Row(name="theirs", figures={"events_per_s": 2.0})]

    add_ratios(rows, "theirs", "events_per_s")
    add_ratios(rows, "nobody's", "events_per_s", into="core_ratio")

    assert [row.figures for row in rows] == [
        {"events_per_s": 8.0, "ratio": 4.0},
        {"events_per_s": 2.0, "ratio": 1.0},
    ]
    assert (quotient(8.0, 2.0), quotient(None, 2.0), quotient(8.0, None), quotient(8.0, 0.0)) == (4.0, None, None, None)


def test_percentiles_are_values_that_were_measured():
    shares = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}

    assert percentiles([*map(float, range(100, 0, -1))], shares) == {"p50_s": 50.0, "p95_s": 95.0, "p99_s": 99.0}
    assert percentiles([7.0], shares) == {"p50_s": 7.0, "p95_s": 7.0, "p99_s": 7.0}


@pytest.mark.parametrize(
    ("got", "at_most", "met"),
    [(2.0, True, True), (2.1, True, False), (2.0, False, True), (1.9, False, False), (None, True, False)],
)
def test_an_aim_is_met_on_the_right_side_only(got: float | None, at_most: bool, met: bool):
    assert Verdict(aim="a", wanted=2.0, got=got, at_most=at_most).met is met


def test_a_result_comes_back_from_its_file(tmp_path: Path):
    row = row_of("one", [{"events_per_s": 123456.789}])
    result = Result(suite="ingest", quick=True, rounds=1, rows=[row], notes=["a note"])

    save(result, tmp_path)

    assert load("ingest", tmp_path) == result
    assert result.rows[0] == Row(name="one", figures={"events_per_s": 123460.0}, runs=[{"events_per_s": 123460.0}])
    assert load("scale", tmp_path) is None


def test_single_messages_are_events_of_about_300_bytes_that_end_at_the_given_moment():
    messages = list(singles(2 * KEYS, until=NOON))
    events = [msgspec.json.decode(value, type=GpuSample) for _, value in messages]

    assert {len(value) // 20 for _, value in messages} <= {14, 15}
    assert len({event.device for event in events}) == KEYS
    assert {event.workload for event in events} == {key for key, _ in messages}
    assert sorted({event.at.isoformat() for event in events}) == [
        "2026-03-02T11:59:30+00:00",
        "2026-03-02T12:00:00+00:00",
    ]
    assert len({(event.device, event.at) for event in events}) == 2 * KEYS


def test_an_envelope_holds_what_all_accelerators_of_a_workload_say_at_one_moment():
    messages = list(envelopes(20, 50, until=NOON))
    events = [event for _, value in messages for event in msgspec.json.decode(value, type=list[GpuSample])]

    assert len(events) == 1000
    assert len({(event.device, event.at) for event in events}) == 1000
    assert len({event.workload for event in events}) == 10


def test_a_profile_counts_own_time_and_time_on_the_stack_once_for_each_sample():
    stacks = ["main (a/b.py:1);look (c.py:2);look (c.py:3) 6", "main (a/b.py:4) 2"]

    assert busiest("x", stacks) == [
        Row(name="x: `c.py look`", figures={"self_share": 0.75, "total_share": 0.75}),
        Row(name="x: `a/b.py main`", figures={"self_share": 0.25, "total_share": 1.0}),
    ]
