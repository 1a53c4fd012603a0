"""Many incidents in one message: what a storm or a group comes to, its dearest parts, and what is over. Pure."""

from base64 import b32encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b

from msgspec import Struct, json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step
from alerts.messages import title
from alerts.notices import Notice, Reason
from alerts.reasons import Hush
from alerts.slack_text import Block, code, context, escape, fields, header, link_to, paragraph
from alerts.speaking import Key, fleet_of, group_of
from alerts.wording import clean, moment, money, per_hour

TOP = 10
HELD_BACK = "told here together rather than one by one"


class Part(Struct, frozen=True, kw_only=True):
    """One of the incidents that a summary names."""

    incident_id: str
    title: str
    usd_per_hour: float
    page: bool = False
    over: bool = False


class Summary(Struct, frozen=True, kw_only=True):
    """Many incidents of a channel as one thing to say."""

    summary_id: str
    hush: Hush
    what: str  # in words, what they have in common; empty: nothing but the time
    began_at: datetime
    at: datetime
    incidents: int = 0
    over: int = 0
    pages: int = 0
    usd_per_hour: float = 0.0  # when they were opened, all together
    kinds: dict[str, int] = {}
    top: tuple[Part, ...] = ()  # the dearest
    number: int = 0  # counts the times it was said


def key_of(incident: Incident, hush: Hush) -> Key:
    """What the incidents of one summary have in common."""
    match hush:
        case Hush.GROUPED:
            return group_of(incident)
        case Hush.FLEET_CAUSE:
            return fleet_of(incident)
        case _:
            return ()


def prefix_of(channel: str, hush: Hush, key: Key) -> str:
    """How the ids of all summaries of this channel and key begin."""
    digest = blake2b(json.encode([channel, hush, key]), digest_size=10).digest()
    return "sum_" + b32encode(digest).decode().lower() + "_"


def words_of(hush: Hush, key: Key) -> str:
    """What they have in common, in words."""
    if not key:
        return ""
    *team, cluster, kind, cause = key
    parts = [f"{kind.replace('_', ' ')} ({cause.replace('_', ' ')})", f"in {clean(cluster, 60)}" if cluster else ""]
    owner = f"of team {clean(team[0], 60)}" if team and team[0] else "of no team" if hush is Hush.GROUPED else ""
    return " ".join(filter(None, (*parts, owner)))


def begun(channel: str, hush: Hush, key: Key, at: datetime) -> Summary:
    """A summary that holds nothing yet."""
    name = f"{prefix_of(channel, hush, key)}{at:%Y%m%d%H%M%S}"
    return Summary(summary_id=name, hush=hush, what=words_of(hush, key), began_at=at, at=at, number=-1)


def extended(summary: Summary, news: Sequence[tuple[str, Incident]], at: datetime) -> Summary:
    """The summary with what was held back since: each a step and the incident at it."""
    opened = [one for step, one in news if step == Step.OPENED]
    ended = {one.incident_id for step, one in news if step == Step.RESOLVED}
    kinds = dict(summary.kinds)
    for one in opened:
        kinds[one.kind] = kinds.get(one.kind, 0) + 1
    known = {part.incident_id: part for part in summary.top}
    known |= {one.incident_id: _part(one) for _, one in news}
    parts = [replace(part, over=part.over or part.incident_id in ended) for part in known.values()]
    parts.sort(key=lambda part: (not part.page, -part.usd_per_hour, part.incident_id))
    return replace(
        summary,
        at=at,
        incidents=summary.incidents + len(opened),
        over=summary.over + len(ended),
        pages=summary.pages + sum(one.severity is Severity.PAGE for one in opened),
        usd_per_hour=summary.usd_per_hour + sum(one.usd_per_hour for one in opened),
        kinds=kinds,
        top=tuple(parts[:TOP]),
        number=summary.number + 1,
    )


def summary_notice(summary: Summary, channel: str) -> Notice:
    """What is told: one message that is edited as long as more is added."""
    return Notice(
        notice_id=f"{summary.summary_id}:{summary.number}:{channel}",
        channel=channel,
        subject="summary",
        subject_id=summary.summary_id,
        transition=summary.number,
        step="summary",
        reason=Reason.SUMMARY,
        title=summary_title(summary),
        at=summary.at,
        body=json.encode(summary),
    )


def summary_title(summary: Summary) -> str:
    """One line that begins with money."""
    count = f"{summary.incidents:,} incident{'' if summary.incidents == 1 else 's'}"
    over = f", {summary.over:,} over" if summary.over else ""
    what = f": {summary.what}" if summary.what else " at once"
    return clean(f"{per_hour(summary.usd_per_hour)} in {count}{what}{over}", 150)


def summary_blocks(summary: Summary, *, link: str | None) -> list[Block]:
    """The summary as Slack blocks: header, figures, the dearest, footer."""
    mark = "✅" if summary.over >= summary.incidents else "🌊" if summary.hush is Hush.COLLAPSED else "🧩"
    figures = [(label, escape(value)) for label, value in _figures(summary)]
    listed = "\n".join(_line(part) for part in summary.top)
    footer = [code(summary.summary_id), escape(f"{summary.hush}: {HELD_BACK}"), f"data to {moment(summary.at)}"]
    if link:
        footer.append(link_to(link, "all of them"))
    return [header(f"{mark} {summary_title(summary)}"), fields(figures), paragraph(f"The dearest:\n{listed}"),
            context(footer)]  # fmt: skip


def summary_text(summary: Summary, *, link: str | None = None) -> str:
    """The summary in lines of plain text."""
    lines = [summary_title(summary), "", *(f"{label}: {value}" for label, value in _figures(summary))]
    lines += ["", "The dearest:", *(_line(part) for part in summary.top), ""]
    lines.append(f"{summary.summary_id}, {summary.hush}: {HELD_BACK}, data to {moment(summary.at)}")
    return "\n".join([*lines, link] if link else lines)


def _part(incident: Incident) -> Part:
    return Part(
        incident_id=incident.incident_id,
        title=title(incident),
        usd_per_hour=incident.usd_per_hour,
        page=incident.severity is Severity.PAGE,
        over=incident.resolved_at is not None,
    )


def _line(part: Part) -> str:
    mark = "✅ " if part.over else "🔴 " if part.page else "• "
    return f"{mark}{clean(part.title, 150)} ({part.incident_id})"


def _figures(summary: Summary) -> list[tuple[str, str]]:
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in sorted(summary.kinds.items()))
    return [
        ("Burning when opened", f"{per_hour(summary.usd_per_hour)} ({money(24 * summary.usd_per_hour)}/day)"),
        ("Incidents", f"{summary.incidents:,}, {summary.over:,} over"),
        ("Pages among them", f"{summary.pages:,}"),
        ("Kinds", kinds or "none"),
        ("Since", moment(summary.began_at)),
    ]
