"""How far a backtest has come, on standard error; nothing where that is no terminal."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from struct import unpack

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streams.records import Record


class Bar:
    """Counts the bytes of the events that are read, of all passes together."""

    def __init__(self, total_bytes: int) -> None:
        """`total_bytes`: of all passes; 0 where that is not known."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._total, self._done, self._name = total_bytes, 0, ""
        self._task = self._progress.add_task("reading", total=total_bytes or None)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """A pass under the policy of this name begins."""
        self._name = name

    def counted(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, counted as they pass."""
        for record in records:
            self._done += len(record.value) + 1
            yield record

    def share_of(self, number: int) -> Callable[[float, datetime], None]:
        """What is told how much of pass `number` (from 0) is done, where there is nothing to count but time."""

        def show(share: float, at: datetime) -> None:
            done = int((number + share) * 1000)
            self._progress.update(self._task, completed=done, description=f"{self._name}: {at:%Y-%m-%d %H:%M} UTC")

        return show

    def show(self, number: int, at: datetime) -> None:
        """So many messages taken in this pass, the stream's clock at `at`."""
        self._progress.update(
            self._task,
            completed=min(self._done, self._total),
            description=f"{self._name}: {number:,} messages, {at:%Y-%m-%d %H:%M} UTC",
        )


def size_of(path: str) -> int:
    """Bytes of a file, unpacked; of a `.gz` as its last four bytes say, which is right below 4 GiB."""
    size = Path(path).stat().st_size
    if not path.endswith(".gz") or size < 4:
        return size
    with Path(path).open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int(unpack("<I", file.read(4))[0])
