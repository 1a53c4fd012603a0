"""`emberwatch replay`."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from console.exits import EXIT_CODES, ExitCode

EPILOG = f"""\b
Examples:
  emberwatch replay events/*.jsonl.gz --config emberwatch.yaml --out out
  zcat day.jsonl.gz | emberwatch replay - --config emberwatch.yaml --out out --until 2026-01-30T12:00:00Z

Writes incidents.jsonl, notifications.jsonl, actions.jsonl, spend.csv, forecasts.jsonl and rejects.jsonl.

{EXIT_CODES}"""


def replay(
    events: Annotated[
        list[str], typer.Argument(metavar="EVENTS", help="Event files (.jsonl, .jsonl.gz), or - for standard input.")
    ],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The config file.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; made if it is not there.")] = Path(
        "out"
    ),
    speed: Annotated[
        str, typer.Option("--speed", metavar="max|N", help="As fast as it goes, or N event seconds a second.")
    ] = "max",
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Stop at this event time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, for programs.")] = False,
) -> None:
    """Run event files through the whole service, on the events' own time, and write down what it would have said.

    Nobody is told and nothing is stopped. No Kafka, no database server, no network. The same input and config give the
    same output, byte for byte.
    """
    from console.assemble import forecast_duty, pipelines, router, scale_down_policy
    from console.settings import load_settings
    from store.store import Store
    from streams.arrivals import records
    from streams.replay import Replay
    from streams.scale_down_duty import ScaleDownDuty

    settings = load_settings(config)
    missing = [name for name in events if name != "-" and not Path(name).is_file()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}", param_hint="EVENTS")
    rate = None if speed == "max" else _rate(speed)
    end = None if until is None else moment_of(until, "--until")
    _make(out)
    quiet()
    route = router(settings)
    store = Store.open("sqlite://")
    try:
        run = Replay(
            store,
            pipelines(settings, route, store)(0),
            forecast_duty(settings, store, route, "replay", None),
            ScaleDownDuty(store, scale_down_policy(settings), route),
        )
        with _Bar(enabled=sys.stderr.isatty()) as bar:
            run.run(records(events), until=end, speed=rate, progress=bar.show)
        summary = run.write(out)
    except (OSError, EOFError) as error:
        typer.echo(f"cannot read the events: {error}", err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    finally:
        store.close()
    data = structs.asdict(summary) | {"out": str(out)}
    if as_json:
        typer.echo(json.dumps(data, default=str))
        return
    from alerts.wording import moment, money

    rate_s = summary.records / summary.wall_s if summary.wall_s else 0.0
    if summary.first_at is None or summary.last_at is None:
        typer.echo("$0 spent: there was no event")
    else:
        typer.echo(f"{money(summary.usd)} spent, {moment(summary.first_at)} to {moment(summary.last_at)}")
    found = (
        (summary.incidents, "incident"),
        (summary.notifications, "notification"),
        (summary.actions, "action step"),
    )
    typer.echo(", ".join(_counted(*pair) for pair in found))
    odd = ((summary.rejects, "set aside"), (summary.duplicates, "met twice"), (summary.late, "late"))
    said = "".join(f", {number:,} {what}" for number, what in odd if number)
    typer.echo(f"{_counted(summary.events, 'event')} in {_counted(summary.records, 'message')}{said}")
    typer.echo(f"written to {out}/ in {summary.wall_s:.1f} s ({rate_s:,.0f} messages a second)")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class _Bar:
    """How far the events have come, on standard error; nothing where that is no terminal."""

    def __init__(self, *, enabled: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not enabled,
            transient=True,
        )
        self._task = self._progress.add_task("reading", total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, number: int, at: datetime) -> None:
        """So many messages taken, the stream's clock at `at`."""
        self._progress.update(self._task, description=f"{number:,} messages, {at:%Y-%m-%d %H:%M} UTC")


def _make(out: Path) -> None:
    """The folder, before the long work, so that it is not in vain."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "incidents.jsonl").touch()
    except OSError as error:
        typer.echo(f"cannot write to {out}: {error.strerror}; choose another --out", err=True)
        raise typer.Exit(ExitCode.FAILURE) from None


def quiet() -> None:
    """A replay says what it did in its files; its log is for warnings."""
    from console.logging import configure_logging

    configure_logging("warning", "console")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e9:
        raise typer.BadParameter(f"max, or a number of event seconds a second; got {text!r}", param_hint="--speed")
    return rate


def moment_of(text: str, option: str) -> datetime:
    """The moment that an option names. Raises BadParameter for what is none, or has no offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"an RFC 3339 time such as 2026-01-30T12:00:00Z; got {text!r}", param_hint=option
        ) from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"a time with its offset, such as {text}Z; got {text!r}", param_hint=option)
    return at
