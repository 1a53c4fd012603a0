"""Silences and maintenance windows: what people asked to be spared of, and until when. Pure."""

from base64 import b32encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import blake2b

from msgspec import Struct

from alerts.incidents import Incident
from alerts.matching import Matcher, all_match, labels_of

LONGEST = timedelta(days=400)  # a silence has an end: what is never wanted belongs into the routes


class SilenceError(ValueError):
    """A silence that can't be meant: it would hush everything, or for ever, or never."""


class Silence(Struct, frozen=True, kw_only=True):
    """Incidents that match are not told from `starts_at` to `ends_at`, and again each `every_s` until `until`."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    until: datetime
    created_by: str
    created_at: datetime
    every_s: float | None = None
    comment: str = ""
    expired_at: datetime | None = None
    expired_by: str | None = None

    def active(self, at: datetime) -> bool:
        """Whether it hushes at this moment."""
        if self.expired_at is not None and at >= self.expired_at:
            return False
        if at < self.starts_at or at >= self.until:
            return False
        since_s = (at - self.starts_at).total_seconds()
        lasts_s = (self.ends_at - self.starts_at).total_seconds()
        return (since_s if self.every_s is None else since_s % self.every_s) < lasts_s

    def over(self, at: datetime) -> bool:
        """Whether it will never hush again."""
        return at >= self.until or (self.expired_at is not None and at >= self.expired_at)


def silence(
    matchers: Iterable[Matcher],
    *,
    starts_at: datetime,
    ends_at: datetime,
    by: str,
    now: datetime,
    comment: str = "",
    every: timedelta | None = None,
    until: datetime | None = None,
) -> Silence:
    """A new silence; `every` makes a maintenance window that comes back until `until`. Raises SilenceError."""
    wanted, last = tuple(matchers), until or ends_at
    if not any(matcher.value for matcher in wanted):
        raise SilenceError('a silence needs a matcher such as team="search": one without would hush everything')
    if ends_at <= starts_at or last <= now:
        raise SilenceError(f"a silence ends after it starts, and in the future; got {starts_at} to {last}")
    if last - now > LONGEST:
        raise SilenceError(
            f"a silence lasts at most {LONGEST.days} days; route what is never wanted, or leave it to `info`"
        )
    if every is not None and (until is None or every < ends_at - starts_at or every.total_seconds() <= 0):
        raise SilenceError("a window that comes back needs an end, and is shorter than the time between two of it")
    parts = "|".join((by, now.isoformat(), starts_at.isoformat(), last.isoformat(), *map(str, wanted)))
    digest = blake2b(parts.encode(), digest_size=10).digest()
    return Silence(
        silence_id="sil_" + b32encode(digest).decode().lower(),
        matchers=wanted,
        starts_at=starts_at,
        ends_at=ends_at,
        until=last,
        every_s=None if every is None else every.total_seconds(),
        created_by=by,
        created_at=now,
        comment=comment,
    )


def silencing(incident: Incident, silences: Iterable[Silence], at: datetime) -> Silence | None:
    """The silence that hushes the incident at this moment, None where none does."""
    labels = labels_of(incident)
    return next((one for one in silences if one.active(at) and all_match(one.matchers, labels)), None)
