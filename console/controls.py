"""What a person may change from the console. Each is done at most once, and says whether it was done."""

from datetime import datetime
from typing import Protocol

from alerts.scale_down import Action, ActionStep, Mode


class Controls(Protocol):
    """Changes that people make; `by` tells who. False where there was nothing to change any more."""

    def acknowledge(self, incident_id: str, by: str) -> bool:
        """Someone looks after this incident."""

    def approve(self, action_id: str, by: str) -> bool:
        """Do what is proposed."""

    def keep(self, action_id: str, by: str) -> bool:
        """Leave the workload as it is."""

    def undo(self, action_id: str, by: str) -> bool:
        """Bring back what was stopped."""


def may_approve(action: Action, now: datetime) -> bool:
    """Whether a person can still say yes: only to a proposal, never in observe mode, not after it has expired."""
    alive = action.expires_at is None or now < action.expires_at
    return alive and action.mode is not Mode.OBSERVE and action.step is ActionStep.PROPOSED


def may_keep(action: Action) -> bool:
    """Whether a person can still say no: until it is done, and though it was approved or has expired."""
    return action.mode is not Mode.OBSERVE and action.step in _NOT_DONE


def may_undo(action: Action) -> bool:
    """Whether a person can still take it back: whatever was executed, proven or not."""
    return action.mode is not Mode.OBSERVE and action.step in _DONE


_DONE = (ActionStep.EXECUTED, ActionStep.VERIFIED, ActionStep.FAILED)
_NOT_DONE = (ActionStep.WARNED, ActionStep.PROPOSED, ActionStep.APPROVED, ActionStep.RECHECKED)
