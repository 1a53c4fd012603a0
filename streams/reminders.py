"""What is said again: once what held it back is over, while a page stays open, and to others when nobody takes it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import structlog
from msgspec import json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step
from alerts.notices import Notice
from alerts.reasons import Reason
from alerts.routing import notice_id
from store.store import Store
from store.talks import Talk, Told
from streams.speaking import Gate

log = structlog.get_logger()


class Reminders:
    """Looks at all that is open, and writes what is to be said again. Saying it twice writes it once."""

    def __init__(
        self, store: Store, gate: Gate, title: Callable[[Incident], str], escalate_to: Sequence[str] = ()
    ) -> None:
        """`escalate_to`: channels that hear of a page that nobody has taken."""
        self._store, self._gate, self._title, self._escalate_to = store, gate, title, tuple(escalate_to)

    def run(self, now: datetime) -> int:
        """Write what is due; return how many notices that were."""
        incidents = {one.incident_id: one for one in self._store.open_incidents()}
        talks = [talk for talk in self._store.talks_of_open() if talk.incident_id in incidents]
        notices = [notice for talk in talks for notice in self._again(incidents[talk.incident_id], talk, now)]
        notices += self._escalations(incidents, talks, now)
        notices += self._ends()
        if notices:
            self._store.enqueue(notices)
            log.info("reminders_written", notices=len(notices))
        return len(notices)

    def _again(self, incident: Incident, talk: Talk, now: datetime) -> Iterator[Notice]:
        """One notice at most, where the channel waits for none."""
        if talk.waiting or incident.expected_at is not None:
            return
        if hush_may_be_over(talk) or snooze_is_over(talk, incident, now):
            moment = incident.snoozed_until if snooze_is_over(talk, incident, now) else None
            mark = f"h{talk.hushes}" if moment is None else f"z{moment:%Y%m%d%H%M%S}"
            notice = self._notice(incident, talk.channel, mark, Reason.HUSH_ENDED, now)
            told = Told(spoken=talk.told_at is not None)
            if self._gate.judge_as(notice, incident, told, now) is None:
                yield notice
        elif repeat_is_due(talk, incident, now, self._gate.policy.repeat_after_s):
            yield self._notice(incident, talk.channel, f"r{talk.repeats + 1}", Reason.STILL_OPEN, now)

    def _escalations(self, incidents: dict[str, Incident], talks: Sequence[Talk], now: datetime) -> Iterator[Notice]:
        first_told: dict[str, datetime] = {}
        for talk in talks:
            if talk.told_at is not None:
                first_told[talk.incident_id] = min(talk.told_at, first_told.get(talk.incident_id, talk.told_at))
        for incident_id, told_at in first_told.items():
            if escalation_is_due(incidents[incident_id], told_at, now, self._gate.policy.escalate_after_s):
                for channel in self._escalate_to:
                    yield self._notice(incidents[incident_id], channel, "e", Reason.NOT_ACKNOWLEDGED, now)

    def _ends(self) -> Iterator[Notice]:
        """Who was called in hears of the end."""
        for channel, incident_id in self._store.escalated_and_over() if self._escalate_to else ():
            incident = self._store.incident(incident_id)
            if incident is not None:
                yield Notice(
                    notice_id=notice_id(incident, Step.RESOLVED, channel),
                    channel=channel,
                    subject="incident",
                    subject_id=incident_id,
                    transition=incident.transition,
                    step=Step.RESOLVED,
                    reason=Reason.RESOLVED,
                    title=self._title(incident),
                    at=incident.updated_at,
                    body=json.encode(incident),
                )

    def _notice(self, incident: Incident, channel: str, mark: str, reason: Reason, now: datetime) -> Notice:
        if incident.snoozed_until is not None and incident.snoozed_until <= now:
            incident = replace(incident, snoozed_until=None, snoozed_by=None)  # it is over: not worth a word
        return Notice(
            notice_id=f"{incident.incident_id}:{mark}:{channel}",
            channel=channel,
            subject="incident",
            subject_id=incident.incident_id,
            transition=incident.transition,
            step=Step.UPDATED,
            reason=reason,
            title=self._title(incident),
            at=now,
            body=json.encode(incident),
        )


def hush_may_be_over(talk: Talk) -> bool:
    """Whether the latest word for the channel was held back; the rules say whether it would be now."""
    return talk.hushed_at is not None and (talk.told_at is None or talk.told_at < talk.hushed_at)


def snooze_is_over(talk: Talk, incident: Incident, now: datetime) -> bool:
    """Whether someone's snooze has ended, and the channel was told nothing since."""
    until = incident.snoozed_until
    return until is not None and until <= now and (talk.told_at is None or talk.told_at < until)


def repeat_is_due(talk: Talk, incident: Incident, now: datetime, after_s: float) -> bool:
    """Whether a page that nobody has taken was told so long ago that it is told again."""
    if incident.severity is not Severity.PAGE or incident.acknowledged_at is not None or talk.told_at is None:
        return False
    snoozed = incident.snoozed_until is not None and now < incident.snoozed_until
    return not snoozed and (now - talk.told_at).total_seconds() >= after_s


def escalation_is_due(incident: Incident, told_at: datetime, now: datetime, after_s: float) -> bool:
    """Whether nobody has taken a page for so long that others must hear of it."""
    taken = incident.acknowledged_at or incident.snoozed_until or incident.expected_at
    return incident.severity is Severity.PAGE and taken is None and (now - told_at).total_seconds() >= after_s
