"""Back pressure with a name: why input waits just now, since when, and what a person can do about it.

Input waits rather than being dropped, so whoever looks must see that it does: in readiness, metrics and log.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from time import monotonic

import structlog
from msgspec import Struct

from store.errors import StoreUnavailable, Trouble

log = structlog.get_logger()

SLOW_S = 2.0  # a write that takes longer is slow
SAY_EVERY_S = 15.0  # the same trouble
UNANSWERED_S = 5.0  # a write under way for longer makes the service unready

_WORDS = {
    Trouble.UNREACHABLE: "can't be reached",
    Trouble.BUSY: "is busy with other writes of this service",
    Trouble.LOCKED: "is locked by another program",
    Trouble.FULL: "has no space left",
    Trouble.READ_ONLY: "takes no writes",
}


class Pressure(StrEnum):
    """Why input waits."""

    STORE_UNAVAILABLE = "store_unavailable"  # it is tried again and again
    STORE_SLOW = "store_slow"  # a write takes long, or the latest one did
    INBOX_FULL = "inbox_full"  # more came in by HTTP than could be worked off; senders are told to wait


class _Away(Struct, frozen=True):
    """Why, since when, and when that was last said; monotonic seconds."""

    trouble: Trouble
    since_s: float
    said_s: float


class BackPressure:
    """What holds the input of this process back. Safe to use from any thread."""

    def __init__(self, clock_s: Callable[[], float] = monotonic) -> None:
        """Nothing yet. `clock_s`: monotonic seconds."""
        self._clock_s = clock_s
        self._lock = Lock()
        self._troubles: dict[str, _Away] = {}  # by what could not be done
        self._writing: dict[int, float] = {}  # writes under way, and when each began
        self._writes = 0
        self._latest_write_s = 0.0
        self._slow = self._full = False

    @property
    def store_away(self) -> bool:
        """Whether the store is waited for."""
        return bool(self._troubles)

    def away(self, error: StoreUnavailable, doing: str) -> None:
        """The store could not be used for this; it is tried again until it can, and `back` is called."""
        now_s = self._clock_s()
        with self._lock:
            known = self._troubles.get(doing)
            since_s = now_s if known is None else known.since_s
            said = known is not None and known.trouble is error.trouble and now_s - known.said_s < SAY_EVERY_S
            said_s = known.said_s if known is not None and said else now_s
            self._troubles[doing] = _Away(error.trouble, since_s, said_s)
        if not said:
            log.warning(
                "store_unavailable",
                doing=doing,
                reason=str(error),
                remedy=error.trouble.remedy,
                away_s=round(now_s - since_s, 1),
            )

    def back(self, doing: str) -> None:
        """The store was used for this; says so where it had been away."""
        if doing not in self._troubles:
            return
        with self._lock:
            known = self._troubles.pop(doing, None)
        if known is not None:
            away_s = round(self._clock_s() - known.since_s, 1)
            log.info("store_back", doing=doing, was=str(known.trouble), away_s=away_s)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Time a write to the store."""
        with self._lock:
            self._writes += 1
            number, began_s = self._writes, self._clock_s()
            self._writing[number] = began_s
        try:
            yield
        finally:
            with self._lock:
                del self._writing[number]
                self._latest_write_s = self._clock_s() - began_s
                was_slow, self._slow = self._slow, self._latest_write_s > SLOW_S
            if self._slow != was_slow:
                name = "store_slow" if self._slow else "store_fast_again"
                log.warning(name, write_s=round(self._latest_write_s, 2), limit_s=SLOW_S)

    def inbox(self, *, full: bool) -> None:
        """Whether messages by HTTP are refused because too many wait already."""
        if full and not self._full:
            log.warning("inbox_full", remedy="send less, or give the service more processor time; senders try again")
        self._full = full

    def reasons(self) -> frozenset[Pressure]:
        """Everything that holds input back just now."""
        found = set()
        if self._troubles:
            found.add(Pressure.STORE_UNAVAILABLE)
        if self._slow or self._longest_under_way_s() > SLOW_S:
            found.add(Pressure.STORE_SLOW)
        if self._full:
            found.add(Pressure.INBOX_FULL)
        return frozenset(found)

    def unwell(self) -> str | None:
        """Why this process can't do its work, in words with a remedy; None while it can. Shows no address."""
        with self._lock:
            trouble = next((known.trouble for known in self._troubles.values()), None)
        if trouble is not None:
            return f"the store {_WORDS[trouble]}: {trouble.remedy}; input waits, and nothing is lost"
        under_way_s = self._longest_under_way_s()
        if under_way_s > UNANSWERED_S:
            return f"the store has not answered a write for {under_way_s:.0f} s; input waits, and nothing is lost"
        return None

    def _longest_under_way_s(self) -> float:
        with self._lock:
            began_s = min(self._writing.values(), default=None)
        return 0.0 if began_s is None else self._clock_s() - began_s
