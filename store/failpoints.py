"""Failpoints: places between two steps where a test kills or freezes the process, to see that nothing is lost.

Nothing is armed unless a command reads `EMBERWATCH_FAILPOINT` at its start; what is not armed costs a comparison.
"""

import os
import signal
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
    ACTION_WARNED = "action_warned"  # the step is stored, its notices are not sent
    ACTION_PROPOSED = "action_proposed"  # and not looked at again
    ACTION_RECHECKED = "action_rechecked"  # and not executed
    ORDER_TAKEN = "order_taken"  # the receiver has answered, nothing here knows
    IN_DIGEST = "in_digest"  # the week is marked as told, its notices are not written, the transaction is open


class _Armed:
    """The one point that is armed, what happens there, and how often it was passed."""

    point: Point | None = None
    at_hit = 1
    freezes = False
    hits = count(1)  # counts in one step, whatever the threads


def arm(wanted: str | None) -> Point | None:
    """Arm `NAME` or `NAME:HIT` (1 is the first), to die there as by SIGKILL; `NAME:HIT:stop`: to freeze, as by SIGSTOP.

    None or nothing disarms. Raises StoreError.
    """
    name, _, rest = (wanted or "").partition(":")
    hit, _, how = rest.partition(":")
    if not name:
        _Armed.point = None
        return None
    if name not in set(Point):
        raise StoreError(f"{VARIABLE} names no failpoint, got {name[:80]!r}; known are {', '.join(Point)}")
    number = int(hit) if hit.isascii() and hit.isdigit() and len(hit) < 10 else 1 if not hit else 0
    if number < 1 or how not in ("", "stop"):
        raise StoreError(f"{VARIABLE} is NAME, NAME:HIT or NAME:HIT:stop with a hit from 1 on, got {rest[:20]!r}")
    _Armed.point, _Armed.at_hit, _Armed.freezes, _Armed.hits = Point(name), number, how == "stop", count(1)
    return _Armed.point


def reach(point: Point, die: Callable[[int], object] = os._exit) -> None:
    """Pass this point; die here, or freeze, if it is armed and its hit has come."""
    if _Armed.point is point and next(_Armed.hits) == _Armed.at_hit:
        if _Armed.freezes:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            die(EXIT_KILLED)
