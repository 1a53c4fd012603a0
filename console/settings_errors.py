"""What is wrong with a config: every fault with its place, what was got, what is meant, and the nearest known word."""

from collections.abc import Iterable

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True):
    """One fault. `line` and `column` count from 1; None where the fault has no place. Holds no secret."""

    file: str
    line: int | None
    column: int | None
    option: str  # dotted path, such as channels[1].token_file; empty for the file itself
    got: str
    meant: str
    nearest: str | None = None

    def __str__(self) -> str:
        """The fault as a person reads it: place and option, then what was got and what is meant."""
        where = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        lines = [
            f"{where}: {self.option}" if self.option else where,
            f"    got: {self.got}",
            f"    meant: {self.meant}",
        ]
        if self.nearest is not None:
            lines.append(f"    nearest: {self.nearest}")
        return "\n".join(lines)


class SettingsError(Exception):
    """The config can't be used. `problems` holds all its faults, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """All faults at once."""
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0, problem.option))
        count = len(self.problems)
        heading = f"the config can't be used: {count} problem{'' if count == 1 else 's'}"
        super().__init__("\n".join((heading, *map(str, self.problems))))
