"""Proof over partitions: what was stopped in one is seen, or missed, in the other."""

from typing import Any

import pytest

from alerts.channels.recorder import RecorderChannel
from alerts.matching import Matcher, Op
from alerts.scale_down import Action, Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from console.control import StoreControls
from store.facts import WorkloadState
from store.store import Store
from streams.delivery import Delivery
from streams.pipeline import Pipeline
from streams.scale_down_duty import ScaleDownDuty
from tests.streams.events import MINUTE, NOON, NOTEBOOK, SECOND, Log, gpu, idle_gpu, pipeline, router

OTHER, FREE = "lab/bob/train", "lab//"


class Site:
    """A notebook in partition 0, the rest of its cluster in partition 1, and the duty over both."""

    def __init__(self) -> None:
        self.store, self.now = Store.open("sqlite://"), NOON
        self.logs = (Log(), Log())
        self.pipelines = (pipeline(partition=0), pipeline(partition=1))
        self.epochs = [self.store.claim_partition(number, "me", NOON).epoch for number in (0, 1)]
        policy = ScaleDownPolicy(
            mode=Mode.PROPOSE,
            enabled=True,
            target="webhook",
            selector=(Matcher(label="workload", op=Op.EQUAL, value=NOTEBOOK),),
            fresh_within_s=420.0,
            max_gpu_ratio_per_hour=1.0,
            max_gpu_ratio_per_day=1.0,
        )
        self.duty = ScaleDownDuty(self.store, policy, router())
        channels: dict[str, Any] = {
            name: RecorderChannel(name, lambda line: None) for name in ("recorder", TARGET_PREFIX + "webhook")
        }
        self.delivery = Delivery(self.store, channels, lambda: self.now, "me")
        self.controls = StoreControls(self.store, router(), policy, lambda: self.now)

    def minute(self, *values: list[dict[str, Any]]) -> None:
        """One minute goes by with these messages for each partition."""
        self.now += MINUTE
        for one, log, events in zip(self.pipelines, self.logs, values, strict=True):
            one.observe([log.record(events)] if events else [], now=self.now + SECOND)
            self._go_along(one)
        for one, epoch in zip(self.pipelines, self.epochs, strict=True):
            self.store.commit(
                one.partition, epoch, one.drain(), snapshot=None, offsets={}, now=self.now, watermark=one.watermark
            )
        self.duty.run(self.now)
        self.delivery.deliver_due()

    def _go_along(self, one: Pipeline) -> None:
        one.tick(self.now)
        furthest = max((at for at in (other.watermark for other in self.pipelines) if at is not None), default=None)
        if one.silent(self.now) and furthest is not None:
            one.follow(furthest)

    def idle_until(self, step: str) -> Action:
        """The notebook does nothing until its action stands there; it is approved as soon as that is asked."""
        for _ in range(150):
            self.minute(self.notebook(NOTEBOOK), self.other())
            action = next(iter(self.store.list_actions(1)), None)
            if action is not None and action.step == step:
                return action
            if action is not None and action.step == "proposed":
                self.controls.approve(action.action_id, "web:ann")
        raise AssertionError(f"the action never stood at {step}")

    def notebook(self, owner: str) -> list[dict[str, Any]]:
        return [idle_gpu(self.now + MINUTE, device=f"GPU-{n}", workload=owner, span_s=60) for n in (1, 2)]

    def other(self) -> list[dict[str, Any]]:
        return [gpu(self.now + MINUTE, device="GPU-9", workload=OTHER, span_s=60)]


@pytest.mark.parametrize(("free", "reason"), [(True, "gpus_gone"), (False, "gpus_vanished")])
def test_what_the_other_partition_shows_proves_the_act(free: bool, reason: str):
    site = Site()
    executed = site.idle_until("executed")

    for _ in range(29):
        site.minute([], [*site.other(), *(site.notebook(FREE) if free else [])])

    (action,) = site.store.list_actions(1)
    assert (executed.gpus, action.step, action.reason) == (2, "verified", reason)
    statuses = {row.workload: row for row in site.store.statuses()}
    assert (statuses[NOTEBOOK].state, statuses[NOTEBOOK].devices) == (WorkloadState.UNKNOWN, 0)


@pytest.mark.parametrize("lost", ["one accelerator", "both clusters"])
def test_lost_telemetry_proves_nothing(lost: str):
    site = Site()
    site.idle_until("executed")

    for _ in range(40):
        if lost == "one accelerator":
            site.minute(site.notebook(NOTEBOOK)[:1], site.other())
        else:
            site.minute([], [])

    assert [(action.step, action.reason) for action in site.store.list_actions(1)] == [("failed", "not_seen_to_stop")]
