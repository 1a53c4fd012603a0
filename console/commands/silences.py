"""`emberwatch silences`: what is not to be told, for a time."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.opening import AsJson, Config, opened_store
from console.exits import EXIT_CODES, ExitCode, ListFirst

if TYPE_CHECKING:
    from alerts.silences import Silence

app = typer.Typer(
    cls=ListFirst,
    rich_markup_mode=None,
    help="Silences and maintenance windows: list them (the default), add one, end one.",
    epilog=f"""\b
Examples:
  emberwatch silences --config emberwatch.yaml
  emberwatch silences add 'team="search"' 'kind=~"idle|waste"' --for 2h --comment "load test" --config emberwatch.yaml
  emberwatch silences expire sil_k6hth33dtzczmwps --config emberwatch.yaml

{EXIT_CODES}""",
)
By = Annotated[str | None, typer.Option("--by", help="Who says so; default: this machine's user.")]


@app.command(
    "list",
    epilog=f"""\b
Example:
  emberwatch silences list --config emberwatch.yaml --all

{EXIT_CODES}""",
)
def show_list(
    config: Config,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is silenced, by whom and until when."""
    from alerts.wording import clean, moment
    from console import assemble
    from console.commands.printing import echo_json, table, terminal
    from console.settings import load_settings

    now = assemble.now_utc()
    with opened_store(load_settings(config)) as store:
        found = store.silences(None if every else now)
    if as_json:
        echo_json(found)
        return
    if not found:
        typer.echo("Nothing is silenced.")
        return
    rows = table(("STATE", "left"), ("NOT TOLD", "wrap"), ("UNTIL", "left"), ("BY", "left"), ("ID", "left"))
    for one in found:
        state = "over" if one.over(now) else "active" if one.active(now) else "waits"
        comes_back = f", every {timedelta(seconds=one.every_s)}" if one.every_s else ""
        why = f" ({clean(one.comment, 100)})" if one.comment else ""
        what = clean(", ".join(map(str, one.matchers)), 300) + comes_back + why
        rows.add_row(state, what, moment(one.expired_at or one.until), clean(one.created_by, 40), one.silence_id)
    terminal().print(rows)


@app.command(
    epilog=f"""\b
Examples:
  emberwatch silences add 'workload=~"lab/.*"' --for 2h --comment "load test" --config emberwatch.yaml
  emberwatch silences add 'cluster="prod-eu"' --from 2027-01-09T22:00:00Z --for 4h --config emberwatch.yaml
  emberwatch silences add 'cluster="prod-eu"' --from 2027-01-09T22:00:00Z --for 4h --every 7d \\
      --until 2027-06-30T00:00:00Z --config emberwatch.yaml

What is held back is kept with its reason and stands in the digest with its dollars; the end of what was told is told.

{EXIT_CODES}"""
)
def add(
    matchers: Annotated[list[str], typer.Argument(metavar="MATCHER...", help='Such as team="search"; all must hold.')],
    config: Config,
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 3d.")],
    start: Annotated[str | None, typer.Option("--from", help="A moment with an offset; default: now.")] = None,
    every: Annotated[str | None, typer.Option("--every", help="It comes back: 1d, 7d. Needs --until.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to when it comes back.")] = None,
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Silence what matches, or plan a maintenance window."""
    from alerts.matching import Matcher, MatcherError
    from alerts.silences import SilenceError, silence
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.settings import load_settings

    now = assemble.now_utc()
    begins = now if start is None else _moment(start, "--from")
    try:
        wanted = silence(
            [Matcher.parse(text) for text in matchers],
            starts_at=begins,
            ends_at=begins + duration(lasts, "--for"),
            every=None if every is None else duration(every, "--every"),
            until=None if until is None else _moment(until, "--until"),
            by=by or user(),
            now=now,
            comment=comment,
        )
    except (MatcherError, SilenceError) as error:
        raise typer.BadParameter(str(error)) from None
    with opened_store(load_settings(config)) as store:
        store.add_silence(wanted)
    if as_json:
        echo_json(wanted)
    else:
        typer.echo(f"{wanted.silence_id} silences {_said(wanted)}")


@app.command(
    epilog=f"""\b
Example:
  emberwatch silences expire sil_k6hth33dtzczmwps --config emberwatch.yaml

What is open still and was held back is told then. A second time changes nothing, and ends with 0.

{EXIT_CODES}"""
)
def expire(
    silence: Annotated[str, typer.Argument(metavar="ID", help="The silence's id, such as sil_k6hth33dtzczmwps.")],
    config: Config,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now."""
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.settings import load_settings

    with opened_store(load_settings(config)) as store:
        ended = store.expire_silence(silence, by or user(), assemble.now_utc())
    if ended is None:
        typer.echo(f"there is no silence {silence!r}; `emberwatch silences list --all` names them", err=True)
        raise typer.Exit(ExitCode.FAILURE)
    if as_json:
        echo_json(ended)
    else:
        typer.echo(f"{silence} is over")


def _said(one: "Silence") -> str:
    from alerts.wording import clean, moment

    return f"{clean(', '.join(map(str, one.matchers)), 300)} until {moment(one.until)}"


def duration(text: str, option: str) -> timedelta:
    """A duration as the config writes it. Raises BadParameter."""
    from pydantic import TypeAdapter, ValidationError

    from console.settings_types import Duration

    adapter: TypeAdapter[timedelta] = TypeAdapter(Duration)
    try:
        return adapter.validate_python(text)
    except ValidationError:
        raise typer.BadParameter(f"{text!r} is no duration such as 30m, 2h or 3d", param_hint=option) from None


def _moment(text: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is no moment with an offset such as 2027-01-09T22:00:00Z", param_hint=option
        )
    return at
