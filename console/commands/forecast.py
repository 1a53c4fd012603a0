"""`emberwatch forecast`: the service's own forecaster on plain series in CSV files."""

import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, ExitCode

EPILOG = f"""\b
Examples:
  emberwatch forecast spend.csv --out forecasts
  emberwatch forecast *.csv --out forecasts --at 2026-02-01T00:00:00Z --horizon 168h

\b
In:   timestamp,value                       any sampling interval; an empty value is unknown
Out:  timestamp,p025,p10,p50,p90,p975       one file for each input, with the same name

Nothing at or after --at is read. Times without an offset are UTC.

{EXIT_CODES}"""
_HORIZON = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?")


def forecast(
    series: Annotated[list[Path], typer.Argument(metavar="SERIES.csv", help="Files to go on with.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; made if it is not there.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Where the forecast begins; default: each series' end.")
    ] = None,
    horizon: Annotated[str, typer.Option(metavar="168h", help="How far it reaches: 90m, 168h, 28d.")] = "168h",
    as_json: Annotated[bool, typer.Option("--json", help="Print the files written as JSON, for programs.")] = False,
) -> None:
    """Go on with a series as the service would: the middle and four quantiles of each step to come.

    Try it on your own data before you connect anything. Needs no config, and sends nothing anywhere.
    """
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from console.forecast_door import forecast_csv
    from console.series_csv import SeriesError

    reach, moment = _horizon(horizon), None if at is None else _moment(at)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    task = bar.add_task("forecasting", total=len(series))
    try:
        with bar:
            written = forecast_csv(series, out, moment, reach, lambda path: bar.advance(task))
    except SeriesError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    if as_json:
        typer.echo(json.dumps({"written": [str(path) for path in written]}))
    else:
        typer.echo(f"{len(written)} forecast{'' if len(written) == 1 else 's'} written to {out}/")


def _horizon(text: str) -> timedelta:
    match = _HORIZON.fullmatch(text.strip())
    days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    reach = timedelta(days=days, hours=hours, minutes=minutes)
    if not reach or reach > timedelta(days=3660):
        raise typer.BadParameter(f"a span such as 90m, 168h or 28d; got {text!r}", param_hint="--horizon")
    return reach


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"a time such as 2026-02-01T00:00:00Z; got {text!r}", param_hint="--at") from None
