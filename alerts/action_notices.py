"""What is told of an action, and to whom: the channels of its incident. Pure."""

from collections.abc import Callable

from msgspec import json
from msgspec.structs import replace

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


def action_notices(router: Router, action: Action, incident: Incident, title: Callable[[Action], str]) -> list[Notice]:
    """Make a notice for each channel of the incident; none for what is only observed, and none for inner steps.

    An action is worth telling even where its incident alone is only worth the digest. `title`: the line of plain text
    that begins with money.
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
            title=title(action),
            at=action.at,
            body=body,
        )
        for channel in router.channels(told)
    ]
