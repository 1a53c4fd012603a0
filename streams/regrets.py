"""The regret ledger: what mode auto would have stopped is written down, and looked at again until work comes back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from alerts.incidents import Incident
from alerts.scale_down import Action, ActionStep, Look, Mode, ScaleDownPolicy
from alerts.would_stop import Outcome, Seen, WouldStop, follow, would_stop
from store.facts import StatusRow
from store.store import Store

log = structlog.get_logger()

LIMITS_COUNT = timedelta(days=1)
FIGURES = ("util_ratio", "power_w", "tokens_per_minute")


class Regrets:
    """Records would-be stops in mode observe, and what became of each."""

    def __init__(self, store: Store, policy: ScaleDownPolicy) -> None:
        """`policy`: the one that is observed."""
        self.store, self.policy = store, policy

    def open(self) -> list[WouldStop]:
        """Those of which the workload does nothing still."""
        return self.store.open_would_stops()

    def due(self, incident: Incident, action: Action | None, now: datetime) -> bool:
        """Whether a look is worth its queries: it has been proposed in mode observe, and for long enough."""
        if self.policy.effective_mode is not Mode.OBSERVE or action is None:
            return False
        idle_s = (now - incident.began_at).total_seconds()
        proposed = action.step is ActionStep.PROPOSED and action.mode is Mode.OBSERVE
        return proposed and incident.resolved_at is None and idle_s >= self.policy.act_after_s

    def look(
        self,
        cases: Sequence[tuple[Incident, Action, Look]],
        statuses: dict[str, StatusRow],
        recent: Sequence[Action],
        now: datetime,
    ) -> list[WouldStop]:
        """Follow those that are open, and add what would be stopped now; return what is new or has changed."""
        before = {stop.stop_id: stop for stop in self.open()}
        changed: dict[str, WouldStop] = {}
        for stop in before.values():
            incident = self.store.incident(stop.incident_id)
            after = follow(stop, incident, _seen(statuses.get(stop.workload)), now)
            if after != stop:
                changed[stop.stop_id] = after
        lately = self.store.would_stops_between(now - LIMITS_COUNT, now + timedelta(seconds=1)) if cases else []
        paused = self.store.paused() if cases else False
        for incident, action, look in cases:
            stop_id = f"{action.action_id}:{action.transition}"
            known = next(
                (one for one in (*changed.values(), *before.values(), *lately) if one.stop_id == stop_id), None
            )
            if known is not None and not known.held_back:
                continue
            new = would_stop(self.policy, incident, action, look, recent, lately, now, paused)
            if new is None or (known is not None and new.held_back):
                continue
            changed[stop_id] = new
            lately = [*(one for one in lately if one.stop_id != stop_id), new]
        self.store.save_would_stops(list(changed.values()))
        for stop in changed.values():
            self._say(stop, before.get(stop.stop_id))
        return list(changed.values())

    @staticmethod
    def _say(stop: WouldStop, before: WouldStop | None) -> None:
        if before is None or before.outcome is not stop.outcome:
            outcome = stop.outcome
            event = "would_have_stopped" if outcome is Outcome.WATCHED else "would_be_stop_judged"
            log.info(event, stop_id=stop.stop_id, workload=stop.workload, outcome=str(outcome), held=stop.held_back)


def _seen(status: StatusRow | None) -> Seen | None:
    if status is None:
        return None
    figures = {name: getattr(status, name) for name in FIGURES}
    return Seen(
        at=status.at,
        state=status.state,
        devices=status.devices,
        idle_since=status.idle_since,
        figures={f"then_{name}": value for name, value in figures.items() if value is not None},
    )
