"""What stands around scale-down: a policy, a receiver that fails as told, a deaf channel, and a store that dies."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.routing import Router
from alerts.scale_down import Action, Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from store.facts import WorkloadState
from store.store import Store
from tests.properties.channel import Died, Misbehaving

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHAT, BATCH = "prod/llm/chat", "prod/llm/batch"
WORKLOADS = (CHAT, BATCH)
TARGET = TARGET_PREFIX + "webhook"
ROUTER = Router([], ("recorder",), title)
FRESH_S, KEEP_S = 600.0, 7200.0
TURNS = (WorkloadState.IDLE, WorkloadState.BUSY, WorkloadState.UNKNOWN, None, "paused")
DEATHS = ("", "before", "after", "kept", "looked at")
STATES = (WorkloadState.IDLE, WorkloadState.IDLE, WorkloadState.IDLE, WorkloadState.BUSY, WorkloadState.UNKNOWN)


def policy(mode: Mode) -> ScaleDownPolicy:
    return ScaleDownPolicy(
        mode=mode,
        enabled=True,
        target="webhook",
        selector=(Matcher(label="workload", op=Op.MATCHES, value="prod/llm/.*"),),
        warn_after_s=600.0,
        propose_after_s=1200.0,
        act_after_s=2400.0,
        warning_lead_s=900.0,
        keep_s=KEEP_S,
        fresh_within_s=FRESH_S,
        max_workloads_per_hour=1,
        correlated_ratio=0.9,
    )


class Receiver:
    """Carries orders out: once for an id, whatever comes; answers, or fails to."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.wire = machine, Misbehaving("receiver", lambda *_: None)
        self.stopped: dict[str, str] = {}  # workload by action id

    def execute(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        assert not dry_run
        before = len(self.wire.seen)
        order = Notice(
            notice_id=action.action_id, channel=TARGET, subject="action", subject_id=action.action_id,
            transition=action.transition, step=action.step, reason=Reason.ACTION_DONE, title="", at=now,
        )  # fmt: skip
        try:
            return self.wire.send(order, None)
        finally:
            if len(self.wire.seen) > before:
                try:
                    self.machine.ordered(action)
                except AssertionError as wrong:  # delivery would take it for a fault of the channel
                    self.machine.wrong.append(wrong)
                self.stopped[action.action_id] = action.workload

    def find(self, action: Action, *, undone: bool) -> Receipt:
        assert not undone
        return Receipt(outcome=Outcome.RETRY)


class Deaf:
    """A channel that reaches nobody."""

    name = "recorder"

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        return Receipt(outcome=Outcome.RETRY)

    find = send


class DyingStore:
    """The store; before or after a step of an action is written the process can die, or someone else can decide."""

    def __init__(self, store: Store, someone: Callable[[Action, str], None]) -> None:
        """`someone` is told the action that is about to be written, and what happens meanwhile."""
        self._store, self._someone, self.dies = store, someone, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save_action(self, action: Action, *how: Any, **more: Any) -> bool:
        if self.dies == "before":
            raise Died
        if self.dies in ("kept", "looked at"):
            meanwhile, self.dies = self.dies, ""
            self._someone(action, meanwhile)
        saved = self._store.save_action(action, *how, **more)
        if self.dies == "after":
            raise Died
        return saved

    def settle_notice(self, *how: Any) -> bool:
        if self.dies == "unsettled":
            raise Died
        return self._store.settle_notice(*how)
