"""How what mode auto would have stopped is printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from alerts.would_stop import WouldStop


def print_stops(stops: "Sequence[WouldStop]", limit: int) -> None:
    """The sums in words, and the newest of them in a table."""
    from alerts.figures import usd
    from alerts.regret import in_words, sum_up
    from alerts.titles import place
    from alerts.wording import moment, per_hour
    from console.commands.printing import table, terminal

    for line in in_words(sum_up(stops)):
        typer.echo(line)
    typer.echo("")
    rows = table(
        ("SAVES", "right"), ("SAVED", "right"), ("30 MIN LATER", "left"), ("WORKLOAD", "wrap"), ("WOULD STOP", "left")
    )
    for stop in stops[: -limit - 1 : -1]:
        held = f" (only {stop.held_back.replace('_', ' ')} against it)" if stop.held_back else ""
        later = str(stop.outcome).replace("_", " ")
        rows.add_row(
            per_hour(stop.usd_per_hour), usd(stop.would_have_saved_usd), later, place(stop.workload) + held,
            moment(stop.at),
        )  # fmt: skip
    terminal().print(rows)
    if len(stops) > limit:
        typer.echo(f"only the newest {limit} are shown; --limit shows more", err=True)
