"""`emberwatch notify`: does a channel reach anyone?"""

from typing import Annotated

import typer

from console.commands.opening import Config
from console.exits import EXIT_CODES, Commands, ExitCode

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Try the ways by which people are told.",
    epilog=f"""\b
Example:
  emberwatch notify test --to costs --config emberwatch.yaml

{EXIT_CODES}""",
)


@app.callback()
def group() -> None:
    """Try the ways by which people are told."""


@app.command(
    "test",
    epilog=f"""\b
Example:
  emberwatch notify test --to costs --config emberwatch.yaml
  emberwatch notify test --to costs --dry-run --config emberwatch.yaml     print it, and send nothing

A made-up incident is told to one channel, at once and past the outbox, and then its end, so that nothing stays open.
What the channel answered is printed; anything but `delivered` ends with 1.

{EXIT_CODES}""",
)
def try_one(
    config: Config,
    to: Annotated[str, typer.Option("--to", help="Name of the channel, as in the config.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be said, and send nothing.")] = False,
) -> None:
    """Tell one channel of a made-up incident and of its end, and print what it answered."""
    from alerts.channels.rendering import render
    from alerts.notices import Outcome
    from console import assemble
    from console.commands.printing import terminal
    from console.settings import load_settings
    from console.trial import trial_notices
    from console.ways import channels

    settings = load_settings(config)
    wanted = settings.console
    link = str(wanted.public_url or f"http://{wanted.host}:{wanted.port}").rstrip("/")
    ways = channels(settings, terminal(), link)
    if to not in ways:
        raise typer.BadParameter(f"{to!r} is not one of {', '.join(ways)}", param_hint="--to")
    reference: str | None = None
    for notice in trial_notices(to, assemble.now_utc()):
        if dry_run:
            typer.echo(render(notice, link).text + "\n")
            continue
        receipt = ways[to].send(notice, reference)
        reference = receipt.reference
        typer.echo(f"{notice.step}: {receipt.outcome}{': ' + receipt.detail if receipt.detail else ''}")
        if receipt.outcome is not Outcome.DELIVERED:
            raise typer.Exit(ExitCode.FAILURE)
