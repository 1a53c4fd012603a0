"""Orders to the target of a scale-down: one to stop, and one to bring back. Pure; they leave by the outbox."""

from msgspec import json

from alerts.action_messages import action_title
from alerts.notices import Notice, Reason
from alerts.scale_down import Action, ActionStep, Mode

TARGET_PREFIX = "target:"
_ORDERS = {ActionStep.EXECUTED: "execute", ActionStep.UNDONE: "undo"}


def orders(action: Action, target: str | None) -> list[Notice]:
    """The order that an action's latest step gives to the target of this name; none in observe mode.

    Its id depends on the action and the order alone, so that a second one of the same is none.
    """
    what = _ORDERS.get(action.step)
    if what is None or action.mode is Mode.OBSERVE or not target:
        return []
    return [
        Notice(
            notice_id=f"{action.action_id}:{what}",
            channel=TARGET_PREFIX + target,
            subject="action",
            subject_id=action.action_id,
            transition=action.transition,
            step=action.step,
            reason=Reason.ACTION_DONE,
            title=action_title(action),
            at=action.at,
            body=json.encode(action),
        )
    ]
