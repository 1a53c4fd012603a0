"""How commands print for people: tables as wide as the terminal, money first, nothing wrapped in a pipe."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # slow to load, and `--help` needs none of it
    from rich.console import Console
    from rich.table import Table

PIPE_COLUMNS = 200


def terminal() -> "Console":
    """Standard output: as wide as the terminal, and wide where it is none."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=PIPE_COLUMNS if free else None)


def table(*columns: tuple[str, str]) -> "Table":
    """A table without lines; each column is a heading and `left`, `right` or `wrap` (the one that may wrap)."""
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading, kind in columns:
        made.add_column(
            heading, justify="right" if kind == "right" else "left", no_wrap=kind != "wrap", overflow="fold"
        )
    return made


def echo_json(value: Any) -> None:
    """One JSON document on standard output."""
    import msgspec

    typer.echo(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def user() -> str:
    """Who runs the command, as this machine knows them."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
