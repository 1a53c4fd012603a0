"""Scale-down from an idle incident to a receiver that acts, on a real store, with the real delivery."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.channels.recorder import RecorderChannel
from alerts.matching import Matcher, Op
from alerts.scale_down import ActionStep, Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from alerts.scale_down_steps import undo
from alerts.secrets import Secret
from alerts.targets.kubernetes import KubernetesTarget
from alerts.targets.webhook import WebhookTarget
from console.control import StoreControls
from console.fakes.kubernetes import TOKEN as KUBERNETES_TOKEN
from console.fakes.kubernetes import FakeKubernetes
from console.fakes.receiver import SECRET, FakeReceiver
from store.facts import DeviceRow, Facts, StatusRow, WorkloadState
from store.outbox import State
from store.store import Store
from streams.delivery import Delivery
from streams.metrics import Metrics
from streams.scale_down_duty import ScaleDownDuty
from streams.targets import TargetChannel
from tests.store.samples import CHAT, incident, ledger_row
from tests.streams.events import HOUR, MINUTE, NOON, router

TARGET = TARGET_PREFIX + "webhook"
SELECTOR = (Matcher(label="workload", op=Op.EQUAL, value=CHAT),)


class World:
    """A store with one idle workload in a fleet of a hundred accelerators, and the duty that looks at it."""

    def __init__(self, receiver: FakeReceiver, cluster: Any = None, **policy: Any) -> None:
        self.store = Store.open("sqlite://")
        self.now = NOON
        self.policy = ScaleDownPolicy(
            **{
                "mode": Mode.PROPOSE,
                "enabled": True,
                "target": "webhook",
                "selector": SELECTOR,
                "fresh_within_s": 600.0,
                **policy,
            }
        )
        observe = None if cluster is None else cluster.observe
        self.duty = ScaleDownDuty(self.store, self.policy, router(), observe=observe)
        self.told: list[dict[str, str]] = []
        webhook = WebhookTarget(url=receiver.url, secrets=(Secret(SECRET),), allow_insecure_loopback=True)
        ways: dict[str, Any] = {
            "recorder": RecorderChannel("recorder", self.told.append),
            TARGET: TargetChannel(
                TARGET,
                cluster or webhook,
                still_idle=self.duty.still_idle,
                may_have_acted=self.duty.may_have_acted,
                clock=lambda: self.now,
            ),
        }
        self.delivery = Delivery(self.store, ways, lambda: self.now, "me")
        self.controls = StoreControls(self.store, router(), self.policy, lambda: self.now)
        self.metrics = Metrics()
        self.duty.metrics = self.metrics
        self.epoch = self.store.claim_partition(0, "me", NOON).epoch
        evidence = {"idle_s": 3600.0, "families": 3.0}
        self.write(Facts(incidents=[incident(began_at=NOON, evidence=evidence)]))

    def write(self, facts: Facts) -> None:
        self.store.commit(0, self.epoch, facts, snapshot=None, offsets={}, now=self.now, watermark=self.now)

    def see(
        self,
        at: datetime,
        *,
        state: WorkloadState = WorkloadState.IDLE,
        devices: int = 2,
        owner: str | None = CHAT,
        reports: bool = True,
    ) -> None:
        """What the telemetry says at a moment. `owner` has the two accelerators; None: they are silent.

        Without `reports` nothing is heard of the workload, in its own partition.
        """
        since = NOON if state is WorkloadState.IDLE else None
        chat = StatusRow(
            workload=CHAT, team="search", at=at, state=state, usd_per_hour=8.1, devices=devices, idle_since=since,
            idle_devices=devices,
        )  # fmt: skip
        fleet = StatusRow(
            workload="prod/llm/rest", team=None, at=at, state=WorkloadState.BUSY, usd_per_hour=400.0, devices=98
        )
        places = [] if owner is None else [("GPU-1", owner), ("GPU-2", owner)]
        seen = [DeviceRow(device=device, workload=who, at=at) for device, who in [*places, ("GPU-9", "prod/llm/rest")]]
        self.write(Facts(statuses=[chat, fleet] if reports else [fleet], devices=seen))

    def go_on(self, until: datetime, **seen: Any) -> list[ActionStep]:
        """Look every five minutes, and deliver what that gave."""
        steps = []
        while self.now < until:
            self.now += 5 * MINUTE
            self.see(self.now, **seen)
            steps += [action.step for action in self.duty.run(self.now)]
            self.delivery.deliver_due()
        return steps


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    world: list[World] = []
    made = FakeReceiver(clock=lambda: world[0].now.timestamp() if world else NOON.timestamp())
    made.world = world  # type: ignore[attr-defined]
    with made:
        yield made


def world(receiver: FakeReceiver, **policy: Any) -> World:
    made = World(receiver, **policy)
    receiver.world.append(made)  # type: ignore[attr-defined]
    return made


def the_action(here: World) -> Any:
    (action,) = here.store.list_actions(10)
    return action


def test_to_observe_is_to_record_and_to_execute_nothing(receiver):
    here = world(receiver, mode=Mode.OBSERVE)

    steps = here.go_on(NOON + 24 * HOUR)

    assert steps == [ActionStep.WARNED, ActionStep.PROPOSED]
    assert the_action(here).mode is Mode.OBSERVE
    assert not here.controls.approve(the_action(here).action_id, "web:ann")
    assert receiver.requests_seen == 0


@pytest.mark.parametrize("unarmed", [{"selector": ()}, {"target": None}, {"enabled": False}])
@pytest.mark.parametrize("mode", [Mode.PROPOSE, Mode.AUTO])
def test_without_selector_target_or_consent_nothing_is_executed(receiver, unarmed, mode):
    here = world(receiver, mode=mode, **unarmed)

    steps = here.go_on(NOON + 24 * HOUR)

    assert ActionStep.EXECUTED not in steps
    assert {action.mode for action in here.store.list_actions(10)} <= {Mode.OBSERVE}
    assert receiver.requests_seen == 0


def test_proposed_approved_executed_once_and_verified_when_the_accelerators_are_gone(receiver):
    here = world(receiver)
    assert here.go_on(NOON + 3 * HOUR) == [ActionStep.WARNED, ActionStep.PROPOSED]
    assert receiver.executed == []

    assert here.controls.approve(the_action(here).action_id, "web:ann")
    assert not here.controls.approve(the_action(here).action_id, "web:bob")
    acted = here.go_on(here.now + 15 * MINUTE)
    here.delivery.deliver_due()
    gone = here.go_on(here.now + 15 * MINUTE, devices=0, owner="prod//")

    assert (acted, gone) == ([ActionStep.RECHECKED, ActionStep.EXECUTED], [ActionStep.VERIFIED])
    (request,) = receiver.executed
    assert (request.workload, request.approved_by, request.change.replicas.to) == (CHAT, "web:ann", 0)
    assert [len(bodies) for bodies in receiver.received.values()] == [1]
    assert [step.step for step in here.store.action_steps(the_action(here).action_id)] == [
        ActionStep.WARNED,
        ActionStep.PROPOSED,
        ActionStep.APPROVED,
        ActionStep.RECHECKED,
        ActionStep.EXECUTED,
        ActionStep.VERIFIED,
    ]


def test_an_act_that_is_not_seen_in_the_telemetry_has_failed(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    here.controls.approve(the_action(here).action_id, "web:ann")

    steps = here.go_on(here.now + HOUR)

    assert steps == [ActionStep.RECHECKED, ActionStep.EXECUTED, ActionStep.FAILED]
    assert len(receiver.executed) == 1


def test_what_is_busy_at_the_moment_of_acting_is_not_stopped(receiver):
    here = world(receiver, mode=Mode.AUTO)
    while not receiver.requests_seen and here.now < NOON + 6 * HOUR:
        here.now += 5 * MINUTE
        here.see(here.now)
        executed = [action for action in here.duty.run(here.now) if action.step is ActionStep.EXECUTED]
        if executed:
            here.see(here.now + MINUTE, state=WorkloadState.BUSY)
            here.now += MINUTE
        here.delivery.deliver_due()
        if executed:
            break

    assert executed
    assert not here.duty.still_idle(executed[0], here.now)
    assert receiver.requests_seen == 0
    orders = [entry for entry in here.store.notices(100) if entry.notice.channel == TARGET]
    assert [entry.state for entry in orders] == [State.REFUSED]


def ordered(here: World, at: datetime = NOON + 2 * HOUR) -> Any:
    """An action that was approved and ordered, and whose order waits for its receiver."""
    here.go_on(at)
    assert here.controls.approve(the_action(here).action_id, "web:ann")
    here.delivery.deliver_due = lambda: None  # type: ignore[method-assign]
    here.go_on(here.now + 10 * MINUTE)
    assert the_action(here).step is ActionStep.EXECUTED
    return the_action(here)


@pytest.mark.parametrize(
    "how", ["stale", "from the future", "resolved", "paused", "unknown", "no telemetry", "undone", "changed", "expired"]
)
def test_the_last_look_says_no_to_whatever_is_not_evident(receiver, how):
    here = world(receiver)
    action = ordered(here)
    assert here.duty.still_idle(action, here.now)

    if how == "stale":
        here.now += timedelta(seconds=here.policy.fresh_within_s + 1)
    elif how == "from the future":
        here.now -= HOUR
    elif how == "resolved":
        here.write(Facts(incidents=[incident(resolved_at=here.now, updated_at=here.now, transition=5)]))
    elif how == "paused":
        here.store.set_paused(True, by="ann", at=here.now)
    elif how == "unknown":
        here.see(here.now + MINUTE, state=WorkloadState.UNKNOWN)
    elif how == "undone":
        assert here.store.save_action(undo(action, here.now), after=action.step)
    elif how == "changed":
        here.see(here.now, devices=3)
    elif how == "expired":
        here.now += timedelta(seconds=here.policy.verify_within_s)
        here.see(here.now)
    else:
        here.store.prune(here.now + HOUR)

    assert not here.duty.still_idle(action, here.now)


@pytest.mark.parametrize(
    "policy", [{"mode": Mode.OBSERVE}, {"enabled": False}, {"selector": ()}, {"protected": (CHAT,)}]
)
def test_an_order_that_waits_is_not_sent_after_the_policy_has_become_more_careful(receiver, policy):
    here = world(receiver)
    action = ordered(here)

    careful = ScaleDownDuty(here.store, replace(here.policy, **policy), router())

    assert not careful.still_idle(action, here.now)


def test_what_a_person_has_kept_stays_kept_when_it_was_busy_meanwhile_and_is_idle_again(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.go_on(NOON + 35 * MINUTE)
    assert here.controls.keep(the_action(here).action_id, "web:ann")
    kept_at = here.now
    here.write(Facts(incidents=[incident(began_at=NOON, resolved_at=here.now, updated_at=here.now, transition=5)]))
    again = incident(
        incident_id="inc_b", began_at=here.now, detected_at=here.now, updated_at=here.now, evidence={"families": 3.0}
    )
    here.write(Facts(incidents=[again]))

    assert here.go_on(kept_at + 24 * HOUR - 5 * MINUTE) == []
    assert here.go_on(kept_at + 24 * HOUR) == [ActionStep.WARNED]
    assert receiver.requests_seen == 0


def test_a_person_keeps_it_though_it_takes_a_step_at_that_moment(receiver, monkeypatch):
    here = world(receiver, mode=Mode.AUTO)
    here.go_on(NOON + 2 * HOUR - 5 * MINUTE)
    proposed = the_action(here)
    assert here.go_on(NOON + 2 * HOUR) == [ActionStep.RECHECKED]
    now = [proposed]
    monkeypatch.setattr(here.store, "action", lambda action_id: now.pop() if now else the_action(here))

    assert here.controls.keep(proposed.action_id, "web:ann")
    assert the_action(here).step is ActionStep.KEPT
    assert here.go_on(NOON + 5 * HOUR) == []


def test_a_second_warning_must_come_through_like_the_first(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.go_on(NOON + 35 * MINUTE)
    assert here.controls.keep(the_action(here).action_id, "web:ann")
    here.delivery.deliver_due()
    here.delivery.deliver_due = lambda: None  # type: ignore[method-assign]

    assert here.go_on(here.now + 30 * HOUR) == [ActionStep.WARNED, ActionStep.PROPOSED]


def test_a_workload_whose_events_lie_in_two_partitions_is_not_acted_on(receiver):
    here = world(receiver, mode=Mode.AUTO)
    lines = ("gpu|H100|book", "gpu|H100|book|p3")
    here.write(Facts(ledger=[ledger_row(hour=NOON + n * HOUR, line=line) for n in range(8) for line in lines]))

    assert here.go_on(NOON + 4 * HOUR) == []


def test_a_workload_of_any_one_partition_is_acted_on(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.write(Facts(ledger=[ledger_row(hour=NOON + n * HOUR, line="gpu|H100|book|p3") for n in range(8)]))

    assert ActionStep.EXECUTED in here.go_on(NOON + 4 * HOUR)


def idle_with_chat(here: World, number: int) -> list[StatusRow]:
    return [
        StatusRow(
            workload=f"prod/llm/{one}", team=None, at=here.now, state=WorkloadState.IDLE, usd_per_hour=4.0,
            devices=1, idle_devices=1, idle_since=NOON + MINUTE,
        )
        for one in range(number)
    ]  # fmt: skip


def test_a_fleet_that_turned_idle_together_trips_the_breaker_when_it_is_first_looked_at(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.now = NOON + 35 * MINUTE
    here.see(here.now)
    here.write(Facts(statuses=idle_with_chat(here, 60)))

    assert here.duty.run(here.now) == []
    assert here.store.paused()


def test_what_was_idle_when_a_person_reset_the_breaker_does_not_trip_it_again(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.now = NOON + 35 * MINUTE
    here.see(here.now)
    here.write(Facts(statuses=idle_with_chat(here, 60)))
    here.duty.run(here.now)
    here.store.set_paused(False, by="ann", at=here.now)

    assert [action.step for action in here.duty.run(here.now)] == [ActionStep.WARNED]
    assert not here.store.paused()


def test_what_was_idle_when_the_watching_began_is_no_sudden_idleness(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.write(Facts(ledger=[ledger_row(hour=NOON)]))
    here.now = NOON + 35 * MINUTE
    here.see(here.now)
    here.write(Facts(statuses=idle_with_chat(here, 60)))

    assert [action.step for action in here.duty.run(here.now)] == [ActionStep.WARNED]


def test_auto_acts_after_the_warning_and_the_second_look_and_only_once(receiver):
    here = world(receiver, mode=Mode.AUTO)

    steps = here.go_on(NOON + 4 * HOUR)

    assert steps == [
        ActionStep.WARNED,
        ActionStep.PROPOSED,
        ActionStep.RECHECKED,
        ActionStep.EXECUTED,
        ActionStep.FAILED,
    ]
    assert len(receiver.executed) == 1


def test_auto_does_not_act_while_its_warning_was_not_delivered(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.delivery.deliver_due = lambda: None  # type: ignore[method-assign]

    steps = here.go_on(NOON + 12 * HOUR)

    assert steps == [ActionStep.WARNED, ActionStep.PROPOSED]
    assert receiver.requests_seen == 0


def test_a_receiver_that_fails_first_is_asked_again_under_the_same_id(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    here.controls.approve(the_action(here).action_id, "web:ann")
    receiver.fail_next("500_after")

    here.go_on(here.now + 25 * MINUTE)

    assert len(receiver.executed) == 1
    assert list(receiver.received) == [the_action(here).action_id]


def test_two_holders_who_decide_at_the_same_time_take_the_step_once(receiver):
    here = world(receiver)
    here.now = NOON + 2 * HOUR
    here.see(here.now)
    other = ScaleDownDuty(here.store, here.policy, router())

    here.duty.run(here.now)
    other.run(here.now)
    other.run(here.now)

    steps = here.store.action_steps(the_action(here).action_id)
    assert [step.step for step in steps] == [ActionStep.WARNED, ActionStep.PROPOSED]
    assert len({entry.notice.notice_id for entry in here.store.notices(100)}) == len(here.store.notices(100)) == 2


def test_most_of_a_fleet_going_idle_at_once_trips_the_breaker(receiver):
    here = world(receiver, mode=Mode.AUTO)
    here.go_on(NOON + 35 * MINUTE)
    idle = [
        StatusRow(
            workload=f"prod/llm/{number}", team=None, at=here.now, state=WorkloadState.IDLE, usd_per_hour=4.0,
            devices=1, idle_devices=1, idle_since=here.now - MINUTE,
        )
        for number in range(60)
    ]  # fmt: skip
    here.write(Facts(statuses=idle))

    here.duty.run(here.now)

    assert here.store.paused()
    assert here.go_on(here.now + 12 * HOUR) == []
    assert receiver.requests_seen == 0


def executed(receiver: FakeReceiver) -> World:
    """A world whose receiver has just accepted the order."""
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    here.controls.approve(the_action(here).action_id, "web:ann")
    here.go_on(here.now + 10 * MINUTE)
    assert len(receiver.executed) == 1
    return here


@pytest.mark.parametrize("owner", ["prod//", "prod/llm/embed"])
def test_an_accelerator_that_another_partition_sees_with_another_owner_proves_the_act(receiver, owner):
    here = executed(receiver)

    steps = here.go_on(here.now + 20 * MINUTE, owner=owner, reports=False)

    assert steps == [ActionStep.VERIFIED]
    assert (the_action(here).reason, the_action(here).evidence["seen_elsewhere"]) == ("gpus_gone", 2.0)


def test_what_is_verified_is_idle_no_more(receiver):
    here = executed(receiver)

    here.go_on(here.now + 20 * MINUTE, owner="prod//", reports=False)

    (chat,) = [status for status in here.store.statuses() if status.workload == CHAT]
    assert (chat.state, chat.devices, chat.idle_devices, chat.usd_per_hour, chat.idle_since) == (
        WorkloadState.UNKNOWN, 0, 0, 0.0, None,
    )  # fmt: skip


def test_what_still_answers_requests_keeps_its_spend_when_its_accelerators_are_elsewhere(receiver):
    here = executed(receiver)

    steps = here.go_on(here.now + 5 * MINUTE, state=WorkloadState.BUSY, devices=0, owner="prod//")

    assert steps == [ActionStep.VERIFIED]
    assert [status.usd_per_hour for status in here.store.statuses() if status.workload == CHAT] == [8.1]


def test_a_node_that_vanishes_after_the_order_proves_it_while_the_cluster_is_heard(receiver):
    here = executed(receiver)

    steps = here.go_on(here.now + 25 * MINUTE, owner=None, reports=False)

    assert steps == [ActionStep.VERIFIED]
    assert the_action(here).reason == "gpus_vanished"
    assert the_action(here).evidence["others_heard_in_cluster"] == 1.0
    assert the_action(here).evidence["silent_s"] > here.policy.vanished_after_s


def test_telemetry_that_is_lost_as_a_whole_proves_nothing(receiver):
    here = executed(receiver)

    steps = []
    for _ in range(7):
        here.now += 5 * MINUTE
        here.write(Facts())
        steps += [action.step for action in here.duty.run(here.now)]

    assert steps == [ActionStep.FAILED]


def test_silence_in_a_partition_that_lags_behind_proves_nothing(receiver):
    here = executed(receiver)
    epoch = here.store.claim_partition(1, "you", NOON).epoch
    here.store.commit(1, epoch, Facts(), snapshot=None, offsets={}, now=here.now, watermark=here.now)

    steps = here.go_on(here.now + 30 * MINUTE, owner=None, reports=False)

    assert steps == [ActionStep.FAILED]


def test_silence_proves_nothing_where_the_receiver_has_not_accepted_the_order(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    here.controls.approve(the_action(here).action_id, "web:ann")
    here.delivery.deliver_due = lambda: None  # type: ignore[method-assign]
    here.go_on(here.now + 10 * MINUTE)

    steps = here.go_on(here.now + 35 * MINUTE, owner=None, reports=False)

    assert (steps, receiver.requests_seen) == ([ActionStep.FAILED], 0)


def test_why_an_action_waits_is_kept_with_it_and_counted(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    waits = [the_action(here).waiting]
    here.controls.approve(the_action(here).action_id, "web:ann")
    waits.append(the_action(here).waiting)
    here.store.set_paused(True, by="ann", at=here.now)
    here.go_on(here.now + 10 * MINUTE)
    waits.append(the_action(here).waiting)
    steps = here.store.action_steps(the_action(here).action_id)

    assert waits == ["not_approved", "", "paused"]
    assert [step.step for step in steps] == [ActionStep.WARNED, ActionStep.PROPOSED, ActionStep.APPROVED]
    count = here.metrics.registry.get_sample_value
    name = "emberwatch_scale_down_decisions_total"
    assert [count(name, {"reason": reason}) for reason in ("idle_long_enough", "paused")] == [2.0, 2.0]


def test_a_reason_that_stays_the_same_is_written_once(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    noted: list[str] = []
    here.store.note_waiting = lambda action, waiting: noted.append(waiting) if action.waiting != waiting else None

    here.go_on(here.now + HOUR)

    assert (the_action(here).waiting, noted) == ("not_approved", [])


def test_what_was_stopped_is_brought_back_once_though_all_is_paused_and_is_left_alone_for_a_day(receiver):
    here = world(receiver)
    here.go_on(NOON + 2 * HOUR)
    assert here.controls.approve(the_action(here).action_id, "web:ann")
    here.go_on(here.now + 10 * MINUTE)
    assert the_action(here).step is ActionStep.EXECUTED
    here.store.set_paused(True, by="ann", at=here.now)

    assert here.controls.undo(the_action(here).action_id, "web:ann")
    assert not here.controls.undo(the_action(here).action_id, "web:ann")
    for _ in range(3):
        here.delivery.deliver_due()

    assert [request.type for request in receiver.executed] == ["scale_down.execute", "scale_down.undo"]
    assert len(receiver.received[f"{the_action(here).action_id}_undo"]) == 1
    action = the_action(here)
    assert (action.step, action.reason, action.approved_by) == (ActionStep.UNDONE, "undone_by_person", "web:ann")


def test_an_order_that_was_taken_back_before_it_left_brings_nothing_back(receiver):
    here = world(receiver)
    deliver = here.delivery.deliver_due
    ordered(here)
    assert here.controls.undo(the_action(here).action_id, "web:ann")
    for _ in range(3):
        deliver()

    assert receiver.requests_seen == 0
    states = [entry.state for entry in here.store.notices(100, channel=TARGET)]
    assert states == [State.REFUSED, State.REFUSED]


KEPT_THERE = {"metadata": {"annotations": {"emberwatch.io/keep": "true"}}}


@pytest.fixture
def cluster(tmp_path) -> tuple[FakeKubernetes, KubernetesTarget, str]:
    """A cluster with the workload as a deployment of four replicas, and what scales it."""
    api = FakeKubernetes()
    name, namespace, deployment = CHAT.split("/")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"
    api.put(path, {"spec": {"replicas": 4}})
    (tmp_path / "token").write_text(KUBERNETES_TOKEN)
    target = KubernetesTarget(
        cluster=name,
        namespaces=[namespace],
        url="https://api.test",
        token_file=tmp_path / "token",
        ca_file=None,
        transport=api,
        clock=lambda: NOON,
    )
    return api, target, path


def test_a_deployment_is_stopped_once_and_brought_back_to_exactly_what_it_was(receiver, cluster):
    api, target, path = cluster
    here = world(receiver, cluster=target)
    here.go_on(NOON + 2 * HOUR)
    shown = the_action(here)
    assert (shown.step, shown.replicas_from, shown.evidence["observed_generation"]) == (ActionStep.PROPOSED, 4, 1.0)
    assert here.controls.approve(shown.action_id, "web:ann")
    api.fail_next = "lost"
    here.go_on(here.now + 30 * MINUTE)

    assert [patch for _, patch in api.patches] == [{"metadata": {}, "spec": {"replicas": 0}}]
    (order,) = [entry for entry in here.store.notices(100) if entry.notice.channel == TARGET]
    assert order.state is State.DELIVERED
    assert here.controls.undo(the_action(here).action_id, "web:ann")
    here.delivery.deliver_due()
    assert api.replicas(path) == 4


@pytest.mark.parametrize("how", ["away", "kept", "scaled", "already stopped"])
def test_what_its_target_speaks_against_is_not_stopped(receiver, cluster, how):
    api, target, path = cluster
    here = world(receiver, cluster=target)
    here.go_on(NOON + 2 * HOUR)
    assert here.controls.approve(the_action(here).action_id, "web:ann")
    if how == "away":
        api.away = True
    elif how == "kept":
        api.put(path, {"spec": {"replicas": 4}, **KEPT_THERE})
    else:
        api.put(path, {"spec": {"replicas": 6 if how == "scaled" else 0}})
    here.go_on(here.now + 30 * MINUTE)

    why = {"away": "target_unknown", "kept": "protected", "scaled": "not_approved", "already stopped": "target_unknown"}
    assert (the_action(here).waiting, api.patches) == (why[how], [])
    assert the_action(here).step is (ActionStep.PROPOSED if how == "scaled" else ActionStep.APPROVED)


def test_a_target_is_not_asked_while_nothing_would_be_done(receiver, cluster):
    api, target, _ = cluster
    api.away = True
    here = world(receiver, cluster=target)
    asked = []
    here.duty._observe = lambda workload: asked.append(workload) or target.observe(workload)
    here.go_on(NOON + 25 * MINUTE)
    assert asked == []

    here.go_on(NOON + 35 * MINUTE)
    assert asked
    assert here.store.list_actions(9) == []
