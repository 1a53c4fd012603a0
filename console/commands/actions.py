"""`emberwatch actions`: the scale-downs, and the switch that stops them all."""

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins

from console.commands.opening import AsJson, Config, opened_store
from console.commands.stop_tables import print_stops
from console.exits import EXIT_CODES, ListFirst

if TYPE_CHECKING:
    from store.actions import Pause

app = typer.Typer(
    cls=ListFirst,
    rich_markup_mode=None,
    help="Scale-downs: list them (the default), stop them all at once, let them go on.",
    epilog=f"""\b
Examples:
  emberwatch actions --config emberwatch.yaml
  emberwatch actions pause --by ana --config emberwatch.yaml     nothing is stopped from now on
  emberwatch actions resume --by ana --config emberwatch.yaml
  emberwatch actions regret --config emberwatch.yaml             what mode auto would have stopped

{EXIT_CODES}""",
)
By = Annotated[str | None, typer.Option("--by", help="Who says so; default: this machine's user.")]


@app.command(
    "list",
    epilog=f"""\b
Example:
  emberwatch actions list --config emberwatch.yaml --limit 20

{EXIT_CODES}""",
)
def show_list(
    config: Config,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List scale-downs with their latest step, the newest first, and say whether they are paused."""
    from alerts.scale_down_words import waiting_in_words
    from alerts.titles import place
    from alerts.wording import clean, moment, per_hour
    from console.commands.printing import echo_json, table, terminal
    from console.settings import load_settings

    with opened_store(load_settings(config)) as store:
        pause, found = store.pause(), store.list_actions(limit)
    if as_json:
        echo_json({"pause": pause, "actions": found})
        return
    if pause.paused:
        typer.echo(f"{_said(pause)}\n")
    if not found:
        typer.echo("No scale-down was ever considered.")
        return
    rows = table(("SAVES", "right"), ("STEP", "left"), ("MODE", "left"), ("WORKLOAD", "wrap"), ("AT", "left"))
    for one in found:
        by = f", by {clean(one.approved_by, 40)}" if one.approved_by else ""
        why = one.reason.replace("_", " ")
        waits = f"; waits because {waiting_in_words(one)}" if one.waiting else ""
        what = f"{place(one.workload)} ({one.action_id}; {why}{by}{waits})"
        rows.add_row(per_hour(one.usd_per_hour), str(one.step), str(one.mode), what, moment(one.at))
    terminal().print(rows)


@app.command(
    epilog=f"""\b
Examples:
  emberwatch actions regret --config emberwatch.yaml
  emberwatch actions regret --days 90 --json --config emberwatch.yaml

In mode observe, what mode auto would have stopped by its own rules is written down, and looked at again: where work
came back within 30 minutes, the stop would have been regretted. What only a limit would have held back is counted
apart.

{EXIT_CODES}"""
)
def regret(
    config: Config,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Of so many days until now.")] = 28,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="List at most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what mode auto would have stopped while it was only observed, and how often that would have been wrong."""
    from datetime import timedelta

    from alerts.regret import sum_up
    from console import assemble
    from console.commands.printing import echo_json
    from console.settings import load_settings

    now = assemble.now_utc()
    with opened_store(load_settings(config)) as store:
        stops = store.would_stops_between(now - timedelta(days=days), now + timedelta(hours=1))
    if as_json:
        newest = stops[: -limit - 1 : -1]
        shown = [{**to_builtins(one), "would_have_saved_usd": one.would_have_saved_usd} for one in newest]
        echo_json({"days": days, "regret": sum_up(stops), "stops": shown})
        return
    if not stops:
        typer.echo(f"Mode auto would have stopped nothing in the last {days} days (or the mode was not observe).")
        return
    print_stops(stops, limit)


@app.command(
    epilog=f"""\b
Example:
  emberwatch actions pause --by ana --config emberwatch.yaml

Watching and telling go on. A request that has already gone to its receiver is not called back.

{EXIT_CODES}"""
)
def pause(config: Config, by: By = None, as_json: AsJson = False) -> None:
    """Stop all scale-downs at once, whatever the config allows, until `resume`."""
    _switch(config, by, as_json, paused=True)


@app.command(
    epilog=f"""\b
Example:
  emberwatch actions resume --by ana --config emberwatch.yaml

It also resets the breaker, which pauses by itself when suspiciously much turns idle at once: look at why first.

{EXIT_CODES}"""
)
def resume(config: Config, by: By = None, as_json: AsJson = False) -> None:
    """Let scale-downs go on, as far as the config allows."""
    _switch(config, by, as_json, paused=False)


def _switch(config: Config, by: str | None, as_json: bool, *, paused: bool) -> None:
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.settings import load_settings

    with opened_store(load_settings(config)) as store:
        changed = store.pause().paused is not paused
        if changed:
            store.set_paused(paused, by or user(), assemble.now_utc())
        now = store.pause()
    if as_json:
        echo_json({"changed": changed, "pause": now})
    else:
        typer.echo(_said(now) + ("" if changed else " (before; nothing was changed)"))


def _said(pause: "Pause") -> str:
    from alerts.wording import clean, moment

    who = "" if pause.at is None else f", by {clean(pause.by or 'someone', 80)} at {moment(pause.at)}"
    return f"Scale-downs are paused{who}." if pause.paused else f"Scale-downs are not paused{who}."
