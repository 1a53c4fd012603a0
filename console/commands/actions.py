"""`emberwatch actions`: the scale-downs, and the switch that stops them all."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from msgspec import to_builtins

from console.commands.opening import AsJson, Config, opened_store
from console.commands.stop_tables import print_stops
from console.exits import EXIT_CODES, ExitCode, ListFirst

if TYPE_CHECKING:
    from store.actions import Pause

Decision = Literal["approve", "keep", "undo"]

app = typer.Typer(
    cls=ListFirst,
    rich_markup_mode=None,
    help="Scale-downs: list them (the default), decide on one, stop them all at once, let them go on.",
    epilog=f"""\b
Examples:
  emberwatch actions --config emberwatch.yaml
  emberwatch actions pause --by ana --config emberwatch.yaml     nothing is stopped from now on
  emberwatch actions resume --by ana --config emberwatch.yaml
  emberwatch actions regret --config emberwatch.yaml             what mode auto would have stopped
  emberwatch actions keep act_k6hth33dtzczmwps --by ana --config emberwatch.yaml
  emberwatch actions undo act_k6hth33dtzczmwps --by ana --config emberwatch.yaml

{EXIT_CODES}""",
)
ActionId = Annotated[str, typer.Argument(metavar="ACTION", help="The action's id, as `actions list` shows it.")]
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


@app.command(
    epilog=f"""\b
Example:
  emberwatch actions approve act_k6hth33dtzczmwps --by ana --config emberwatch.yaml

Only what is proposed can be approved. Every rule is asked once more before anything is stopped.

{EXIT_CODES}"""
)
def approve(config: Config, action_id: ActionId, by: By = None, as_json: AsJson = False) -> None:
    """Let a proposed scale-down be carried out."""
    _decide(config, action_id, "approve", by, as_json)


@app.command(
    epilog=f"""\b
Example:
  emberwatch actions keep act_k6hth33dtzczmwps --by ana --config emberwatch.yaml

It holds for a day, whatever incidents the workload has meanwhile.

{EXIT_CODES}"""
)
def keep(config: Config, action_id: ActionId, by: By = None, as_json: AsJson = False) -> None:
    """Keep a workload running that was to be stopped."""
    _decide(config, action_id, "keep", by, as_json)


@app.command(
    epilog=f"""\b
Example:
  emberwatch actions undo act_k6hth33dtzczmwps --by ana --config emberwatch.yaml

The target is asked to bring it back, paused or not; for a day it is not stopped again.

{EXIT_CODES}"""
)
def undo(config: Config, action_id: ActionId, by: By = None, as_json: AsJson = False) -> None:
    """Bring back what was stopped."""
    _decide(config, action_id, "undo", by, as_json)


def _decide(config: Path, action_id: str, what: Decision, by: str | None, as_json: bool) -> None:
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.control import StoreControls
    from console.settings import load_settings

    settings = load_settings(config)
    policy = assemble.scale_down_policy(settings)
    with opened_store(settings) as store:
        controls = StoreControls(store, assemble.router(settings), policy, assemble.now_utc)
        before = store.action(action_id)
        if before is None:
            typer.echo(f"there is no action {action_id[:80]!r}; `emberwatch actions list` shows them", err=True)
            raise typer.Exit(ExitCode.FAILURE)
        if not getattr(controls, what)(action_id, by or user()):
            typer.echo(f"{action_id} is {before.step} in mode {before.mode}: {_CAN[what]}", err=True)
            raise typer.Exit(ExitCode.REFUSED)
        after = store.action(action_id)
    if as_json:
        echo_json({"action": after})
    else:
        typer.echo(f"{action_id} is now {after.step if after else 'gone'}.")


_CAN: dict[Decision, str] = {
    "approve": "only what is proposed to people can be approved",
    "keep": "only what is not executed yet can be kept from it",
    "undo": "only what was executed can be undone",
}


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
