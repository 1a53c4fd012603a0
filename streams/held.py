"""A partition as the process that owns it holds it: its state, and what of that is not in the store yet."""

import asyncio
from datetime import datetime

from msgspec import Struct

from store.facts import Facts
from streams.gap_book import GapBook
from streams.pipeline import Pipeline
from streams.poison import PoisonGuard

Parts = dict[str, bytes | memoryview | None]
"""Parts of a snapshot by name; None takes one away."""


class Commit(Struct, frozen=True):
    """What one commit writes: facts, parts of the snapshot, and how far reading and the clock have come with them."""

    facts: Facts
    parts: Parts
    offsets: dict[str, int]
    watermark: datetime | None


class Held(Struct):
    """A partition in this process."""

    partition: int
    pipeline: Pipeline
    epoch: int
    lock: asyncio.Lock
    gaps: GapBook
    committed_s: float = 0.0  # monotonic
    uncommitted: int = 0  # messages observed since the last commit
    unwritten: Facts | None = None  # to go with the next commit, beside what the pipeline finds
    commit_s: float = 0.0  # how long the last commit took
    writing: asyncio.Task[None] | None = None  # a commit that is under way while messages are taken
    still: bool = False  # nothing may be taken until then: what it writes is not a copy
    pending: Commit | None = None  # what that writes, until it is written
    watermark: datetime | None = None  # as the store has it
    guard: PoisonGuard | None = None
    allowance: int = 0  # of the guard, as the store has it or will have it with what is pending
    left_out: dict[str, int] = {}  # while it was stopped: the first message of each topic that has to be read again
    counts: dict[tuple[datetime, str], int] = {}  # events set aside, by hour and fault


def joined(earlier: Facts | None, later: Facts) -> Facts:
    """Facts in the order in which they were found."""
    if not earlier:
        return later
    return Facts(**{name: getattr(earlier, name) + getattr(later, name) for name in Facts.__struct_fields__})
