"""`emberwatch incidents`: what is wrong now, what was, and who looks after it."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from console.commands.opening import AsJson, Config, opened_store
from console.exits import EXIT_CODES, ExitCode, ListFirst

if TYPE_CHECKING:
    from pathlib import Path

    from alerts.incidents import Incident
    from alerts.scale_down import Action
    from store.store import Store

app = typer.Typer(
    cls=ListFirst,
    rich_markup_mode=None,
    help="Incidents: list them (the default), show one with its evidence, acknowledge one.",
    epilog=f"""\b
Examples:
  emberwatch incidents --config emberwatch.yaml
  emberwatch incidents show inc_wswqcajvrfpcew5o --config emberwatch.yaml
  emberwatch incidents ack inc_wswqcajvrfpcew5o --by ana --config emberwatch.yaml

{EXIT_CODES}""",
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The incident's id, such as inc_wswqcajvrfpcew5o.")]


class State(StrEnum):
    """Which incidents are meant."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


_STATES: "dict[State, Literal['open', 'resolved'] | None]" = {
    State.OPEN: "open",
    State.RESOLVED: "resolved",
    State.ALL: None,
}


class FailOn(StrEnum):
    """From which severity on a list ends with 1."""

    PAGE = "page"
    WARN = "warn"


@app.command(
    "list",
    epilog=f"""\b
Examples:
  emberwatch incidents list --config emberwatch.yaml
  emberwatch incidents list --config emberwatch.yaml --state all --kind idle --limit 20
  emberwatch incidents list --config emberwatch.yaml --fail-on page || echo "look at it now"

With --fail-on it ends with 1 while any incident of that severity or a louder one is open (of --kind, where that is
given), whatever --state and --limit show; page is louder than warn.

{EXIT_CODES}""",
)
def show_list(
    config: Config,
    state: Annotated[State, typer.Option(help="Which incidents.")] = State.OPEN,
    kind: Annotated[str | None, typer.Option(help="Only of this kind: idle, anomaly, budget, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    fail_on: Annotated[FailOn | None, typer.Option(help="End with 1 while such are open: for scripts.")] = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, those that burn most first."""
    from console.commands.printing import echo_json
    from console.settings import load_settings
    from detectors.findings import Kind

    kinds = [str(one) for one in Kind]
    if kind is not None and kind not in kinds:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(kinds)}", param_hint="--kind")
    with opened_store(load_settings(config)) as store:
        found = store.list_incidents(limit + 1, _STATES[state], kind)
        still_open = store.open_incidents() if fail_on is not None else []
    shown = sorted(found[:limit], key=_dearest)
    if as_json:
        echo_json(shown)
    else:
        _print_table(shown, state)
        if len(found) > limit:
            typer.echo(f"only the newest {limit} are shown; --limit shows more", err=True)
    loud = {"page"} if fail_on is FailOn.PAGE else {"page", "warn"}
    if any(str(one.severity) in loud and kind in (None, str(one.kind)) for one in still_open):
        raise typer.Exit(ExitCode.FAILURE)


@app.command(
    short_help="Show one: money, reason, evidence, and what was said and done.",
    epilog=f"""\b
Example:
  emberwatch incidents show inc_wswqcajvrfpcew5o --config emberwatch.yaml

{EXIT_CODES}""",
)
def show(incident: Id, config: Config, as_json: AsJson = False) -> None:
    """Show one incident: money, reason, every piece of evidence, and what was said and done since."""
    from console.commands.printing import echo_json
    from console.settings import load_settings

    with opened_store(load_settings(config)) as store:
        found = _found(store, incident)
        action = store.action_for(incident)
        steps = store.action_steps(action.action_id) if action is not None else []
        subjects = [incident] if action is None else [incident, action.action_id]
        told = [entry for subject in subjects for entry in store.notices(200, subject_id=subject)]
    told.sort(key=lambda entry: (entry.notice.at, entry.notice.transition))
    if as_json:
        notices = [
            {
                "at": entry.notice.at,
                "channel": entry.notice.channel,
                "step": entry.notice.step,
                "reason": entry.notice.reason,
                "title": entry.notice.title,
                "state": entry.state,
                "attempts": entry.attempts,
                "detail": entry.detail,
                "hushed": entry.hushed,
                "settled_at": entry.settled_at,
            }
            for entry in told
        ]
        echo_json({"incident": found, "notices": notices, "action": action, "steps": steps})
        return
    events = [(found.began_at, "it began"), (found.detected_at, "it was detected")]
    if found.acknowledged_at is not None:
        events.append((found.acknowledged_at, f"acknowledged by {found.acknowledged_by}"))
    if found.snoozed_until is not None:
        events.append((found.snoozed_until, f"end of the snooze by {found.snoozed_by}"))
    if found.expected_at is not None:
        events.append((found.expected_at, f"said to be expected by {found.expected_by}"))
    if found.resolved_at is not None:
        events.append((found.resolved_at, "resolved"))
    for entry in told:
        fault = f", {entry.detail}" if entry.detail and entry.state != "delivered" else ""
        fault += f": {entry.hushed.replace('_', ' ')}" if entry.hushed else ""
        events.append((entry.notice.at, f"{entry.notice.channel} told: {entry.notice.step} ({entry.state}{fault})"))
    for step in steps:
        by = f" by {step.approved_by}" if step.approved_by and step.reason.endswith("_by_person") else ""
        events.append((step.at, f"scale-down {step.step}{by} ({step.reason.replace('_', ' ')})"))
    _print_incident(found, action, sorted(events, key=lambda event: event[0]))


@app.command(
    epilog=f"""\b
Example:
  emberwatch incidents ack inc_wswqcajvrfpcew5o --by ana --config emberwatch.yaml

The channels that were told of it are told who has taken it. A second time changes nothing, and ends with 0.

{EXIT_CODES}"""
)
def ack(
    incident: Id,
    config: Config,
    by: Annotated[str | None, typer.Option("--by", help="Who has taken it; default: this machine's user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge an incident: say who looks after it."""
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.control import StoreControls
    from console.settings import load_settings

    settings = load_settings(config)
    with opened_store(settings) as store:
        _found(store, incident)
        policy = assemble.scale_down_policy(settings)
        controls = StoreControls(store, assemble.router(settings), policy, assemble.now_utc)
        done = controls.acknowledge(incident, by or user())
        found = _found(store, incident)
    if as_json:
        echo_json({"changed": done, "incident": found})
    elif done:
        typer.echo(f"{incident} is acknowledged by {found.acknowledged_by}")
    elif found.acknowledged_at is not None:
        typer.echo(
            f"{incident} was acknowledged before, by {found.acknowledged_by} at {_at(found.acknowledged_at)}; "
            "nothing was changed"
        )
    else:
        typer.echo(f"{incident} is over since {_at(found.resolved_at)}; nothing was changed")


@app.command(
    epilog=f"""\b
Example:
  emberwatch incidents snooze inc_wswqcajvrfpcew5o --for 4h --config emberwatch.yaml

Nothing of it is told until then, but a rise to a page and its end; if it is open still, it is told again then.

{EXIT_CODES}"""
)
def snooze(
    incident: Id,
    config: Config,
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 3d.")],
    by: Annotated[str | None, typer.Option("--by", help="Who says so; default: this machine's user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hear of an incident later."""
    from console import assemble
    from console.commands.silences import duration

    until = assemble.now_utc() + duration(lasts, "--for")
    _hush(config, incident, by, as_json, until)


@app.command(
    epilog=f"""\b
Example:
  emberwatch incidents expected inc_wswqcajvrfpcew5o --by ana --config emberwatch.yaml

Nothing of it is told any more but its end. For others like it, add a silence with an end.

{EXIT_CODES}"""
)
def expected(
    incident: Id,
    config: Config,
    by: Annotated[str | None, typer.Option("--by", help="Who says so; default: this machine's user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that an incident was to be expected."""
    _hush(config, incident, by, as_json, None)


def _hush(config: "Path", incident: str, by: str | None, as_json: bool, until: datetime | None) -> None:
    from console import assemble
    from console.commands.printing import echo_json, user
    from console.control import StoreControls
    from console.settings import load_settings

    settings = load_settings(config)
    with opened_store(settings) as store:
        _found(store, incident)
        policy = assemble.scale_down_policy(settings)
        controls = StoreControls(store, assemble.router(settings), policy, assemble.now_utc)
        who = by or user()
        done = controls.expect(incident, who) if until is None else controls.snooze(incident, until, who)
        found = _found(store, incident)
    if as_json:
        echo_json({"changed": done, "incident": found})
    elif not done:
        typer.echo(f"{incident} is over, or that was said before; nothing was changed")
    elif until is None:
        typer.echo(f"{incident} was to be expected: nothing but its end is told")
    else:
        typer.echo(f"{incident} is snoozed until {_at(until)}")


def _found(store: "Store", incident_id: str) -> "Incident":
    found = store.incident(incident_id)
    if found is None:
        typer.echo(
            f"there is no incident {incident_id!r}; `emberwatch incidents list --state all` names them", err=True
        )
        raise typer.Exit(ExitCode.FAILURE)
    return found


def _dearest(incident: "Incident") -> tuple[Any, ...]:
    """Open before resolved, then by money."""
    return (incident.resolved_at is not None, -incident.usd_per_hour, -incident.usd_so_far, incident.incident_id)


def _at(at: datetime | None) -> str:
    from alerts.wording import moment

    return "" if at is None else moment(at)


def _print_table(incidents: "list[Incident]", state: State) -> None:
    from alerts.titles import lasted, where, worth
    from alerts.wording import clean, money, per_hour
    from console.commands.printing import table, terminal

    if not incidents:
        typer.echo({"open": "No open incident.", "resolved": "No resolved incident."}.get(state, "No incident."))
        return
    rows = table(("NOW", "right"), ("SO FAR", "right"), ("INCIDENT", "wrap"), ("ID", "left"))
    for one in incidents:
        over = one.resolved_at is not None
        owner = f", team {clean(one.team, 40)}" if one.team else ""
        taken = f", {clean(one.acknowledged_by or 'someone', 40)} has it" if one.acknowledged_at and not over else ""
        what = f"{str(one.kind).replace('_', ' ')} {lasted(one)}: {where(one)}{owner}"
        rows.add_row(
            "over" if over else per_hour(one.usd_per_hour) if worth(one.usd_per_hour) else "-",
            money(one.usd_so_far) if worth(one.usd_so_far) else "-",
            f"{what} ({one.severity}{taken})",
            one.incident_id,
        )
    terminal().print(rows)


def _print_incident(incident: "Incident", action: "Action | None", events: list[tuple[datetime, str]]) -> None:
    from alerts.messages import evidence_line, plain_text
    from alerts.scale_down_words import waiting_in_words
    from alerts.wording import clean
    from console.commands.printing import table, terminal

    out = terminal()
    out.print(plain_text(incident))
    if incident.devices:
        out.print(f"\nAccelerators: {clean(', '.join(incident.devices), 2000)}")
    if incident.evidence:
        out.print("\nEvidence:")
        for name, value in incident.evidence.items():
            out.print(f"  {evidence_line(name, value)}")
    if action is not None and action.waiting:
        out.print(f"\nScale-down {action.action_id} ({action.step}) waits because {waiting_in_words(action)}.")
    out.print("\nTimeline (UTC):")
    rows = table(("", "left"), ("", "wrap"))
    rows.show_header = False
    for at, what in events:
        rows.add_row(f"  {at:%Y-%m-%d %H:%M:%S}", clean(what, 300))
    out.print(rows)
