"""What is told of an action, and to whom: the channels of its incident. Pure."""

from msgspec import json
from msgspec.structs import replace

from alerts.figures import usd
from alerts.incidents import Incident, Severity
from alerts.notices import Notice, Reason
from alerts.routing import Router
from alerts.scale_down import Action, ActionStep, Mode

_REASONS = {
    ActionStep.WARNED: Reason.ACTION_WARNED,
    ActionStep.PROPOSED: Reason.ACTION_PROPOSED,
    ActionStep.KEPT: Reason.ACTION_DONE,
    ActionStep.EXECUTED: Reason.ACTION_DONE,
    ActionStep.VERIFIED: Reason.ACTION_DONE,
    ActionStep.FAILED: Reason.ACTION_DONE,
    ActionStep.UNDONE: Reason.ACTION_DONE,
}
_WORDS = {
    ActionStep.WARNED: "idle, its scale-down will be proposed",
    ActionStep.PROPOSED: "scale-down proposed",
    ActionStep.KEPT: "kept running",
    ActionStep.EXECUTED: "scale-down asked for",
    ActionStep.VERIFIED: "scaled down, and seen to be",
    ActionStep.FAILED: "scale-down not seen to have happened",
    ActionStep.UNDONE: "scale-down undone",
}
_WORDS_AUTO = {
    ActionStep.WARNED: "idle, will be scaled down unless someone keeps it",
    ActionStep.PROPOSED: "will be scaled down unless someone keeps it",
}


def action_notices(router: Router, action: Action, incident: Incident) -> list[Notice]:
    """Make a notice for each channel of the incident; none for what is only observed, and none for inner steps.

    An action is worth telling even where its incident alone is only worth the digest.
    """
    reason = _REASONS.get(action.step)
    if reason is None or action.mode is Mode.OBSERVE:
        return []
    told = replace(incident, severity=Severity.WARN) if incident.severity is Severity.INFO else incident
    body = json.encode(action)
    return [
        Notice(
            notice_id=f"{action.action_id}:{action.transition}:{channel}",
            channel=channel,
            subject="action",
            subject_id=action.action_id,
            transition=action.transition,
            step=action.step,
            reason=reason,
            title=action_title(action),
            at=action.at,
            body=body,
        )
        for channel in router.channels(told)
    ]


def action_title(action: Action) -> str:
    """One line of plain text that begins with money."""
    words = (_WORDS_AUTO if action.mode is Mode.AUTO else {}).get(action.step) or _WORDS.get(action.step, action.step)
    gpus = f" ({action.gpus} GPU{'' if action.gpus == 1 else 's'})" if action.gpus else ""
    return f"{usd(action.usd_per_hour)}/h: {action.workload}{gpus}: {words}"
