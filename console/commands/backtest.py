"""`emberwatch backtest`: what a policy would have said of the past, before it is switched on."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from alerts.policy_comparison import Judged
    from console.settings import Settings

EPILOG = f"""\b
Examples:
  emberwatch backtest --config new.yaml --events day1.jsonl.gz day2.jsonl.gz
  emberwatch backtest --config new.yaml --against emberwatch.yaml --events events/*.jsonl.gz --json
  emberwatch backtest --config new.yaml --against emberwatch.yaml --from-store

Events go through the whole service twice, once under each policy: nobody is told, nothing is stopped, no store is
written to. Without --against the current policy is /etc/emberwatch/config.yaml where that is, else the built-in one
with the prices, budgets and owners of --config.

--from-store takes the history that the store of --against keeps: spend by hour and what was found. Severity, routes,
budgets and scale-down are judged anew then; detection is not, since single events are not kept.

{EXIT_CODES}"""


def backtest(
    config: Annotated[Path, typer.Option("--config", "-c", help="The new policy: a config file.")],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILES]...", help="More event files, after --events.")
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option("--events", metavar="FILES", help="Event files (.jsonl, .jsonl.gz).")
    ] = None,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="The history that the store keeps, instead of events.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="CURRENT", help="The current policy: a config file.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Count from here on; what is before only teaches.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Stop at this event time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what a policy would have said and stopped of the past, beside the current policy."""
    from alerts.policy_comparison import compare
    from alerts.policy_comparison import since as later
    from console.backtest import INSTALLED, built_in
    from console.commands.backtest_tables import as_data, print_comparison
    from console.commands.replay import moment_of, quiet
    from console.sealed import sealed_settings

    paths = [*(events or ()), *(files or ())]
    if bool(paths) is from_store:
        raise typer.BadParameter("give either --events FILES or --from-store", param_hint="--events")
    start = None if since is None else moment_of(since, "--since")
    end = None if until is None else moment_of(until, "--until")
    new = sealed_settings(config)
    if against is None and INSTALLED.is_file():
        against = INSTALLED
    current = built_in(new) if against is None else sealed_settings(against)
    names = (str(config), "built-in policy" if against is None else str(against))
    quiet()
    if from_store:
        judged, history = _of_store((new, current), names, against or config, end)
    else:
        judged, history = _of_events((new, current), names, paths, end)
    comparison = compare(*(later(one, start) for one in judged))
    if as_json:
        from console.commands.printing import echo_json

        echo_json(as_data(comparison, history))
    else:
        print_comparison(comparison, history)


def _of_events(
    policies: "tuple[Settings, Settings]", names: tuple[str, str], paths: list[str], until: datetime | None
) -> "tuple[list[Judged], dict[str, object]]":
    from console.backtest import replayed
    from console.commands.backtest_progress import Bar, size_of
    from store.errors import StoreError
    from streams.arrivals import records

    if "-" in paths:
        raise typer.BadParameter(
            "events are read once for each policy, and standard input can be read only once: save them to a file first",
            param_hint="--events",
        )
    missing = [name for name in paths if not Path(name).is_file()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}", param_hint="--events")
    judged = []
    try:
        with Bar(2 * sum(map(size_of, paths))) as bar:
            for settings, name in zip(policies, names, strict=True):
                bar.begin(name)
                found, summary = replayed(settings, name, bar.counted(records(paths)), until=until, progress=bar.show)
                judged.append(found)
    except (OSError, EOFError, StoreError) as error:
        typer.echo(f"the backtest can't go on: {error}", err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    if summary.first_at is None:
        typer.echo("there was no event in the files", err=True)
        raise typer.Exit(ExitCode.FAILURE)
    history = {
        "from": "events", "first_at": summary.first_at, "last_at": summary.last_at, "events": summary.events,
        "rejects": summary.rejects, "not_replayed": [],
    }  # fmt: skip
    return judged, history


def _of_store(
    policies: "tuple[Settings, Settings]", names: tuple[str, str], keeper: Path, until: datetime | None
) -> "tuple[list[Judged], dict[str, object]]":
    from console.backtest import NothingKept, beyond_history, remembered
    from console.commands.backtest_progress import Bar
    from console.commands.opening import opened_store
    from console.settings import load_settings

    judged = []
    with opened_store(load_settings(keeper)) as source, Bar(2 * 1000) as bar:
        try:
            for number, (settings, name) in enumerate(zip(policies, names, strict=True)):
                bar.begin(name)
                found, history = remembered(settings, name, source, until=until, progress=bar.share_of(number))
                judged.append(found)
        except NothingKept as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(ExitCode.FAILURE) from None
    return judged, {"from": "store", **history, "not_replayed": beyond_history(*policies)}
