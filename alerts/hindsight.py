"""What a policy would have said of the past, in sums: by kind, by week, in pages and dollars. Pure.

An alert is an incident that is told to someone: a page or a warning. What is only recorded is none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from alerts.incidents import Incident, Severity
from alerts.regret import Regret, sum_up
from alerts.would_stop import WouldStop
from detectors.findings import Kind

BURNT = (Kind.IDLE, Kind.WASTE, Kind.ANOMALY, Kind.DRIFT)
"""Kinds of which the dollars are gone: those of a budget are foreseen, those of lost telemetry are a guess."""
NIGHT = timedelta(hours=12)  # the default policy wants no more than two pages in it


class Message(Struct, frozen=True, kw_only=True):
    """That something was told to a channel."""

    channel: str
    at: datetime


class KindSums(Struct, frozen=True, kw_only=True):
    """The incidents of one kind."""

    kind: str
    incidents: int
    alerts: int
    pages: int
    usd: float  # of the alerts


class WeekSums(Struct, frozen=True, kw_only=True):
    """The alerts of one ISO week in UTC, by kind."""

    week: str
    alerts: dict[str, int]
    pages: int
    messages: int
    usd: float  # of the alerts, where it is gone


class PolicySums(Struct, frozen=True, kw_only=True):
    """What one policy would have said, and what it would have stopped in mode auto."""

    name: str
    incidents: int
    alerts: int
    pages: int
    most_pages_in_12_h: int
    messages: dict[str, int]  # by channel
    caught_usd: float  # of the alerts, where it is gone
    recorded_usd: float  # of what is only recorded
    kinds: tuple[KindSums, ...]
    weeks: tuple[WeekSums, ...]
    regret: Regret


def alert(incident: Incident) -> bool:
    """Whether it is told to someone."""
    return incident.severity is not Severity.INFO


def burnt_usd(incident: Incident) -> float:
    """The incident's dollars, where they are gone; what became cheaper has burnt none."""
    return max(incident.usd_so_far, 0.0) if incident.kind in BURNT else 0.0


def sums_of(
    name: str, incidents: Sequence[Incident], messages: Iterable[Message], stops: Sequence[WouldStop]
) -> PolicySums:
    """Sum up what was found under one policy."""
    told = [one for one in incidents if alert(one)]
    sent = list(messages)
    pages = [one for one in told if one.severity is Severity.PAGE]
    return PolicySums(
        name=name,
        incidents=len(incidents),
        alerts=len(told),
        pages=len(pages),
        most_pages_in_12_h=most_within(sorted(one.detected_at for one in pages), NIGHT),
        messages=dict(sorted(Counter(message.channel for message in sent).items())),
        caught_usd=sum(map(burnt_usd, told)),
        recorded_usd=sum(burnt_usd(one) for one in incidents if not alert(one)),
        kinds=tuple(_kind(kind, incidents) for kind in Kind if any(one.kind is kind for one in incidents)),
        weeks=tuple(_weeks(told, sent)),
        regret=sum_up(stops),
    )


def week_label(at: datetime) -> str:
    """The ISO week of a moment in UTC, such as 2026-W05."""
    year, number, _ = at.astimezone(UTC).isocalendar()
    return f"{year}-W{number:02d}"


def most_within(moments: Sequence[datetime], span: timedelta) -> int:
    """The most of these moments, which are in order, that lie within any span of this length."""
    most = first = 0
    for last, at in enumerate(moments):
        while at - moments[first] >= span:
            first += 1
        most = max(most, last - first + 1)
    return most


def _kind(kind: Kind, incidents: Iterable[Incident]) -> KindSums:
    mine = [one for one in incidents if one.kind is kind]
    told = [one for one in mine if alert(one)]
    return KindSums(
        kind=str(kind),
        incidents=len(mine),
        alerts=len(told),
        pages=sum(one.severity is Severity.PAGE for one in told),
        usd=sum(max(one.usd_so_far, 0.0) for one in told),
    )


def _weeks(told: Sequence[Incident], sent: Sequence[Message]) -> list[WeekSums]:
    labels = sorted({week_label(one.detected_at) for one in told} | {week_label(message.at) for message in sent})
    weeks = []
    for label in labels:
        mine = [one for one in told if week_label(one.detected_at) == label]
        weeks.append(
            WeekSums(
                week=label,
                alerts=dict(sorted(Counter(str(one.kind) for one in mine).items())),
                pages=sum(one.severity is Severity.PAGE for one in mine),
                messages=sum(week_label(message.at) == label for message in sent),
                usd=sum(map(burnt_usd, mine)),
            )
        )
    return weeks
