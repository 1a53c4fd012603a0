"""Orders to machines go the way of all notices; here is the last look before one leaves."""

from collections.abc import Callable
from datetime import datetime

from msgspec import DecodeError, ValidationError, json

from alerts.notices import Notice, Outcome, Receipt
from alerts.scale_down import Action
from alerts.targets.webhook import WebhookTarget
from store.failpoints import Point, reach

StillIdle = Callable[[Action, datetime], bool]


class TargetChannel:
    """A target as a channel of the outbox: a repeated delivery bears the same id, and is harmless."""

    def __init__(
        self, name: str, target: WebhookTarget, *, still_idle: StillIdle, clock: Callable[[], datetime]
    ) -> None:
        """`still_idle` is asked at each attempt: evidence that has aged since the decision stops the order."""
        self.name, self._target, self._still_idle, self._clock = name, target, still_idle, clock

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Carry an execution out, unless it is no longer right."""
        try:
            action = json.decode(notice.body, type=Action)
        except (DecodeError, ValidationError):
            return Receipt(outcome=Outcome.REFUSED, detail="the order's body cannot be read")
        now = self._clock()
        if not self._still_idle(action, now):
            return Receipt(
                outcome=Outcome.REFUSED, detail="no longer idle on fresh evidence, or paused: nothing was sent"
            )
        receipt = self._target.execute(action, dry_run=False, now=now)
        reach(Point.ORDER_TAKEN)
        return receipt

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Sending again is safe: the receiver acts once for an id."""
        return Receipt(outcome=Outcome.RETRY)
