"""`emberwatch score`: the streaming anomaly score on plain series in CSV files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, ExitCode

EPILOG = f"""\b
Examples:
  emberwatch score latency.csv --out scores
  emberwatch score *.csv --out scores --json

\b
In:   timestamp,value     any sampling interval, the oldest row first; an empty value is unknown
Out:  timestamp,score     0 to 1, an alarm at 0.5 or more; a row for each row, a file of the same name for each input

One pass: a score depends on nothing but its row and those before it. Times without an offset are UTC.

{EXIT_CODES}"""


def score(
    series: Annotated[list[Path], typer.Argument(metavar="SERIES.csv", help="Files to score.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; made if it is not there.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the files written as JSON, for programs.")] = False,
) -> None:
    """Score each value of a series by how unlike its own past it is, by what was known at that time.

    Try it on your own data before you connect anything. Needs no config, and sends nothing anywhere.
    """
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from console.score_door import score_csv
    from console.series_csv import SeriesError

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    task = bar.add_task("scoring", total=len(series))
    try:
        with bar:
            written = score_csv(
                series, out, lambda path: bar.advance(task), lambda text: typer.echo(f"note: {text}", err=True)
            )
    except SeriesError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    if as_json:
        typer.echo(json.dumps({"written": [str(path) for path in written]}))
    else:
        typer.echo(f"{len(written)} scored series written to {out}/")
