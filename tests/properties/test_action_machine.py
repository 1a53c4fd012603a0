"""Scale-down through crashes, lost answers and people who change their minds: a stateful model.

The receiver writes down each order and what the world was like when it came. What must hold is asked there, of what
the model knows, and not of what the service believes.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerts.channels.recorder import RecorderChannel
from alerts.incidents import Incident
from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.routing import Router
from alerts.scale_down import Action, ActionStep, Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from console.control import StoreControls
from store.facts import DeviceRow, Facts, StatusRow, WorkloadState
from store.outbox import State
from store.store import Store
from streams.delivery import Delivery
from streams.scale_down_duty import ScaleDownDuty
from streams.targets import TargetChannel
from tests.properties.channel import MISDEEDS, Died, Misbehaving
from tests.store.samples import incident
from tests.support.hypothesis_profiles import effort

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHAT, BATCH = "prod/llm/chat", "prod/llm/batch"
WORKLOADS = (CHAT, BATCH)
TARGET = TARGET_PREFIX + "webhook"
ROUTER = Router([], ("recorder",), title)
FRESH_S = 600.0
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
        fresh_within_s=FRESH_S,
        max_workloads_per_hour=1,
        correlated_ratio=0.9,
    )


class Receiver:
    """Carries orders out: once for an id, whatever comes; answers, or fails to."""

    def __init__(self, machine: "ActionMachine") -> None:
        self.machine, self.wire = machine, Misbehaving("receiver", lambda: None)
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


class DyingStore:
    """The store; the process can die before or after a step of an action is written."""

    def __init__(self, store: Store) -> None:
        self._store, self.dies = store, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save_action(self, *how: Any, **more: Any) -> bool:
        if self.dies == "before":
            raise Died
        saved = self._store.save_action(*how, **more)
        if self.dies == "after":
            raise Died
        return saved

    def settle_notice(self, *how: Any) -> bool:
        if self.dies == "unsettled":
            raise Died
        return self._store.settle_notice(*how)


class ActionMachine(RuleBasedStateMachine):
    """Rules are telemetry, people, time and faults."""

    @initialize(mode=st.sampled_from([Mode.OBSERVE, Mode.PROPOSE, Mode.PROPOSE, Mode.AUTO, Mode.AUTO]))
    def begin(self, mode: Mode) -> None:
        self.now, self.policy = START, policy(mode)
        self.store = Store.open("sqlite://")
        self.epoch = self.store.claim_partition(0, "me", self.now).epoch
        self.receiver = Receiver(self)
        self.told: list[dict[str, str]] = []
        self.states: dict[str, tuple[WorkloadState, datetime]] = {}
        self.since = dict.fromkeys(WORKLOADS, START)
        self.open: dict[str, Incident] = {}
        self.ended: set[str] = set()
        self.approved: dict[str, datetime] = {}  # by action: when a person last allowed it
        self.kept: dict[str, datetime] = {}  # by workload: when a person last said no
        self.paused = False
        self.wrong: list[AssertionError] = []
        self.steps: dict[str, list[tuple[int, ActionStep, datetime | None]]] = {}
        self._start()
        self.telemetry(WorkloadState.IDLE, WorkloadState.IDLE)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self._all_orders_end()
            self.store.close()

    def _start(self) -> None:
        self.dying = DyingStore(self.store)
        self.duty = ScaleDownDuty(self.dying, self.policy, ROUTER)
        target = TargetChannel(
            TARGET,
            self.receiver,
            still_idle=self.duty.still_idle,
            may_have_acted=self.duty.may_have_acted,
            clock=lambda: self.now,
        )
        ways: dict[str, Any] = {"recorder": RecorderChannel("recorder", self.told.append), TARGET: target}
        self.delivery = Delivery(self.dying, ways, lambda: self.now, "me")
        self.controls = StoreControls(self.store, ROUTER, self.policy, lambda: self.now)

    # what is seen

    @rule(chat=st.sampled_from(STATES), batch=st.sampled_from(STATES))
    def telemetry(self, chat: WorkloadState, batch: WorkloadState) -> None:
        facts = Facts(
            statuses=[
                StatusRow(
                    workload="prod/llm/rest", team=None, at=self.now, state=WorkloadState.BUSY, usd_per_hour=400.0,
                    devices=96,
                )
            ],
            devices=[DeviceRow(device="GPU-9", workload="prod/llm/rest", at=self.now)],
        )  # fmt: skip
        for place, (workload, state) in enumerate(zip(WORKLOADS, (chat, batch), strict=True)):
            idle = state is WorkloadState.IDLE
            if state is WorkloadState.BUSY:
                self.since[workload] = self.now
            self.states[workload] = (state, self.now)
            devices = (f"GPU-{2 * place + 1}", f"GPU-{2 * place + 2}")
            facts.statuses.append(
                StatusRow(
                    workload=workload, team="search", at=self.now, state=state, usd_per_hour=8.0, devices=2,
                    idle_since=self.since[workload] if idle else None, idle_devices=2 if idle else 0,
                )
            )  # fmt: skip
            facts.devices += [DeviceRow(device=device, workload=workload, at=self.now) for device in devices]
            was = self.open.get(workload)
            if was is None and idle and self.now - self.since[workload] >= timedelta(minutes=10):
                name = f"inc_{workload[-4:]}{len(self.ended)}"
                self.open[workload] = incident(
                    incident_id=name, fingerprint=f"idle|{workload}||", workload=workload,
                    began_at=self.since[workload], detected_at=self.now, updated_at=self.now, devices=devices,
                    evidence={"idle_s": 600.0, "families": 3.0},
                )  # fmt: skip
                facts.incidents.append(self.open[workload])
            elif was is not None and state is WorkloadState.BUSY:
                del self.open[workload]
                self.ended.add(was.incident_id)
                facts.incidents.append(_resolved(was, self.now))
        self.store.commit(0, self.epoch, facts, snapshot=None, offsets={}, now=self.now, watermark=self.now)

    @rule(minutes=st.sampled_from([1, 5, 5, 16, 61, 1500]), seen=st.booleans())
    def wait(self, minutes: int, seen: bool) -> None:
        """Time passes; `seen`: and all goes on as it was."""
        self.now += timedelta(minutes=minutes)
        if seen:
            self.telemetry(*(self.states[workload][0] for workload in WORKLOADS))

    # what the service does

    @rule(dies=st.sampled_from(["", "", "", "before", "after"]), times=st.integers(1, 3))
    def look(self, dies: str, times: int) -> None:
        for _ in range(times):
            self._dying(dies, lambda: self.duty.run(self.now))

    @rule(dies=st.sampled_from(["", "", "unsettled"]))
    def deliver(self, dies: str) -> None:
        self._dying(dies, self.delivery.deliver_due)

    @rule(minutes=st.integers(1, 10))
    def go_on(self, minutes: int) -> None:
        """An hour or so of ordinary operation, everything as it was."""
        for _ in range(minutes):
            self.wait(6, True)
            self.look("", 1)
            self.deliver("")

    @rule(
        misdeeds=st.lists(st.sampled_from([one for one in MISDEEDS if one != "slow answer"]), max_size=2),
        allowed=st.booleans(),
        turned=st.sampled_from([WorkloadState.IDLE, WorkloadState.IDLE, WorkloadState.BUSY, None]),
    )
    def come_to_an_order(self, misdeeds: list[str], allowed: bool, turned: WorkloadState | None) -> None:
        """Until something is ordered; the world may turn while the order waits. None: the telemetry stops."""
        self.telemetry(WorkloadState.IDLE, WorkloadState.IDLE)
        self.pause(False)
        self.misbehave(misdeeds or ["retry"])
        for number in range(16):
            self.wait(6, True)
            self.look("", 1)
            if allowed and number == 8:
                for which in range(len(self.store.list_actions(9))):
                    self.approve(which)
            if any(action.step is ActionStep.EXECUTED for action in self.store.list_actions(9)):
                break
            self.deliver("")
        if turned is not None and turned is not WorkloadState.IDLE:
            self.telemetry(turned, turned)
        elif turned is None:
            self.wait(16, False)
        for _ in range(4):
            self.deliver("")
            self.wait(5, turned is not None)

    def _dying(self, dies: str, what: Any) -> None:
        self.dying.dies = dies
        try:
            what()
        except Died:
            self._start()
        self.dying.dies = ""

    @rule(misdeeds=st.lists(st.sampled_from([one for one in MISDEEDS if one != "slow answer"]), min_size=1, max_size=3))
    def misbehave(self, misdeeds: list[str]) -> None:
        self.receiver.wire.misdeeds += misdeeds

    # what people do

    @precondition(lambda self: self.store.list_actions(9))
    @rule(which=st.integers(0, 3))
    def approve(self, which: int) -> None:
        action = self._chosen(which)
        if self.controls.approve(action.action_id, "web:ann"):
            assert action.mode is not Mode.OBSERVE
            self.approved[action.action_id] = self.now

    @precondition(lambda self: self.store.list_actions(9))
    @rule(which=st.integers(0, 3))
    def keep(self, which: int) -> None:
        action = self._chosen(which)
        if self.controls.keep(action.action_id, "web:ben"):
            self.approved.pop(action.action_id, None)
            self.kept[action.workload] = self.now

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.store.set_paused(paused, by="web:eve", at=self.now)

    def _chosen(self, which: int) -> Action:
        actions = self.store.list_actions(9)
        return actions[which % len(actions)]

    # what must hold when an order arrives

    def ordered(self, action: Action) -> None:
        mode, workload = self.policy.mode, action.workload
        assert mode is not Mode.OBSERVE
        assert not self.paused
        state, seen_at = self.states[workload]
        assert state is WorkloadState.IDLE
        assert (self.now - seen_at).total_seconds() <= FRESH_S
        assert workload in self.open
        assert action.incident_id == self.open[workload].incident_id
        if mode is Mode.PROPOSE:
            assert action.action_id in self.approved
            assert self.now - self.approved[action.action_id] <= timedelta(hours=1, minutes=10 + 30)
        if workload in self.kept and action.action_id not in self.approved:
            assert self.now - self.kept[workload] >= timedelta(seconds=self.policy.keep_s)
        warned = [
            one for one in self.store.notices(100, subject_id=action.action_id)
            if one.notice.step == ActionStep.WARNED and one.state is State.DELIVERED
        ]  # fmt: skip
        assert warned
        settled = [one for one in self.store.notices(9, channel=TARGET, subject_id=action.action_id) if one.settled_at]
        assert settled == []  # what the receiver has taken, or what was given up, is never sent again

    # what must hold, always

    @invariant()
    def every_order_was_right_when_it_came(self) -> None:
        for wrong in getattr(self, "wrong", []):
            raise wrong

    @invariant()
    def an_action_is_ordered_once(self) -> None:
        if hasattr(self, "store"):
            orders = [one.notice.subject_id for one in self.store.notices(1000, channel=TARGET)]
            assert len(orders) == len(set(orders))
            assert set(self.receiver.stopped) <= set(orders)

    @invariant()
    def steps_go_one_way(self) -> None:
        """Once executed, nothing but the proof, a failure or a person's undo follows; limits hold."""
        if not hasattr(self, "store"):
            return
        for action in self.store.list_actions(9):
            path = self.steps.setdefault(action.action_id, [])
            if path and path[-1][0] == action.transition:
                continue
            assert not path or action.transition > path[-1][0]
            if any(step is ActionStep.EXECUTED for _, step, _ in path):
                assert action.step in (ActionStep.VERIFIED, ActionStep.FAILED, ActionStep.UNDONE)
            path.append((action.transition, action.step, action.executed_at))
        executed = sorted({path[-1][2] for path in self.steps.values() if path[-1][2] is not None})
        if self.policy.mode is not Mode.OBSERVE:
            for earlier, later in pairwise(executed):
                assert later - earlier >= timedelta(hours=1)

    # what must hold in the end

    def _all_orders_end(self) -> None:
        self.receiver.wire.heal()
        self.dying.dies = ""
        for _ in range(100):
            if not self.store.pending_counts():
                break
            self.now += timedelta(seconds=901)
            self.telemetry(*(self.states[workload][0] for workload in WORKLOADS))
            self.delivery.deliver_due()
        assert self.store.pending_counts() == {}
        for entry in self.store.notices(1000, channel=TARGET):
            if entry.state is State.DELIVERED:
                assert entry.notice.subject_id in self.receiver.stopped
            else:
                assert entry.state is State.REFUSED
                assert entry.detail
        self.every_order_was_right_when_it_came()
        self.an_action_is_ordered_once()


def _resolved(one: Incident, at: datetime) -> Incident:
    values = {name: getattr(one, name) for name in Incident.__struct_fields__}
    return Incident(**{**values, "updated_at": at, "resolved_at": at, "transition": one.transition + 1})


def test_left_alone_in_auto_mode_an_idle_workload_is_stopped_once():
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    for _ in range(4):
        machine.go_on(10)

    assert sorted(machine.receiver.stopped.values()) == sorted(WORKLOADS)
    assert len(machine.receiver.wire.seen) == 2
    machine.teardown()


def test_a_lost_answer_is_asked_for_again_under_the_same_id():
    machine = ActionMachine()
    machine.begin(Mode.AUTO)
    machine.misbehave(["answer lost", "retry"])
    for _ in range(2):
        machine.go_on(10)

    first, second, third = [one.notice_id for one in machine.receiver.wire.seen]
    assert first == second
    assert {first, third} == set(machine.receiver.stopped)
    machine.teardown()


ActionMachine.TestCase.settings = effort(25, steps=25)
TestActions = ActionMachine.TestCase
