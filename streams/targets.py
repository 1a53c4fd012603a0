"""Orders to machines go the way of all notices; here is the last look before one leaves."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec import DecodeError, ValidationError, json

from alerts.notices import Notice, Outcome, Receipt
from alerts.scale_down import Action, ActionStep
from store.failpoints import Point, reach

StillIdle = Callable[[Action, datetime], bool]
MayHaveActed = Callable[[Action], bool]


class Target(Protocol):
    """What carries orders out. It never raises for what the other side answers."""

    def execute(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Scale down."""

    def undo(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Bring back."""

    def find(self, action: Action, *, undone: bool) -> Receipt:
        """Whether an order has been carried out: DELIVERED; RETRY if it may be given again; AMBIGUOUS if unknown."""


class TargetChannel:
    """A target as a channel of the outbox: a repeated delivery bears the same id, and is harmless."""

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        still_idle: StillIdle,
        may_have_acted: MayHaveActed,
        clock: Callable[[], datetime],
    ) -> None:
        """`still_idle` is asked at each attempt to stop: evidence that has aged since the decision ends the order.

        `may_have_acted` is asked before one to bring back: what was never stopped is left as it is.
        """
        self.name, self._target, self._clock = name, target, clock
        self._still_idle, self._may_have_acted = still_idle, may_have_acted

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Carry an order out: one to stop unless it is no longer right, one to bring back whatever is paused."""
        try:
            action = json.decode(notice.body, type=Action)
        except (DecodeError, ValidationError):
            return Receipt(outcome=Outcome.REFUSED, detail="the order's body cannot be read")
        now = self._clock()
        if action.step is ActionStep.UNDONE:
            return self._bring_back(action, now)
        if not self._still_idle(action, now):
            return Receipt(
                outcome=Outcome.REFUSED, detail="no longer idle on fresh evidence, or paused: nothing was sent"
            )
        receipt = self._target.execute(action, dry_run=False, now=now)
        reach(Point.ORDER_TAKEN)
        return receipt

    def _bring_back(self, action: Action, now: datetime) -> Receipt:
        if not self._may_have_acted(action):
            return Receipt(
                outcome=Outcome.REFUSED, detail="the order to stop never left: there is nothing to bring back"
            )
        receipt = self._target.undo(action, dry_run=False, now=now)
        reach(Point.ORDER_TAKEN)
        return receipt

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """Ask the target whether it was done."""
        try:
            action = json.decode(notice.body, type=Action)
        except (DecodeError, ValidationError):
            return Receipt(outcome=Outcome.REFUSED, detail="the order's body cannot be read")
        return self._target.find(action, undone=action.step is ActionStep.UNDONE)
