"""`emberwatch rules`: policies under test."""

from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, Commands, ExitCode

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Policies under test, as code is.",
    epilog=f"""\b
Example:
  emberwatch rules test policy-tests.yaml

{EXIT_CODES}""",
)


@app.callback()
def rules() -> None:
    """Keep `test` a command of its own."""


@app.command(
    "test",
    short_help="Unit tests of a policy: so much input, what is said and done?",
    epilog=f"""\b
Examples:
  emberwatch rules test policy-tests.yaml
  emberwatch rules test tests/*.yaml --junit report.xml

A file names a config, or holds one, and gives input as series of values; each test says what is told, to whom, and what
is stopped at which time. Each runs through the whole service, on the events' own time: docs/backtest.md shows how.
It ends with 1 where something is not as expected. Secrets that the config names need not be there.

{EXIT_CODES}""",
)
def run_tests(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of tests, in YAML.")],
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write a report in JUnit's XML, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Run unit tests of policies through the whole service, and say what differs from what was expected."""
    from console.commands.printing import echo_json
    from console.commands.replay import quiet
    from console.rules.junit import junit as as_junit
    from console.rules.run import Result, run_file
    from console.rules.spec import RulesError

    quiet()
    results: dict[str, list[Result]] = {}
    try:
        for path in files:
            if not as_json:
                typer.echo(str(path))
            mine = results.setdefault(str(path), [])
            for result in run_file(path):
                mine.append(result)
                if not as_json:
                    _show(result.name, result.faults)
    except RulesError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.CONFIG) from None
    every = [result for found in results.values() for result in found]
    failed = sum(bool(result.faults) for result in every)
    if junit is not None:
        try:
            junit.write_bytes(as_junit(results))
        except OSError as error:
            typer.echo(f"cannot write {junit}: {error.strerror}", err=True)
            raise typer.Exit(ExitCode.FAILURE) from None
    if as_json:
        files_of = [{"file": name, "tests": found} for name, found in results.items()]
        echo_json({"tests": len(every), "failed": failed, "files": files_of})
    else:
        tests = f"{len(every)} test{'' if len(every) == 1 else 's'}"
        typer.echo(f"{tests}, {failed} failed" if failed else f"{tests}, all as expected")
    if failed:
        raise typer.Exit(ExitCode.FAILURE)


def _show(name: str, faults: tuple[str, ...]) -> None:
    typer.echo(f"  {'FAILED' if faults else 'ok':<7}{name}")
    for line in faults:
        typer.echo(f"    {line}")
