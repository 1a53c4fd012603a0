"""`emberwatch config check` and `emberwatch config schema`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, Commands, ExitCode
from console.settings_errors import SettingsError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check a config file, or print the schema of all options.",
    epilog=f"""\b
Examples:
  emberwatch config check emberwatch.yaml
  emberwatch config schema > emberwatch.schema.json

{EXIT_CODES}""",
)


@app.command(
    epilog=f"""\b
Examples:
  emberwatch config check emberwatch.yaml          what it would do, or all that is wrong with it
  emberwatch config check emberwatch.yaml --json   the same for programs

{EXIT_CODES}"""
)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The config file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Read a config file with all its secrets, and say what it would do, or everything that is wrong with it.

    Nothing is started and nobody is told. Secrets are read, and never shown.
    """
    from console.config_check import as_text, problems_as_data, summary
    from console.settings import load_settings

    try:
        settings = load_settings(file)
    except SettingsError as error:
        if not as_json:
            raise
        typer.echo(json.dumps(problems_as_data(error), indent=2))
        raise typer.Exit(ExitCode.CONFIG) from None
    found = summary(settings)
    typer.echo(json.dumps(found, indent=2) if as_json else as_text(found, str(file)))


@app.command(
    epilog="""\b
Example:
  emberwatch config schema > emberwatch.schema.json

The first line of a config file then helps editors:
  # yaml-language-server: $schema=emberwatch.schema.json"""
)
def schema() -> None:
    """Print the JSON schema of the config file, for editors and other programs."""
    from console.config_check import schema as schema_of_settings

    typer.echo(json.dumps(schema_of_settings(), indent=2))
