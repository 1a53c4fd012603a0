"""How a backtest is printed: money first, the new policy beside the current one."""

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerts.policy_comparison import Comparison, Difference

MOST_LINES = 10


def as_data(comparison: "Comparison", history: dict[str, object]) -> dict[str, Any]:
    """Everything, for programs."""
    from msgspec import to_builtins

    data: dict[str, Any] = to_builtins(comparison)
    data["stops"] = [{**to_builtins(one), "would_have_saved_usd": one.would_have_saved_usd} for one in comparison.stops]
    return {"history": history, **data}


def print_comparison(comparison: "Comparison", history: dict[str, object]) -> None:
    """Everything, for people."""
    from alerts.regret import in_words
    from alerts.wording import moment
    from console.commands.stop_tables import print_stops

    number, noun = (history["events"], "events") if "events" in history else (history["hours"], "hours of the store")
    counted = f", {number:,} {noun}"
    typer.echo(f"{moment(history['first_at'])} to {moment(history['last_at'])}{counted}")  # type: ignore[arg-type]
    typer.echo(f"NEW is {comparison.new.name}, CURRENT is {comparison.current.name}")
    for note in history.get("not_replayed", ()):  # type: ignore[attr-defined]
        typer.echo(f"not judged anew: {note}")
    typer.echo("")
    _print_sums(comparison)
    _print_kinds(comparison)
    _print_weeks(comparison)
    _print_differences("Told by the current policy and missed by the new one", comparison.missed)
    _print_differences("Told by the new policy alone", comparison.gained)
    typer.echo("\nWhat the new policy would have stopped in mode auto:")
    if comparison.stops:
        print_stops(comparison.stops, MOST_LINES)
    else:
        typer.echo("nothing")
    before = in_words(comparison.current.regret)
    typer.echo(f"The current policy: {' '.join(before) if before else 'nothing.'}")


def _print_sums(comparison: "Comparison") -> None:
    from alerts.figures import usd
    from console.commands.printing import table, terminal

    new, current = comparison.new, comparison.current
    rows = table(("", "left"), ("NEW", "right"), ("CURRENT", "right"))
    rows.add_row("told of (dollars gone while it lasted)", usd(new.caught_usd), usd(current.caught_usd))
    rows.add_row("missed: the other policy alone tells of it", usd(comparison.missed_usd), usd(comparison.gained_usd))
    rows.add_row("only recorded", usd(new.recorded_usd), usd(current.recorded_usd))
    rows.add_row("alerts", f"{new.alerts:,}", f"{current.alerts:,}")
    rows.add_row("of them pages", f"{new.pages:,}", f"{current.pages:,}")
    rows.add_row("most pages in 12 h", f"{new.most_pages_in_12_h}", f"{current.most_pages_in_12_h}")
    for channel in sorted({*new.messages, *current.messages}):
        sent = (f"{one.messages.get(channel, 0):,}" for one in (new, current))
        rows.add_row(f"messages to {channel}", *sent)
    terminal().print(rows)


def _print_kinds(comparison: "Comparison") -> None:
    from alerts.figures import usd
    from console.commands.printing import table, terminal

    typer.echo("\nAlerts by kind (pages):")
    new = {one.kind: one for one in comparison.new.kinds}
    current = {one.kind: one for one in comparison.current.kinds}
    rows = table(("KIND", "left"), ("NEW", "right"), ("", "right"), ("CURRENT", "right"), ("", "right"))
    for kind in sorted({*new, *current}):
        cells: list[str] = []
        for one in (new.get(kind), current.get(kind)):
            cells += ["0", ""] if one is None else [f"{one.alerts:,} ({one.pages:,})", usd(one.usd)]
        rows.add_row(kind.replace("_", " "), *cells)
    terminal().print(rows)


def _print_weeks(comparison: "Comparison") -> None:
    from alerts.figures import usd
    from console.commands.printing import table, terminal

    typer.echo("\nAlerts by week (pages), messages and dollars:")
    new = {one.week: one for one in comparison.new.weeks}
    current = {one.week: one for one in comparison.current.weeks}
    rows = table(
        ("WEEK", "left"),
        *(("NEW", "right"), ("MESSAGES", "right"), ("", "right")),
        *(("CURRENT", "right"), ("MESSAGES", "right"), ("", "right")),
    )
    for week in sorted({*new, *current}):
        cells: list[str] = []
        for one in (new.get(week), current.get(week)):
            told = [] if one is None else [f"{sum(one.alerts.values())} ({one.pages})", str(one.messages), usd(one.usd)]
            cells += told or ["0", "0", ""]
        rows.add_row(week, *cells)
    terminal().print(rows)


def _print_differences(heading: str, differences: "Sequence[Difference]") -> None:
    from alerts.figures import usd
    from alerts.titles import place
    from alerts.wording import clean, moment
    from console.commands.printing import table, terminal

    if not differences:
        return
    typer.echo(f"\n{heading} ({len(differences)}):")
    rows = table(("DOLLARS", "right"), ("KIND", "left"), ("WHAT", "wrap"), ("SEVERITY", "left"), ("DETECTED", "left"))
    for one in differences[:MOST_LINES]:
        what = place(one.subject) if one.kind not in ("budget", "data_gap") else clean(one.subject, 120)
        rows.add_row(
            usd(one.usd), one.kind.replace("_", " "), f"{what} ({one.cause.replace('_', ' ')}; other: {one.other})",
            one.severity, moment(one.detected_at),
        )  # fmt: skip
    terminal().print(rows)
    if len(differences) > MOST_LINES:
        typer.echo(f"and {len(differences) - MOST_LINES} more; --json has them all")
