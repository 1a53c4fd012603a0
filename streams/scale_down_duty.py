"""The scale-down duty: looks at each idle incident and its action, and records the step that the rules allow.

It decides nothing itself (`alerts.scale_down_steps` does) and sends nothing itself: an execution is a notice to the
target, written in the same transaction as the step, and delivered like any other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alerts.action_messages import action_title
from alerts.action_notices import action_notices
from alerts.incidents import Incident
from alerts.notices import Notice
from alerts.routing import Router
from alerts.scale_down import Action, ActionStep, Decision, Look, Mode, Observed, ScaleDownPolicy, Traces
from alerts.scale_down_orders import TARGET_PREFIX, orders
from alerts.scale_down_proof import ACCELERATORS_LEFT
from alerts.scale_down_steps import decide, still_right
from detectors.findings import Kind
from store.facts import StatusRow, WorkloadState
from store.failpoints import Point, reach
from store.outbox import State
from store.store import Store
from streams.metrics import BREAKER, Metrics
from streams.regrets import Regrets

log = structlog.get_logger()

FLEET_WITHIN = timedelta(hours=1)
NEWLY_IDLE_WITHIN = timedelta(minutes=10)
RECENT = timedelta(days=1)
OWN_WITHIN = timedelta(hours=1)  # seen so shortly before the order, an accelerator was one that it is about
SPLIT_WITHIN = timedelta(hours=3)
AHEAD_S = 60.0  # telemetry may be so far ahead of our clock; what is further ahead says nothing of now
STEP_POINTS = {
    ActionStep.WARNED: Point.ACTION_WARNED,
    ActionStep.PROPOSED: Point.ACTION_PROPOSED,
    ActionStep.RECHECKED: Point.ACTION_RECHECKED,
}
FIRST_WATCHED = timedelta(hours=1)  # what is idle since then may have been so for long: it did not turn idle together


Observe = Callable[[str], Observed | None]
"""A workload in; how its target sees it just now."""


class _Fleet(Struct, frozen=True, kw_only=True):
    """All workloads as they are seen at one moment, read once for all that is decided then."""

    statuses: dict[str, StatusRow]
    gpus: int  # of those that were heard of lately
    idle: list[tuple[datetime, StatusRow]]  # since when, and who; without what was idle when the breaker was reset
    watched_from: datetime | None  # what is idle since before then may have been so for long


class ScaleDownDuty:
    """Takes every action one step further where the rules allow it."""

    def __init__(
        self,
        store: Store,
        policy: ScaleDownPolicy,
        router: Router,
        *,
        metrics: Metrics | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`policy.target` names the channel that carries executions out. `metrics` counts the decisions.

        `observe`: how a workload stands with a target that can be asked. It is asked whenever anything could be
        stopped; None as its answer means that nothing is known.
        """
        self.store, self.policy, self.router, self.metrics = store, policy, router, metrics
        self.regrets = Regrets(store, policy)
        self._observe = observe

    def run(self, now: datetime) -> list[Action]:
        """Look at everything once; return the actions that took a step."""
        incidents = {
            incident.incident_id: incident
            for incident in self.store.open_incidents()
            if incident.kind is Kind.IDLE and incident.workload
        }
        actions = {action.incident_id: action for action in self.store.open_actions()}
        for incident_id in sorted(set(actions) - set(incidents)):
            ended = self.store.incident(incident_id)
            if ended is not None:
                incidents[incident_id] = ended
        if not incidents and not self.regrets.open():
            return []
        fleet = self._fleet(now)
        recent = self.store.actions_since(now - max(RECENT, timedelta(seconds=self.policy.keep_s)))
        taken = []
        thought_of = []
        for incident_id in sorted(incidents):
            incident = incidents[incident_id]
            action = actions.get(incident_id) or self.store.action_for(incident_id)
            look = self._look(incident, action, fleet, now)
            paused = self.store.paused()
            decision = decide(self.policy, incident, action, look, recent, now, paused)
            if decision.step is not None and (action is None or action.step is not ActionStep.EXECUTED):
                look = self._with_target(look, incident)  # asked only where something would be done
                decision = decide(self.policy, incident, action, look, recent, now, paused)
            if self.metrics is not None:
                self.metrics.decided(decision.reason)
            if decision.trips_breaker:
                self.store.set_paused(True, by=BREAKER, at=now)
                log.error("breaker_tripped", reason=str(decision.reason), workload=incident.workload)
            if decision.step is not None and decision.action is not None:
                seen = fleet.statuses.get(incident.workload or "")
                if not self._record(decision, decision.action, incident, action, seen):
                    continue  # someone else has decided meanwhile
                recent = [one for one in recent if one.action_id != decision.action.action_id] + [decision.action]
                taken.append(decision.action)
            elif action is not None and action.incident_id in actions:
                self.store.note_waiting(action, decision.reason)
                if self.regrets.due(incident, action, now):
                    thought_of.append((incident, action, self._look(incident, action, fleet, now, Mode.AUTO)))
        self.regrets.look(thought_of, fleet.statuses, recent, now)
        return taken

    def still_idle(self, action: Action, now: datetime) -> bool:
        """The look at the moment of acting: the order stands as it was given, and every rule still says yes."""
        kept, incident = self.store.action(action.action_id), self.store.incident(action.incident_id)
        if kept is None or incident is None or (kept.step, kept.transition) != (action.step, action.transition):
            return False
        look = self._with_target(self._look(incident, kept, self._fleet(now), now), incident)
        return still_right(self.policy, incident, kept, look, now, self.store.paused())

    def _fleet(self, now: datetime) -> _Fleet:
        statuses = self.store.statuses()
        live = [status for status in statuses if now - status.at <= FLEET_WITHIN]
        pause, first = self.store.pause(), self.store.first_hour()
        idle = [(one.idle_since, one) for one in live if one.idle_since is not None]
        if pause.at is not None and not pause.paused:
            idle = [(at, one) for at, one in idle if at > pause.at]
        return _Fleet(
            statuses={status.workload: status for status in statuses},
            gpus=sum(one.devices for one in live),
            idle=idle,
            watched_from=None if first is None else first + FIRST_WATCHED,
        )

    def _look(
        self, incident: Incident, action: Action | None, fleet: _Fleet, now: datetime, mode: Mode | None = None
    ) -> Look:
        """How it is seen, with the care that the mode asks for: the policy's, where none is given."""
        mode = mode or self.policy.effective_mode
        status = fleet.statuses.get(incident.workload or "")
        fleet_gpus, newly_idle_gpus = fleet.gpus, self._turned_idle(fleet, status, now, mode)
        families = int(incident.evidence.get("families", 0))
        if self._is_split(incident, now, mode):
            families = 0  # whoever judged it has seen a part of it
        executed = action is not None and action.step is ActionStep.EXECUTED
        traces = self._traces(incident, action, status) if action is not None and executed else None
        if status is None:
            return Look(
                state=WorkloadState.UNKNOWN, fresh_age_s=None, families=0, gpus=0, fleet_gpus=fleet_gpus,
                newly_idle_gpus=newly_idle_gpus, traces=traces,
            )  # fmt: skip
        age_s = (now - status.at).total_seconds()
        idle_s = None if status.idle_since is None else (status.at - status.idle_since).total_seconds()
        return Look(
            state=status.state,
            fresh_age_s=age_s if age_s < -AHEAD_S else max(age_s, 0.0),
            families=families,
            gpus=status.devices,
            fleet_gpus=fleet_gpus,
            newly_idle_gpus=newly_idle_gpus,
            idle_s=idle_s,
            warning_delivered=action is not None and self._warned(action),
            traces=traces,
        )

    def _with_target(self, look: Look, incident: Incident) -> Look:
        """The same with what a target that can be asked says just now."""
        if self._observe is None or self.policy.effective_mode is Mode.OBSERVE or not incident.workload:
            return look
        target = self._observe(incident.workload)
        replicas = look.replicas if target is None or target.replicas is None else target.replicas
        return replace(look, replicas=replicas, target=target, target_asked=True)

    def _traces(self, incident: Incident, action: Action, status: StatusRow | None) -> Traces:
        """Where the accelerators of an executed action were seen, over all partitions."""
        store, executed_at = self.store, action.executed_at or action.at
        own = store.devices_of(action.workload, executed_at - OWN_WITHIN)
        beside = store.devices_beside(action.workload, executed_at)
        alive = status is not None and (status.devices > 0 or status.state is WorkloadState.BUSY)
        sightings = [own.latest_at, status.at if status is not None and alive else None]
        heard = (beside.latest_at, store.low_watermark())
        known = [at for at in heard if at is not None]
        return Traces(
            owned_gpus=own.devices,
            moved_gpus=sum(
                1 for one in store.devices(incident.devices) if one.workload != action.workload and one.at > executed_at
            ),
            last_seen_at=max((at for at in sightings if at is not None), default=None),
            heard_until=min(known) if len(known) == len(heard) else None,
            others_heard=beside.devices,
            order_delivered=self._delivered(action, ActionStep.EXECUTED, channel_prefix=TARGET_PREFIX),
        )

    def may_have_acted(self, action: Action) -> bool:
        """Whether the order to stop may have reached the target: only then is there something to bring back.

        An order that was refused at its first attempt never left, or was turned down.
        """
        return any(
            entry.state is State.DELIVERED or entry.attempts > 1
            for entry in self.store.notices(50, subject_id=action.action_id)
            if entry.notice.step == ActionStep.EXECUTED and entry.notice.channel.startswith(TARGET_PREFIX)
        )

    def _delivered(self, action: Action, step: ActionStep, channel_prefix: str) -> bool:
        return any(
            entry.state is State.DELIVERED
            and entry.notice.step == step
            and entry.notice.channel.startswith(channel_prefix)
            for entry in self.store.notices(50, subject_id=action.action_id)
        )

    def _is_split(self, incident: Incident, now: datetime, mode: Mode) -> bool:
        """Whether events of the workload lie in several partitions, each of which knows a part of what it does."""
        if mode is Mode.OBSERVE or incident.workload is None:
            return False
        return len(self.store.partitions_of(incident.workload, now - SPLIT_WITHIN, now)) > 1

    def _turned_idle(self, fleet: _Fleet, status: StatusRow | None, now: datetime, mode: Mode) -> int:
        """Accelerators that turned idle within minutes of now, or together with those of `status`.

        A workload is looked at long after it turned idle: that the whole fleet did so with it is still no coincidence.
        What was idle when a person last reset the breaker, or when the watching began, is not held against it.
        """
        newly = sum(one.idle_devices for at, one in fleet.idle if now - at <= NEWLY_IDLE_WITHIN)
        since = None if status is None else status.idle_since
        if status is None or since is None or mode is Mode.OBSERVE:
            return newly
        if fleet.watched_from is not None and since <= fleet.watched_from:
            return newly
        together = [one for at, one in fleet.idle if abs(at - since) <= NEWLY_IDLE_WITHIN]
        alone = all(one.workload == status.workload for one in together)
        return newly if alone else max(newly, sum(one.idle_devices for one in together))

    def _warned(self, action: Action) -> bool:
        """Whether its latest warning came through; one from before it was last kept does not count."""
        warned_at = action.warned_at or action.at
        entries = self.store.notices(100, subject_id=action.action_id)
        return any(
            entry.state is State.DELIVERED and entry.notice.step == ActionStep.WARNED and entry.notice.at >= warned_at
            for entry in entries
        )

    def _record(
        self,
        decision: Decision,
        action: Action,
        incident: Incident,
        before: Action | None,
        status: StatusRow | None,
    ) -> bool:
        notices: Sequence[Notice] = action_notices(self.router, action, incident, action_title)
        notices = [*notices, *orders(action, self.policy.target)]
        stopped = [_without_accelerators(status)] if status is not None and _all_gone(action, status) else []
        if not self.store.save_action(action, notices, after=before.step if before else None, statuses=stopped):
            return False
        log.info(
            "action_step", action_id=action.action_id, workload=action.workload, step=str(action.step),
            mode=str(action.mode), reason=str(decision.reason), usd_per_hour=action.usd_per_hour,
        )  # fmt: skip
        if action.step in STEP_POINTS:
            reach(STEP_POINTS[action.step])
        return True


def _all_gone(action: Action, status: StatusRow) -> bool:
    """Whether it is proven that nothing is left of it; what still answers requests goes on to cost."""
    proven = action.step is ActionStep.VERIFIED and action.evidence.get(ACCELERATORS_LEFT) == 0.0
    return proven and status.state is not WorkloadState.BUSY


def _without_accelerators(status: StatusRow) -> StatusRow:
    """The status of a workload that has stopped: nothing of it is idle, or paid for, from now on."""
    return replace(
        status,
        state=WorkloadState.UNKNOWN,
        usd_per_hour=0.0,
        devices=0,
        idle_devices=0,
        util_ratio=None,
        power_w=None,
        idle_since=None,
    )
