"""`emberwatch explain`: the story of an incident."""

from typing import Annotated

import typer

from console.commands.opening import AsJson, Config, opened_store
from console.exits import EXIT_CODES, ExitCode

EPILOG = f"""\b
Examples:
  emberwatch explain inc_wswqcajvrfpcew5o --config emberwatch.yaml
  emberwatch explain inc_wswqcajvrfpcew5o --json --config emberwatch.yaml

Every decision about it that is on record, in order, each with its reason: why it is as loud as it is, who was told by
which route, what was held back, who took it, and each step of its scale-down.

{EXIT_CODES}"""


def explain(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, such as inc_wswqcajvrfpcew5o.")],
    config: Config,
    as_json: AsJson = False,
) -> None:
    """Tell the story of an incident: what was found, said, held back and done, and why."""
    from alerts.messages import evidence_in_words
    from alerts.titles import title
    from alerts.wording import clean
    from console import assemble
    from console.commands.printing import echo_json, table, terminal
    from console.settings import load_settings
    from console.story import story

    settings = load_settings(config)
    with opened_store(settings) as store:
        found = store.incident(incident)
        if found is None:
            typer.echo(
                f"there is no incident {incident!r}; `emberwatch incidents list --state all` names them", err=True
            )
            raise typer.Exit(ExitCode.FAILURE)
        lines = story(store, found, assemble.router(settings), assemble.severity(settings))
    if as_json:
        echo_json({"incident": found, "story": lines})
        return
    typer.echo(title(found))
    if found.evidence:
        typer.echo(f"Evidence: {evidence_in_words(found.evidence)}")
    typer.echo("")
    rows = table(("AT (UTC)", "left"), ("WHAT", "left"), ("WHY", "wrap"))
    for line in lines:
        who = f"{line.to}: " if line.to else f"by {line.by}" if line.by else ""
        rows.add_row(f"{line.at:%Y-%m-%d %H:%M:%S}", line.what.replace("_", " "), clean(f"{who}{line.why}", 400))
    terminal().print(rows)
