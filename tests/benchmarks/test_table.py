"""The page on performance shows the results that are kept, and nothing else."""

import re

import pytest

from benchmarks.figures import Result, Row, Verdict, load
from benchmarks.run import SUITES
from benchmarks.table import JUDGED, JUDGEMENT, PAGE, number, render, rewrite
from benchmarks.table import SUITES as SHOWN

RESULT = Result(
    suite="scale",
    quick=True,
    rounds=3,
    rows=[
        Row(name="1,000", figures={"events_per_s": 123456.0, "snapshot_s": 0.0123}),
        Row(name="2,000", figures={"events_per_s": 12.5}),
    ],
    verdicts=[Verdict(aim="memory", wanted=512.0, got=None, at_most=True), Verdict(aim="rate", wanted=2.0, got=2.5)],
    notes=["A note."],
    cores=2,
    python="3.11.7",
)
TABLE = """\
Medians of 3 runs, 2 cores, Python 3.11.7. Quick run: for a look, not for quoting.

| | events/s | snapshot, s |
| --- | --- | --- |
| 1,000 | 123,456 | 0.012 |
| 2,000 | 12.50 | - |

| aim | wanted | reached | |
| --- | --- | --- | --- |
| memory | at most 512 | not measured | missed |
| rate | at least 2.00 | 2.50 | reached |

- A note."""


def test_a_result_is_a_table_with_its_aims_and_notes():
    assert render(RESULT) == TABLE


def test_a_page_is_rewritten_between_the_markers_only_and_twice_is_once():
    page = "before\n<!-- scale: begin -->\nold\n<!-- scale: end -->\nafter\n"

    once = rewrite(page, [RESULT])

    assert once == f"before\n<!-- scale: begin -->\n{TABLE}\n<!-- scale: end -->\nafter\n"
    assert rewrite(once, [RESULT]) == once


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="scale: begin"):
        rewrite("nothing here", [RESULT])


def test_shares_are_shown_in_percent():
    assert (number("self_share", 0.1234), number("p50_s", 0.5)) == ("12.3 %", "0.500")


def test_the_page_on_performance_holds_the_kept_results():
    page = PAGE.read_text(encoding="utf-8")
    kept = [result for suite in SHOWN if (result := load(suite)) is not None]

    assert rewrite(page, kept) == page
    assert re.findall(r"^<!-- (\w+): begin -->$", page, re.M) == list(SHOWN)
    assert [*SHOWN, *JUDGED] == list(SUITES)


def test_the_page_on_judgement_holds_the_kept_results():
    page = JUDGEMENT.read_text(encoding="utf-8")
    assert rewrite(page, [result for suite in JUDGED if (result := load(suite)) is not None]) == page


def test_a_row_that_shares_no_figure_with_the_one_before_begins_a_new_table():
    rows = [
        Row(name="a", figures={"p50_s": 1.0}),
        Row(name="b", figures={"p50_s": 2.0}),
        Row(name="c", figures={"tasks": 3.0}),
    ]
    page = render(Result(suite="x", quick=False, rounds=1, rows=rows))
    assert page.count("| --- |") == 2
    assert "| c | 3.00 |" in page
