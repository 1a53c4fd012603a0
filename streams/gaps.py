"""Where a log is read on, and what is gone from it unread. Pure: values in, values out.

Kafka forgets by its retention, a topic can be deleted and made anew, a log can lose its end. None of these is silent:
each is one gap, whose id derives from the place and the offsets, so that finding it again says nothing again.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from detectors.findings import Cause, Finding, Kind
from store.facts import GapCause, GapRow


class Log(Struct, frozen=True, kw_only=True):
    """One topic's partition as Kafka holds it now."""

    topic: str  # logical
    partition: int
    first_offset: int  # of the oldest message that is held, or of the next one where none is
    end_offset: int  # of the next message to be written
    topic_id: str | None = None  # Kafka's own; None: the broker tells none


class Hole(Struct, frozen=True, kw_only=True):
    """Messages that are gone: why, from which offset, where reading goes on, and how many there were at most."""

    cause: GapCause
    first_offset: int
    next_offset: int
    most_events: int | None


def where_to_begin(log: Log, stored: int | None, stored_id: str | None) -> tuple[int, Hole | None]:
    """The offset to read on from, and what was lost before it.

    `stored`: the next offset as the store has it, None where the topic was never read. `stored_id`: of the topic that
    the offset is of. In a topic that is another one, or has lost its end, reading begins at the start: offsets say
    nothing about it, and events that were read before are known again by their identity.
    """
    if stored is None:
        return log.first_offset, None
    another = log.topic_id is not None and stored_id is not None and log.topic_id != stored_id
    if another or stored > log.end_offset:
        shortened = stored_id is not None and log.topic_id == stored_id
        cause = GapCause.SHORTENED if shortened else GapCause.RECREATED
        return log.first_offset, _hole(cause, stored, log.first_offset, None)
    if stored < log.first_offset:
        return log.first_offset, _hole(GapCause.EXPIRED, stored, log.first_offset, log.first_offset - stored)
    return stored, None


def _hole(cause: GapCause, first: int, following: int, most: int | None) -> Hole:
    return Hole(cause=cause, first_offset=first, next_offset=following, most_events=most)


def left_out(expected: int | None, offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Where offsets are left out: the place of the one that comes after, and the offset that was to be there.

    `expected`: the offset that was to come first, where that is known.
    """
    if not offsets:
        return []
    before = offsets[0] - 1 if expected is None else expected - 1
    if offsets[-1] - before == len(offsets):
        return []
    return [(at, was + 1) for at, (was, now) in enumerate(pairwise([before, *offsets])) if now > was + 1]


def found(
    log: Log, hole: Hole, *, began_at: datetime, found_at: datetime, usd_per_hour: float | None
) -> tuple[GapRow, Finding]:
    """The gap as it is kept, and as it is told."""
    source = f"{log.topic}/{log.partition}@{hole.first_offset}-{hole.next_offset}"
    if hole.cause is not GapCause.EXPIRED and log.topic_id is not None:
        source += f" of {log.topic_id}"  # the same offsets may be lost again with the next topic of this name
    gap = GapRow(
        source=source,
        gap_id="gap_" + blake2b(source.encode(), digest_size=10).hexdigest(),
        topic=log.topic,
        partition=log.partition,
        cause=hole.cause,
        first_offset=hole.first_offset,
        next_offset=hole.next_offset,
        most_events=hole.most_events,
        found_at=found_at,
        began_at=min(began_at, found_at),
        usd_per_hour=usd_per_hour,
    )
    return gap, finding(gap, found_at)


def closed(gap: GapRow, ended_at: datetime, now: datetime) -> tuple[GapRow, Finding]:
    """The gap, now that a message has come after it: its length is known."""
    over = replace(gap, ended_at=max(ended_at, gap.began_at))
    return over, finding(over, now)


def finding(gap: GapRow, at: datetime) -> Finding:
    """The gap as a finding."""
    evidence = {
        "partition": float(gap.partition),
        "first_offset": float(gap.first_offset),
        "next_offset": float(gap.next_offset),
    }
    if gap.most_events is not None:
        evidence["most_events"] = float(gap.most_events)
    usd = gap.usd(at)
    if usd is not None:
        evidence["may_be_missing_usd"] = round(usd, 6)
    return Finding(
        kind=Kind.DATA_GAP,
        cause=Cause.TELEMETRY_LOST,
        at=at,
        began_at=gap.began_at,
        ended_at=gap.ended_at,
        cleared=gap.ended_at is not None,
        source=gap.source,
        usd_per_hour=round(gap.usd_per_hour or 0.0, 6),
        unit="events",
        confidence=0.5,  # that something is gone is certain; how much of it mattered is not
        evidence=evidence,
        changes=(cause_in_words(gap.cause),),
    )


def cause_in_words(cause: GapCause) -> str:
    """What happened."""
    return _WORDS[cause][0]


def remedy(cause: GapCause) -> str:
    """What keeps it from happening again, and how the missing events can be had."""
    return _WORDS[cause][1]


_AGAIN = "events that the producers still have can be sent again: those that were read before are not counted twice"
_WORDS = {
    GapCause.EXPIRED: (
        "Kafka's retention passed messages before they were read",
        f"let the topics keep messages for longer than the longest outage (retention.ms, retention.bytes); {_AGAIN}",
    ),
    GapCause.RECREATED: (
        "the topic was deleted and made anew",
        f"stop the workers once they have caught up, before a topic is made anew; {_AGAIN}",
    ),
    GapCause.SHORTENED: (
        "the log has lost its end, and is read again from its start",
        f"use at least 3 copies, min.insync.replicas=2 and no unclean leader election; {_AGAIN}",
    ),
}
