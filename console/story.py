"""The story of an incident: every decision about it that the store keeps, in order, each with its reason.

What was said, to whom and what became of it is as it was stored. Which route sent it there, and which figure made it so
loud, is worked out anew from the incident as it stood then and the config as it is now.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec import DecodeError, Struct, json

from alerts.incidents import Incident, SeverityPolicy
from alerts.reasons import HUSH_WORDS
from alerts.regret import REGRETTED
from alerts.routing import Router
from alerts.scale_down_words import waiting_in_words
from alerts.severity_words import why_so_loud
from alerts.wording import clean, duration, moment, per_hour
from store.outbox import OutboxEntry, State
from store.store import Store

MOST_NOTICES = 1_000
MOST_PRESSES = 1_000
NEAR = timedelta(hours=6)
_WORD = {"snooze": "snoozed", "expected": "called_expected"}
NOT_TOLD = {
    State.PENDING: "waits_to_be_told",
    State.SENDING: "waits_to_be_told",
    State.AMBIGUOUS: "perhaps_told",
    State.REFUSED: "refused",
    State.SUPERSEDED: "overtaken",
}


class Line(Struct, frozen=True, kw_only=True):
    """One thing that happened, or was decided."""

    at: datetime
    what: str  # began, detected, change, opened, updated, told, held_back, ..., a step of the scale-down
    why: str = ""  # the reason in words
    to: str | None = None  # the channel
    by: str | None = None  # the person


def story(store: Store, incident: Incident, router: Router, severity: SeverityPolicy) -> list[Line]:
    """Everything that is known of it, in order of time."""
    told = store.notices(MOST_NOTICES, subject_id=incident.incident_id)[::-1]
    lines = [Line(at=incident.began_at, what="began", why=f"{incident.kind}: {incident.cause}".replace("_", " "))]
    lines.append(Line(at=incident.detected_at, what="detected", why=_found_after(incident)))
    lines += _changes(store, incident)
    lines += _spoken(told, router, severity)
    if not told:
        loud = f"{incident.severity}: {why_so_loud(severity, incident)}"
        lines.append(Line(at=incident.detected_at, what="told_to_nobody", why=f"{loud}; {_way(router, incident)}"))
    lines += _people(store, incident)
    lines += _scale_down(store, incident)
    if incident.resolved_at is not None:
        lines.append(Line(at=incident.resolved_at, what="ended", why="the condition holds no longer"))
    return sorted(lines, key=lambda line: line.at)


def _found_after(incident: Incident) -> str:
    return f"{duration(incident.detected_at - incident.began_at)} after it began, confidence {incident.confidence:.2f}"


def _changes(store: Store, incident: Incident) -> Iterator[Line]:
    if incident.workload is None:
        return
    end = (incident.resolved_at or incident.updated_at) + timedelta(minutes=1)
    for change in store.changes_between(incident.began_at - NEAR, end, incident.workload):
        yield Line(at=change.at, what="change", why=clean(f"{change.kind}: {change.summary}", 200))


def _spoken(told: Iterable[OutboxEntry], router: Router, severity: SeverityPolicy) -> Iterator[Line]:
    """Each decision to speak once, and what became of it in each channel."""
    channels: dict[tuple[int, str], list[str]] = {}
    for entry in told:
        channels.setdefault((entry.notice.transition, entry.notice.step), []).append(entry.notice.channel)
    for entry in told:
        notice = entry.notice
        form, others = _form(notice.body), channels.pop((notice.transition, notice.step), None)
        if form is not None and others is not None:
            before = [one for one in others if one not in router.channels(form)]
            heard = f"; {', '.join(before)}: told of it before" if before else ""
            loud = f"{form.severity}: {why_so_loud(severity, form)}"
            why = f"{_words(notice.reason)}; {loud}; {_way(router, form)}{heard}"
            yield Line(at=notice.at, what=notice.step, why=why)
        yield _became(entry)


def _form(body: bytes) -> Incident | None:
    """The incident as it stood; None in a message of another kind, or of a release that knew other fields."""
    try:
        return json.decode(body, type=Incident)
    except DecodeError:
        return None


def _way(router: Router, incident: Incident) -> str:
    return "; ".join(router.explain(incident))


def _became(entry: OutboxEntry) -> Line:
    """What became of one notice in its channel."""
    notice, tries = entry.notice, "" if entry.attempts <= 1 else f", at attempt {entry.attempts}"
    if entry.hushed is not None:
        where = f" ({clean(entry.summary, 80)})" if entry.summary else ""
        why = f"{_words(notice.step)}; {HUSH_WORDS[entry.hushed]}{where}"
        return Line(at=entry.settled_at or notice.at, what="held_back", why=why, to=notice.channel)
    if entry.state is State.DELIVERED:
        why = f"{_words(notice.step)}{tries}"
        return Line(at=entry.settled_at or notice.at, what="told", why=why, to=notice.channel)
    detail = f": {clean(entry.detail, 200)}" if entry.detail else ""
    again = f", again at {moment(entry.retry_at)}" if entry.retry_at is not None else ""
    at = entry.settled_at or notice.at
    why = f"{_words(notice.step)}{tries}{detail}{again}"
    return Line(at=at, what=NOT_TOLD.get(entry.state, str(entry.state)), why=why, to=notice.channel)


def _people(store: Store, incident: Incident) -> Iterator[Line]:
    """What people said of it, and of its scale-down: what the log of presses holds, and who took it."""
    action = store.action_for(incident.incident_id)
    for subject in (incident.incident_id, *(() if action is None else (action.action_id,))):
        for row in store.audit_log(MOST_PRESSES, subject_id=subject):
            yield Line(at=row.at, what=_WORD.get(row.what, row.what), why=_words(row.outcome), by=row.who)
    if incident.acknowledged_at is not None:
        yield Line(at=incident.acknowledged_at, what="acknowledged", by=incident.acknowledged_by)
    if incident.reopens:
        ended = incident.ended_before_at or incident.began_at
        yield Line(at=incident.detected_at, what="reopened", why=f"{incident.reopens} ended at {moment(ended)}")


def _scale_down(store: Store, incident: Incident) -> Iterator[Line]:
    """The steps of its scale-down, the orders to a machine, and what was only thought of."""
    action = store.action_for(incident.incident_id)
    if action is None:
        return
    for step in store.action_steps(action.action_id):
        by = step.approved_by if step.reason.endswith("_by_person") else None
        yield Line(at=step.at, what=f"scale_down_{step.step}", why=_words(step.reason), by=by)
    if action.waiting:
        yield Line(at=action.at, what="scale_down_waits", why=f"because {waiting_in_words(action)}")
    for entry in store.notices(MOST_NOTICES, subject_id=action.action_id)[::-1]:
        yield _became(entry)
    for stop in store.would_stops_for(incident.incident_id):
        held = f", but for a limit ({_words(stop.held_back)})" if stop.held_back else ""
        saves = f"mode auto would have stopped it{held}: {per_hour(stop.usd_per_hour)}"
        yield Line(at=stop.at, what="would_have_stopped", why=saves)
        if stop.judged_at is not None:
            yield Line(at=stop.judged_at, what=f"judged_{stop.outcome}", why=REGRETTED[stop.outcome])


def _words(name: str) -> str:
    return clean(str(name).replace("_", " "), 80)
