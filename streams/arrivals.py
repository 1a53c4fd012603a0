"""Event files in order of arrival: several are merged by the time each line arrived.

A line's arrival is its `arrived_at`, else its `at`. Files are in order of arrival, so the clock of a file never goes
back, and a line dated far ahead of what follows it does not move the clock: it is the line that is wrong.
"""

import gzip
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import DecodeError, Struct, ValidationError, json

from streams.formats.sniff import said_at
from streams.records import Record

TOPICS = {
    "gpu_sample": "gpu.samples",
    "token_usage": "token.usage",
    "charge": "billing.charges",
    "change": "ops.changes",
}
UNKNOWN_TOPIC = "unknown"
LOOK_AHEAD = 32  # lines
MAX_AHEAD = timedelta(minutes=5)
OLDEST = timedelta(days=400)  # a first line that lies so far before the others is wrong
MAX_LEAP = timedelta(days=1)  # at the very end of a file, where nothing follows that could confirm it


class _Head(Struct):
    type: str = ""
    at: datetime | None = None
    arrived_at: datetime | None = None


_head = json.Decoder(_Head)
_heads = json.Decoder(list[_Head])


class Line(Struct, frozen=True):
    """A line of an event file, its topic, and when it says that it arrived; None where it says nothing usable."""

    value: bytes
    topic: str
    arrived_at: datetime | None
    stated: bool  # whether the line itself names its arrival


def lines_of(file: Iterable[bytes]) -> Iterator[Line]:
    """The lines of one file that are not blank."""
    for raw in file:
        value = raw.strip()
        if value:
            yield read_head(value)


def read_head(value: bytes) -> Line:
    """Look at a line's type and times only. What can't be read goes on, to be set aside with its reason."""
    try:
        heads = _heads.decode(value) if value.startswith(b"[") else [_head.decode(value)]
    except (ValidationError, DecodeError, RecursionError):
        return Line(value, UNKNOWN_TOPIC, None, False)
    topic = TOPICS.get(heads[0].type, UNKNOWN_TOPIC) if heads else UNKNOWN_TOPIC
    stated = _newest(head.arrived_at for head in heads)
    if stated is not None:
        return Line(value, topic, stated, True)
    newest = _newest(head.at for head in heads)
    return Line(value, topic, said_at(value) if newest is None and topic == UNKNOWN_TOPIC else newest, False)


def _newest(moments: Iterable[datetime | None]) -> datetime | None:
    """The newest moment in UTC; those without an offset, or beyond what UTC can say, don't count."""
    known = [at for at in moments if at is not None and at.tzinfo is not None and 1 < at.year < 9999]
    return max(known).astimezone(UTC) if known else None


def in_order(lines: Iterator[Line]) -> Iterator[tuple[datetime, Line]]:
    """Each line with the time at which it must have arrived. Never goes back."""
    ahead: deque[Line] = deque()
    now: datetime | None = None
    ended = False
    while True:
        while not ended and len(ahead) <= LOOK_AHEAD:
            following = next(lines, None)
            if following is None:
                ended = True
            else:
                ahead.append(following)
        if not ahead:
            return
        line = ahead.popleft()
        claimed = line.arrived_at
        if now is None and not line.stated:
            claimed = now = _beginning(claimed, ahead)
        if claimed is not None and (now is None or claimed > now) and _believable(claimed, now, line.stated, ahead):
            now = claimed
        yield now or datetime.fromtimestamp(0, UTC), line


def _beginning(claimed: datetime | None, ahead: deque[Line]) -> datetime | None:
    """When a file begins: as its first line says, unless that is far from what follows; then the earliest of that."""
    known = sorted(line.arrived_at for line in ahead if line.arrived_at is not None)
    if not known:
        return claimed
    middle = known[len(known) // 2]
    if claimed is not None and middle - OLDEST <= claimed and _believable(claimed, None, False, ahead):
        return claimed
    return min(at for at in known if abs(at - middle) <= OLDEST)


def _believable(claimed: datetime, now: datetime | None, stated: bool, ahead: deque[Line]) -> bool:
    """Whether what follows was received about then or later; a small step is always believed."""
    if stated or (now is not None and claimed - now <= MAX_AHEAD):
        return True
    known = [line.arrived_at for line in ahead if line.arrived_at is not None]
    if not known:
        return now is None or claimed - now <= MAX_LEAP
    return sum(later >= claimed - MAX_AHEAD for later in known) * 2 >= len(known)


def records(paths: Iterable[Path | str]) -> Iterator[Record]:
    """The lines of several files, merged by arrival, as records of one partition. `-` is standard input."""
    offsets: dict[str, int] = {}
    with ExitStack() as stack:
        files = [lines_of(stack.enter_context(open_events(path))) for path in paths]
        ordered = [((at, place, line) for at, line in in_order(file)) for place, file in enumerate(files)]
        for at, _, line in merge(*ordered, key=lambda item: item[:2]):
            offset = offsets.get(line.topic, 0)
            offsets[line.topic] = offset + 1
            yield Record(line.topic, 0, offset, at, line.value)


def open_events(path: Path | str) -> BinaryIO:
    """A `.jsonl` or `.jsonl.gz` file, or standard input for `-`."""
    if str(path) == "-":
        return sys.stdin.buffer
    if str(path).endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return Path(path).open("rb")
