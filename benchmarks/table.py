"""Writes the tables of docs/ anew from the results: `python -m benchmarks.table`."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Result, Row, Verdict, load

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
SUITES = ("ingest", "envelopes", "decode", "scale", "workers", "latency", "recovery", "profile")
JUDGED = ("forecast",)
JUDGEMENT = PAGE.with_name("judgement.md")
HEADINGS = {
    "ratio": "ratio",
    "core_ratio": "ratio per core",
    "events_per_s": "events/s",
    "events_per_cpu_s": "events per CPU second",
    "events_per_s_from_start": "events/s from process start",
    "samples_per_s": "samples/s",
    "samples_per_cpu_s": "samples per CPU second",
    "rss_mib": "peak RSS, MiB",
    "new_us_per_event": "first sight, µs/event",
    "us_per_event": "µs/event",
    "snapshot_mib": "snapshot, MiB",
    "snapshot_s": "snapshot, s",
    "changes_mib": "its changes, MiB",
    "changes_s": "its changes, s",
    "incidents": "incidents",
    "p50_s": "p50, s",
    "p95_s": "p95, s",
    "p99_s": "p99, s",
    "sent_per_s": "events/s sent",
    "first_event_s": "first event after kill -9, s",
    "caught_up_s": "backlog caught up, s",
    "hour_s": "an hour's backlog at 5,000/s, s",
    "self_share": "own time",
    "total_share": "with callees",
    "wall_s": "s",
    "cpu_s": "processor s",
    "tasks": "tasks",
    "rel_mae": "relative error, last day",
    "rel_mae_week": "relative error, last week",
    "cover80": "80 % covers",
    "cover95": "95 % covers",
    "cover80_1h": "80 %, next hour",
    "cover80_24h": "80 %, first day",
    "cover80_7d": "80 %, day 4 to 7",
    "wape_24h": "24 h, error",
    "naive_24h": "last day again",
    "inside80_24h": "80 % covers 24 h",
    "wape_7d": "7 d, error",
    "naive_7d": "last day again, 7 d",
    "inside80_7d": "80 % covers 7 d",
    "month_wape": "mid-month, error of the month",
    "month_naive": "last day again, month",
    "month_median": "mid-month, median error",
}
SHARES = frozenset({"self_share", "total_share"})


def render(result: Result) -> str:
    """The tables of one suite in Markdown, without the markers."""
    quick = " Quick run: for a look, not for quoting." if result.quick else ""
    said = f"Medians of {result.rounds} runs" if result.rounds > 1 else "One run"
    lines = [f"{said}, {result.cores} cores, Python {result.python}.{quick}", "", *_rows(result.rows)]
    if result.verdicts:
        lines += ["", "| aim | wanted | reached | |", "| --- | --- | --- | --- |", *map(_verdict, result.verdicts)]
    return "\n".join([*lines, *(["", *(f"- {note}" for note in result.notes)] if result.notes else [])])


def rewrite(page: str, results: Sequence[Result]) -> str:
    """The page with each result between its markers. Raises ValueError where a pair of markers is missing."""
    for result in results:
        begin, end = (f"<!-- {result.suite}: {word} -->" for word in ("begin", "end"))
        found = re.search(f"{re.escape(begin)}\n.*?{re.escape(end)}", page, re.DOTALL)
        if found is None:
            raise ValueError(f"the page lacks {begin} and {end}")
        page = f"{page[: found.start()]}{begin}\n{render(result)}\n{end}{page[found.end() :]}"
    return page


def number(name: str, value: float) -> str:
    """A figure as a person reads it."""
    if name in SHARES:
        return f"{value * 100:.1f} %"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _rows(rows: Sequence[Row]) -> list[str]:
    """One table, and a new one where a row has no figure of the row before."""
    lines: list[str] = []
    begin = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place].figures.keys().isdisjoint(rows[place - 1].figures):
            lines += [*([""] if lines else []), *_table(rows[begin:place])]
            begin = place
    return lines


def _table(rows: Sequence[Row]) -> list[str]:
    present = {name for row in rows for name in row.figures}
    names = [name for name in HEADINGS if name in present]
    lines = [f"| | {' | '.join(HEADINGS[name] for name in names)} |", "| --- |" + " --- |" * len(names)]
    for row in rows:
        cells = [number(name, row.figures[name]) if name in row.figures else "-" for name in names]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return lines


def _verdict(verdict: Verdict) -> str:
    bound = "at most" if verdict.at_most else "at least"
    got = "not measured" if verdict.got is None else number("", verdict.got)
    return (
        f"| {verdict.aim} | {bound} {number('', verdict.wanted)} | {got} | {'reached' if verdict.met else 'missed'} |"
    )


def main() -> None:
    for page, suites in ((PAGE, SUITES), (JUDGEMENT, JUDGED)):
        results = [result for suite in suites if (result := load(suite)) is not None]
        page.write_text(rewrite(page.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
