"""How the command line ends: exit codes, and errors told without a traceback."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from console.settings_errors import SettingsError


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIG = 3
    UNREACHABLE = 4
    REFUSED = 5
    INTERRUPTED = 130


EXIT_CODES = """\b
Exit codes:
  0    ok
  1    findings, or a failure
  2    wrong usage
  3    the config is invalid
  4    something that is needed can't be reached
  5    refused by policy
  130  ended by Ctrl-C"""


class Commands(TyperGroup):
    """A group of commands in which an invalid config ends with its report on standard error, and exit code 3."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(ExitCode.CONFIG) from None

    ordered: ClassVar[Sequence[str]] = ()  # names of commands in the order of the help; others follow

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of reading."""
        names = super().list_commands(ctx)
        return [name for name in self.ordered if name in names] + [name for name in names if name not in self.ordered]


class ListFirst(Commands):
    """A group of commands in which `list` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; where they begin with no command of the group, they are those of `list`."""
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        if not args or (args[0].startswith("-") and not asks_for_help):
            args = ["list", *args]
        return list(super().parse_args(ctx, args))
