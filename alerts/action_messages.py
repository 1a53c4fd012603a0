"""What people read of a scale-down: a warning, a question, or what became of it."""

from alerts.messages import evidence_in_words
from alerts.scale_down import Action, ActionStep, Mode
from alerts.slack_text import Block, code, context, escape, fields, header, link_to, paragraph
from alerts.titles import TITLE_MAX, place, worth
from alerts.wording import clean, moment, per_day, per_hour

_MARK = {
    ActionStep.WARNED: "⏳",
    ActionStep.PROPOSED: "❓",
    ActionStep.APPROVED: "👍",
    ActionStep.KEPT: "✋",
    ActionStep.RECHECKED: "🔎",
    ActionStep.EXECUTED: "🛑",
    ActionStep.VERIFIED: "✅",
    ActionStep.FAILED: "❌",
    ActionStep.UNDONE: "↩",
}


def action_title(action: Action) -> str:
    """One line that begins with the money: `$16.00/h will be stopped: ...`. At most 150 characters."""
    with_price, without = _SAID[action.mode][action.step]
    opening = f"{per_hour(action.usd_per_hour)} {with_price}" if worth(action.usd_per_hour) else without
    owner = f" (team {clean(action.team, 40)})" if action.team else ""
    return clean(f"{opening}: {place(action.workload)}, {_replicas(action)}{owner}", TITLE_MAX)


def action_sentence(action: Action) -> str:
    """Why, with the figures it rests on, and what happens next."""
    figures = evidence_in_words(action.evidence)
    reason = clean(action.reason, 300)
    text = (reason[:1].upper() + reason[1:]).replace("_", " ") or "Idle by two kinds of evidence"
    text = f"{text.rstrip('.')} ({figures})." if figures else f"{text.rstrip('.')}."
    return f"{text} {_next(action)}".strip()


def action_blocks(action: Action, *, link: str | None) -> list[Block]:
    """The action as Slack blocks: header, figures, reason and next step, footer."""
    blocks = [
        header(f"{_MARK[action.step]} {action_title(action)}"),
        fields([(label, code(v) if outside else escape(v)) for label, v, outside in _figures(action)]),
        paragraph(action_sentence(action)),
    ]
    footer = [code(action.action_id), code(action.incident_id), f"data to {moment(action.at)}"]
    if link:
        footer.append(link_to(link, "open"))
    return [*blocks, context(footer)]


def action_text(action: Action, *, link: str | None = None) -> str:
    """The action in lines of plain text."""
    lines = [action_title(action), "", *(f"{label}: {clean(value)}" for label, value, _ in _figures(action))]
    lines += [
        "",
        action_sentence(action),
        "",
        f"{action.action_id} of {action.incident_id}, data to {moment(action.at)}",
    ]
    return "\n".join([*lines, link] if link else lines)


def _replicas(action: Action) -> str:
    back = action.step == ActionStep.UNDONE
    before, after = action.replicas_from, action.replicas_to
    if back:
        before, after = after, before
    gpus = f", {action.gpus} GPU{'s' if action.gpus != 1 else ''}" if action.gpus else ""
    return f"{before} to {after} replicas{gpus}"


def _figures(action: Action) -> list[tuple[str, str, bool]]:
    shown: list[tuple[str, str, bool]] = [("Workload", place(action.workload, 120), True)]
    if worth(action.usd_per_hour):
        shown.append(("Saves", f"{per_hour(action.usd_per_hour)} ({per_day(action.usd_per_hour)})", False))
    shown += [("Change", _replicas(action), False), ("Mode", str(action.mode), False)]
    shown.append(("Team", action.team, True) if action.team else ("Team", "not known", False))
    if action.approved_by:
        shown.append(("Kept by" if action.step is ActionStep.KEPT else "Approved by", action.approved_by, True))
    return shown


def _next(action: Action) -> str:
    if action.mode == Mode.OBSERVE:
        return "Nothing is changed: the mode is observe."
    until = f" until {moment(action.expires_at)}" if action.expires_at else ""
    asked = f"Nothing happens unless a person approves{until}."
    if action.mode == Mode.AUTO:
        asked = (
            "Unless a person keeps it running, it is stopped without an answer once it has been idle for long enough."
        )
    again = f"{action.replicas_from} replica{'' if action.replicas_from == 1 else 's'}"
    back = f"To bring back {again}: Undo on the actions page, or `emberwatch actions undo {action.action_id}`."
    return {
        ActionStep.WARNED: "Before anything is stopped it is looked at once more, and a person can keep it running.",
        ActionStep.PROPOSED: asked,
        ActionStep.EXECUTED: back,
        ActionStep.VERIFIED: back,
        ActionStep.FAILED: "It is not tried again in this incident.",
    }.get(action.step, "")


_SAID_AUTO = {
    ActionStep.WARNED: ("will be stopped", "Will be stopped"),
    ActionStep.PROPOSED: ("can be saved", "May this be stopped"),
    ActionStep.APPROVED: ("stop approved", "Stop approved"),
    ActionStep.KEPT: ("kept running", "Kept running"),
    ActionStep.RECHECKED: ("still wasted at the second look", "Still idle at the second look"),
    ActionStep.EXECUTED: ("stop requested", "Stop requested"),
    ActionStep.VERIFIED: ("saved, seen in the telemetry", "Stopped, seen in the telemetry"),
    ActionStep.FAILED: ("still wasted, the stop failed", "The stop failed"),
    ActionStep.UNDONE: ("running again", "Running again"),
}
_SAID_PROPOSE = _SAID_AUTO | {ActionStep.WARNED: ("could be saved", "Could be stopped")}
_SAID_OBSERVE = _SAID_AUTO | {
    ActionStep.WARNED: ("would be stopped", "Would be stopped"),
    ActionStep.PROPOSED: ("could be saved", "Could be stopped"),
    ActionStep.EXECUTED: ("would have been stopped", "Would have been stopped"),
}
_SAID = {Mode.AUTO: _SAID_AUTO, Mode.PROPOSE: _SAID_PROPOSE, Mode.OBSERVE: _SAID_OBSERVE}
