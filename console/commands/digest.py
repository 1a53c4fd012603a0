"""`emberwatch digest`: the week's report on standard output, and out to people where that is asked for."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from console.commands.opening import AsJson, Config, opened_store
from console.exits import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from alerts.digest import Digest
    from alerts.week import Week
    from streams.digest_duty import DigestDuty

EPILOG = f"""\b
Examples:
  emberwatch digest --config emberwatch.yaml                      the latest week that is due
  emberwatch digest --config emberwatch.yaml --week 2026-W05
  emberwatch digest --config emberwatch.yaml --html > week.html
  emberwatch digest --config emberwatch.yaml --send               to the channels of digest.to, once a week

--send puts the digest into the outbox; the running service delivers it. A week is told once, by whoever comes
first: the service when it is due, or this command. It is refused (5) where the config names no channel, while the
week lasts, and when it was due more than six days ago.

{EXIT_CODES}"""


def digest(
    config: Config,
    week: Annotated[
        str | None, typer.Option("--week", metavar="YYYY-Www", help="An ISO week; default: the latest that is due.")
    ] = None,
    as_html: Annotated[bool, typer.Option("--html", help="Print the page that a mail shows.")] = False,
    as_json: AsJson = False,
    send: Annotated[bool, typer.Option("--send", help="Also send it, unless that week was sent.")] = False,
) -> None:
    """Print what a week cost, what was wasted and what became of it, from the store.

    The figures are those of the store as it is now: a week that was sent earlier may since have been corrected.
    """
    from alerts.digest_html import html
    from alerts.digest_text import text
    from console import assemble
    from console.commands.printing import echo_json
    from console.logging import configure_logging
    from console.settings import load_settings

    if as_html and as_json:
        raise typer.BadParameter("--html or --json, not both", param_hint="--html")
    settings = load_settings(config)
    configure_logging("warning", "console")
    with opened_store(settings) as store:
        duty, now = assemble.digest_duty(settings, store), assemble.now_utc()
        try:
            wanted = duty.latest_week(now) if week is None else duty.week(week)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--week") from None
        made = duty.compose(duty.so_far(wanted, now))
        first = store.first_hour()
        if wanted.end > now:
            typer.echo(f"{wanted.label} is not over yet: these are the figures so far", err=True)
        elif first is None or first >= wanted.end:
            typer.echo(f"the store holds no spend before the end of {wanted.label}", err=True)
        if as_json:
            echo_json({"title": made.title, **structs.asdict(made)})
        else:
            typer.echo(html(made) if as_html else text(made), nl=False)
        if send:
            _send(duty, wanted, made, now, spent=first is not None and first < wanted.end)


def _send(duty: "DigestDuty", week: "Week", digest: "Digest", now: datetime, *, spent: bool) -> None:
    refusal = None
    if not duty.channels:
        refusal = "digest.to names no channel in the config (or digest.enabled is false)"
    elif week.end > now:
        refusal = f"{week.label} is not over yet"
    elif not spent:
        refusal = f"there is nothing to tell of {week.label}"
    elif duty.too_old(week, now):
        refusal = f"the digest of {week.label} was due on {week.due_at:%Y-%m-%d}, and is no news any more"
    if refusal is not None:
        typer.echo(f"not sent: {refusal}", err=True)
        raise typer.Exit(ExitCode.REFUSED)
    names = ", ".join(duty.channels)
    if duty.send(digest):
        typer.echo(f"{week.label} is in the outbox for {names}; the running service delivers it", err=True)
    else:
        typer.echo(f"{week.label} was already sent to {names}; nothing was sent now", err=True)
