"""What the console's buttons do: each a decision written to the store, with the messages that it causes."""

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from alerts.action_messages import action_title
from alerts.action_notices import action_notices
from alerts.incidents import Step, Transition
from alerts.notices import Reason
from alerts.routing import Router
from alerts.scale_down import Action, ScaleDownPolicy
from alerts.scale_down_orders import orders
from alerts.scale_down_steps import NotPossible, approve, keep, undo
from store.store import Store

KEEP_TRIES = 5  # more than an action has steps
UNDO_TRIES = 3  # it may be proven, or fail, meanwhile


class StoreControls:
    """Acknowledge, approve, keep and undo, on the store."""

    def __init__(self, store: Store, router: Router, policy: ScaleDownPolicy, clock: Callable[[], datetime]) -> None:
        """The same router and policy as the rest of the service."""
        self._store, self._router, self._policy, self._clock = store, router, policy, clock

    def acknowledge(self, incident_id: str, by: str) -> bool:
        """Someone has seen it. False where there is no such incident, or it was acknowledged before."""
        incident = self._store.incident(incident_id)
        if incident is None or incident.acknowledged_at is not None or incident.resolved_at is not None:
            return False
        now = self._clock()
        seen = replace(incident, acknowledged_at=now, acknowledged_by=by)
        notices = self._router.decide(Transition(incident=seen, step=Step.ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED))
        return self._store.acknowledge(incident_id, by, now, notices) is not None

    def approve(self, action_id: str, by: str) -> bool:
        """Allow a proposed scale-down. False where that can't be done from where the action stands."""
        return self._take(action_id, lambda action: approve(self._policy, action, by, self._clock()))

    def keep(self, action_id: str, by: str) -> bool:
        """Keep it running. False where that can't be done any more; a step that it takes meanwhile is no reason."""

        def kept(action: Action) -> Action:
            return replace(keep(self._policy, action, self._clock()), approved_by=by)

        return any(self._take(action_id, kept) for _ in range(KEEP_TRIES))

    def undo(self, action_id: str, by: str) -> bool:
        """Take a stop back, and order the target to bring it back. False where nothing was stopped."""

        def undone(action: Action) -> Action:
            return replace(undo(action, self._clock()), approved_by=by)

        return any(self._take(action_id, undone) for _ in range(UNDO_TRIES))

    def _take(self, action_id: str, step: Callable[[Action], Action]) -> bool:
        action = self._store.action(action_id)
        if action is None:
            return False
        try:
            after = step(action)
        except NotPossible:
            return False
        incident = self._store.incident(action.incident_id)
        notices = [] if incident is None else action_notices(self._router, after, incident, action_title)
        notices += orders(after, self._policy.target)
        return self._store.save_action(after, notices, after=action.step)
