"""`emberwatch explain`: the story of one incident: what was found, who was told and why, and what was held back."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.opening import Config, opened_store
from console.exits import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from store.outbox import OutboxEntry

EPILOG = f"""\b
Example:
  emberwatch explain inc_wswqcajvrfpcew5o --config emberwatch.yaml

{EXIT_CODES}"""


def explain(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, such as inc_wswqcajvrfpcew5o.")],
    config: Config,
) -> None:
    """Tell the story of an incident: why it was found, where it goes, what was said, what was held back and why."""
    from alerts.messages import sentence, state_in_words
    from alerts.titles import title
    from alerts.wording import clean, moment
    from console import assemble
    from console.commands.printing import table, terminal
    from console.settings import load_settings

    settings = load_settings(config)
    with opened_store(settings) as store:
        found = store.incident(incident)
        if found is None:
            typer.echo(
                f"there is no incident {incident!r}; `emberwatch incidents list --state all` names them", err=True
            )
            raise typer.Exit(ExitCode.FAILURE)
        action = store.action_for(incident)
        subjects = [incident] if action is None else [incident, action.action_id]
        told = [entry for subject in subjects for entry in store.notices(500, subject_id=subject)]
        pressed = [row for subject in subjects for row in store.audit_log(subject_id=subject)]
        router = assemble.router(settings)
    out = terminal()
    out.print(f"{title(found)}\n\n{sentence(found)}")
    if state := state_in_words(found):
        out.print(state)
    if found.reopens:
        out.print(f"It reopens {found.reopens}, which ended at {moment(found.ended_before_at or found.began_at)}.")
    out.print(f"\nIt is {found.severity}, and goes by the routes of the config:")
    for line in router.explain(found):
        out.print(f"  {clean(line, 300)}")
    story: list[tuple[datetime, str]] = [(found.began_at, "it began"), (found.detected_at, "it was found")]
    story += [(entry.settled_at or entry.notice.at, _said(entry)) for entry in told]
    story += [(row.at, f"{row.who}: {row.what.replace('_', ' ')} ({row.outcome})") for row in pressed]
    if found.resolved_at is not None:
        story.append((found.resolved_at, "it ended"))
    out.print("\nWhat happened (UTC):")
    rows = table(("", "left"), ("", "wrap"))
    rows.show_header = False
    for at, what in sorted(story, key=lambda one: one[0]):
        rows.add_row(f"  {at:%Y-%m-%d %H:%M:%S}", clean(what, 300))
    out.print(rows)


def _said(entry: "OutboxEntry") -> str:
    """What became of one notice, with the reason for it and the reason against."""
    from alerts.reasons import HUSH_WORDS

    what = f"{entry.notice.channel}: {entry.notice.step}, because {entry.notice.reason.replace('_', ' ')}"
    if entry.hushed is not None:
        where = f" ({entry.summary})" if entry.summary else ""
        return f"{what}; held back ({entry.hushed}): {HUSH_WORDS[entry.hushed]}{where}"
    fault = f": {entry.detail}" if entry.detail else ""
    return f"{what}; {entry.state}{fault}"
