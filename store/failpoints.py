"""Failpoints: places between two steps where a test lets the process die, as by SIGKILL, to see that nothing is lost.

Nothing is armed unless a command reads `EMBERWATCH_FAILPOINT` at its start; what is not armed costs a comparison.
"""

import os
from collections.abc import Callable
from enum import StrEnum
from itertools import count

from store.errors import StoreError

VARIABLE = "EMBERWATCH_FAILPOINT"
EXIT_KILLED = 137  # as a shell tells of SIGKILL


class Point(StrEnum):
    """Every boundary where a crash must be harmless."""

    IN_MIGRATION = "in_migration"  # the schema is changed, its transaction is open
    SNAPSHOT_LOADED = "snapshot_loaded"  # a partition is claimed, nothing of it is read
    INBOX_WRITTEN = "inbox_written"  # a message is on disk, its sender does not know
    DEAD_LETTERS_WRITTEN = "dead_letters_written"  # and the commit of their slice has not begun
    BEFORE_COMMIT = "before_commit"  # facts and snapshot are made, no transaction is open
    IN_COMMIT = "in_commit"  # all is written, the transaction is open
    AFTER_COMMIT = "after_commit"  # the store has it, the transport does not know
    NOTICE_CLAIMED = "notice_claimed"  # marked as being sent, not sent
    NOTICE_SENT = "notice_sent"  # the channel has answered, the outbox does not know
    ACTION_PROPOSED = "action_proposed"  # and not executed
    ORDER_TAKEN = "order_taken"  # the receiver has answered, nothing here knows
    IN_DIGEST = "in_digest"  # the week is marked as told, its notices are not written, the transaction is open


class _Armed:
    """The one point that is armed, and how often it was passed."""

    point: Point | None = None
    at_hit = 1
    hits = count(1)  # counts in one step, whatever the threads


def arm(wanted: str | None) -> Point | None:
    """Arm `NAME` or `NAME:HIT`, to die at that hit (1 is the first); None or nothing disarms. Raises StoreError."""
    name, _, hit = (wanted or "").partition(":")
    known = ", ".join(Point)
    if not name:
        _Armed.point = None
        return None
    if name not in set(Point):
        raise StoreError(f"{VARIABLE} names no failpoint, got {name[:80]!r}; known are {known}")
    if hit and not (hit.isascii() and hit.isdigit() and int(hit) > 0):
        raise StoreError(
            f"{VARIABLE} is NAME or NAME:HIT with a hit from 1 on, got {hit[:20]!r}; unset it in production"
        )
    _Armed.point, _Armed.at_hit, _Armed.hits = Point(name), int(hit or "1"), count(1)
    return _Armed.point


def reach(point: Point, die: Callable[[int], object] = os._exit) -> None:
    """Pass this point; die here if it is armed and its hit has come."""
    if _Armed.point is point and next(_Armed.hits) == _Armed.at_hit:
        die(EXIT_KILLED)
