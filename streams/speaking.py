"""Whether a notice is said, left to a summary, or held back: the rules of `alerts.speaking` on what the store knows."""

from collections import deque
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import structlog
from msgspec import MsgspecError, Struct, json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step
from alerts.notices import Notice
from alerts.reasons import Hush
from alerts.silences import Silence
from alerts.speaking import (
    SUMMED,
    Key,
    Paged,
    Situation,
    SpeakingPolicy,
    first_hush,
    fleet_of,
    group_of,
    owner_of,
)
from alerts.summaries import Summary, begun, extended, key_of, prefix_of, summary_notice
from detectors.findings import Kind
from store.store import Store
from store.talks import Held, Told

log = structlog.get_logger()

FRESH_S = 2.0  # silences and losses are read no more often
FORGOTTEN_AFTER_S = 10.0  # less than a lease: another may have spoken since
LOSSES_MAX = 10_000
LEADS = 3  # of a storm: the dearest are told one by one
STORM_WAIT_S = 2.0  # the first summary of a storm
PEOPLE_SET = ("acknowledged_at", "acknowledged_by", "snoozed_until", "snoozed_by", "expected_at", "expected_by")


class Known(Struct):
    """What is true of all incidents at one moment."""

    at: datetime
    silences: list[Silence]
    lost: list[Incident]


class Gate:
    """Decides for each notice whether it is said. One at a time decides: the holder of the lease on delivery."""

    def __init__(self, store: Store, policy: SpeakingPolicy | None = None, *, wakes: Collection[str] = ()) -> None:
        """`wakes`: names of the channels that wake people."""
        self._store, self._wakes = store, frozenset(wakes)
        self.policy = policy or SpeakingPolicy()
        self._known: Known | None = None
        self._used_at: datetime | None = None
        self._openings: dict[tuple[str, Key], deque[datetime]] = {}
        self._paged: dict[str, deque[Paged]] = {}

    def hush(self, notice: Notice, now: datetime) -> Hush | None:
        """Hold it back, with the reason, and note that in the store; None: say it."""
        found = self.judge(notice, now)
        if found is None:
            return None
        self._store.hush_notice(notice.notice_id, found, now, summed=found in SUMMED)
        log.info("notice_hushed", notice_id=notice.notice_id, channel=notice.channel, hush=str(found))
        return found

    def judge(self, notice: Notice, now: datetime) -> Hush | None:
        """Say why a notice would be held back now. Only incidents are; what can't be read is left to its channel."""
        incident = _incident_of(notice)
        if incident is None:
            return None
        told = self._store.told(notice.channel, notice.subject_id)
        stands = self._store.incident(notice.subject_id)
        if stands is not None:
            incident = replace(incident, **{name: getattr(stands, name) for name in PEOPLE_SET})
        return self.judge_as(notice, incident, told, now)

    def judge_as(self, notice: Notice, incident: Incident, told: Told, now: datetime) -> Hush | None:
        """The same, of an incident as it stands and of what the channel was told, which the caller knows."""
        self._recall(now)
        known = self._look(now)
        return first_hush(
            Situation(
                policy=self.policy,
                incident=incident,
                step=notice.step,
                reason=notice.reason,
                now=now,
                wakes=notice.channel in self._wakes,
                spoken=told.spoken,
                hushed=told.hushed is not None,
                summed=told.summed,
                silences=known.silences,
                lost=known.lost,
                paged=tuple(self._paged.get(owner_of(incident), ())),
                group=self._count(notice.channel, group_of(incident), now),
                fleet=self._count(notice.channel, fleet_of(incident), now),
            )
        )

    def said(self, notice: Notice, now: datetime) -> None:
        """Take note of what a channel was told."""
        incident = _incident_of(notice)
        if incident is None:
            return
        if notice.step == Step.OPENED:
            for key in (group_of(incident), fleet_of(incident)):
                self._openings.setdefault((notice.channel, key), deque()).append(now)
        wakes = notice.channel in self._wakes and notice.step in (Step.OPENED, Step.UPDATED)
        if wakes and incident.severity is Severity.PAGE:
            self._paged.setdefault(owner_of(incident), deque(maxlen=1000)).append(Paged(incident.incident_id, now))

    def overtaken(self, notice: Notice, now: datetime) -> bool:
        """After an outage: whether a later notice of the incident waits, which tells all that this one does."""
        return notice.subject == "incident" and self._store.overtaken(notice, now)

    def collapse(self, channel: str, now: datetime) -> int:
        """Leave a storm to a summary, but for the dearest; return how many notices that were."""
        waiting = self._store.waiting_first_words(channel, self.policy.storm_from)
        found = {one.subject_id: incident for one in waiting if (incident := _incident_of(one)) is not None}
        if len(found) <= self.policy.storm_from:
            return 0
        going_on = self._current(channel, Hush.COLLAPSED, (), now) is not None
        dearest = sorted(found.values(), key=lambda one: (-one.severity.loudness, -one.usd_per_hour, one.incident_id))
        keep = [] if going_on else [one.incident_id for one in dearest[:LEADS]]
        collapsed = self._store.collapse(channel, keep, now)
        log.warning("storm_collapsed", channel=channel, incidents=len(found), notices=collapsed)
        return collapsed

    def summarize(self, channel: str, now: datetime) -> int:
        """Write each summary whose time has come; return how many."""
        written = 0
        for hush, key, held in _by_key(self._store.unsummed(channel)):
            current = self._current(channel, hush, key, now)
            if now < self._due_at(hush, current, held[0].settled_at):
                continue
            summary = current or begun(channel, hush, key, held[0].settled_at)
            news = [(one.notice.step, incident) for one in held if (incident := _incident_of(one.notice)) is not None]
            self._store.write_summary(summary_notice(extended(summary, news, now), channel), held)
            written += 1
        return written

    def _due_at(self, hush: Hush, current: Summary | None, first_at: datetime) -> datetime:
        storm = hush is Hush.COLLAPSED
        if current is None:
            return first_at + timedelta(seconds=STORM_WAIT_S if storm else self.policy.group_wait_s)
        every_s = self.policy.summary_every_s if storm else self.policy.group_interval_s
        return current.at + timedelta(seconds=every_s)

    def _current(self, channel: str, hush: Hush, key: Key, now: datetime) -> Summary | None:
        """The summary that goes on: the newest, where it was said lately or parts of it are open still."""
        notice = self._store.latest_summary(channel, prefix_of(channel, hush, key))
        if notice is None:
            return None
        summary = json.decode(notice.body, type=Summary)
        fresh = now - summary.at <= timedelta(seconds=2 * self.policy.group_interval_s)
        return summary if fresh or summary.over < summary.incidents else None

    def _count(self, channel: str, key: Key, now: datetime) -> int:
        times = self._openings.get((channel, key))
        if times is None:
            return 0
        since = now - timedelta(seconds=self.policy.group_interval_s)
        while times and times[0] <= since:
            times.popleft()
        if not times:
            del self._openings[channel, key]
        return len(times)

    def _look(self, now: datetime) -> Known:
        known = self._known
        if known is None or not 0 <= (now - known.at).total_seconds() < FRESH_S:
            lost = self._store.list_incidents(LOSSES_MAX, "open", Kind.DATA_GAP)
            known = self._known = Known(now, self._store.silences(now), lost)
        return known

    def _recall(self, now: datetime) -> None:
        """Read what was said of late, where another may have spoken since we last looked."""
        used_at, self._used_at = self._used_at, now
        if used_at is not None and 0 <= (now - used_at).total_seconds() < FORGOTTEN_AFTER_S:
            return
        self._openings.clear()
        self._paged.clear()
        longest_s = max(self.policy.pages_window_s, self.policy.group_interval_s)
        lately = now - timedelta(seconds=self.policy.group_interval_s)
        waking = self._store.said_since(now - timedelta(seconds=longest_s), sorted(self._wakes))
        others = [(at, one) for at, one in self._store.said_since(lately) if one.channel not in self._wakes]
        for at, notice in [*waking, *others]:
            self.said(notice, at)


def _incident_of(notice: Notice) -> Incident | None:
    if notice.subject != "incident":
        return None
    try:
        return json.decode(notice.body, type=Incident)
    except MsgspecError:
        return None


def _by_key(held: list[Held]) -> Iterator[tuple[Hush, Key, list[Held]]]:
    parts: dict[tuple[Hush, Key], list[Held]] = {}
    for one in held:
        incident = _incident_of(one.notice)
        key = () if incident is None else key_of(incident, one.hushed)
        parts.setdefault((one.hushed, key), []).append(one)
    for (hush, key), found in parts.items():
        yield hush, key, found
