"""`emberwatch version`."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer


def show_version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Print the version."""
    try:
        number = version("emberwatch")
    except PackageNotFoundError:  # run from a source tree
        number = "0+source"
    if as_json:
        typer.echo(json.dumps({"version": number, "python": platform.python_version()}))
    else:
        typer.echo(f"emberwatch {number}")
