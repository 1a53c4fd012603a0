"""Plain series in CSV files: columns timestamp,value in, one file out for each, with the same name."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path


class SeriesError(ValueError):
    """A file cannot be read as a series; says which, where and how to mend it."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A line of a series. `style`: the separator of a time without an offset, empty with one; `value` None: unknown."""

    line: int
    text: str
    at_s: float  # since 1970; times without an offset are UTC
    style: str
    value: float | None


def write_each(
    paths: Sequence[Path],
    out_dir: Path,
    columns: Sequence[str],
    lines_of: Callable[[Path], Iterable[Sequence[str]]],
    done: Callable[[Path], None],
) -> list[Path]:
    """Write what `lines_of` makes of each path to its name in `out_dir`; returns the files written.

    `done` is told of each. No input is overwritten. Raises SeriesError.
    """
    twice = sorted({path.name for path in paths if sum(path.name == other.name for other in paths) > 1})
    if twice:
        raise SeriesError(f"two inputs have the name {twice[0]}, and the outputs would be one file; rename one of them")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeriesError(f"{out_dir}: the folder can't be made: {error.strerror}; choose another --out") from error
    written = []
    for path in paths:
        target = out_dir / path.name
        if target.resolve() == path.resolve():
            raise SeriesError(f"{path}: --out is the folder of the input, which would be overwritten; choose another")
        lines = lines_of(path)
        try:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(lines)
        except OSError as error:
            raise SeriesError(f"{target}: cannot be written: {error.strerror}") from error
        written.append(target)
        done(target)
    return written


def read_rows(path: Path, until_s: float | None = None) -> Iterator[SeriesRow]:
    """The lines of a file as they come; values at or after `until_s` are not looked at. Raises SeriesError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"timestamp", "value"} - set(reader.fieldnames or ())
            if missing:
                raise SeriesError(
                    f"{path}: line 1 must name the columns timestamp,value; "
                    f"got {','.join(reader.fieldnames or ()) or 'nothing'}"
                )
            for row in reader:
                at_s, style = moment_of(row["timestamp"], path, reader.line_num)
                if until_s is None or at_s < until_s:
                    value = value_of(row["value"], path, reader.line_num)
                    yield SeriesRow(reader.line_num, row["timestamp"].strip(), at_s, style, value)
    except UnicodeDecodeError as error:
        raise SeriesError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise SeriesError(f"{path}: is not CSV: {error}") from error
    except OSError as error:
        raise SeriesError(f"{path}: cannot be read: {error.strerror}") from error


def moment_of(text: str | None, path: Path, line: int) -> tuple[float, str]:
    """Epoch seconds, and the separator of a time that was written without an offset (with one: empty)."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise SeriesError(
            f"{path}: line {line}: timestamp must be like 2026-01-05T00:00:00Z or 2026-01-05 00:00:00, got {text!r}"
        ) from None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC).timestamp(), "T" if "T" in (text or "") else " "
    return moment.timestamp(), ""


def value_of(text: str | None, path: Path, line: int) -> float | None:
    """The number, None where it is empty or NaN: unknown."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise SeriesError(f"{path}: line {line}: value must be a number or empty, got {text!r}") from None
    if value != value:
        return None
    if not isfinite(value):
        raise SeriesError(f"{path}: line {line}: value must be finite, got {text!r}")
    return value
