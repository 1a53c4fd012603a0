"""What must be done once in the whole service: delivery, forecasts, budgets, scale-down, digest. Under one lease.

Any number of processes may try; the store gives the lease to one, and to another within `TTL_S` of its death.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread
from time import monotonic

import structlog

from alerts.notices import Outcome
from store.errors import Fenced, StoreUnavailable
from store.facts import WorkloadState
from store.store import Store
from streams.back_pressure import BackPressure
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.firing import Firing
from streams.forecast_duty import ForecastDuty
from streams.heartbeat import Heart, Heartbeat
from streams.metrics import Metrics
from streams.reminders import Reminders
from streams.scale_down_duty import ScaleDownDuty

log = structlog.get_logger()

LEASE = "duties"
TTL_S = 12.0  # with the time between two tries, a dead holder's duties are taken over within 15 s
RENEWED_EVERY_S = 1.0  # while sending takes long
SLOW_EVERY_S = 30.0  # forecasts, digest
CATCHING_UP_EVERY_S = 5.0  # after a run that had forecasts to issue: behind a backlog there are more
GAUGES_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0
SLOW_STOP_S = 5.0  # a stop waits so long for a forecast under way; it is done again by the next holder


class Duties:
    """Runs what is due, while this process holds the lease."""

    def __init__(
        self,
        store: Store,
        *,
        delivery: Delivery,
        forecasts: ForecastDuty,
        scale_down: ScaleDownDuty,
        digest: DigestDuty,
        metrics: Metrics,
        owner: str,
        clock: Callable[[], datetime],
        act_every_s: float = 10.0,
        retention: timedelta | None = None,
        pressure: BackPressure | None = None,
        reminders: Reminders | None = None,
        firing: Firing | None = None,
        heartbeat: tuple[Heart, float] | None = None,
    ) -> None:
        """`act_every_s`: how often scale-down looks. `retention`: how long what is settled is kept; None: for ever.

        `heartbeat`: where the dead man's switch is, and how many seconds lie between two beats.
        """
        self.store, self.metrics, self.owner, self.clock = store, metrics, owner, clock
        self.delivery, self.forecasts, self.scale_down, self.digest = delivery, forecasts, scale_down, digest
        self.act_every_s, self.retention = act_every_s, retention
        self.pressure = pressure or BackPressure()
        self.reminders, self.firing = reminders, firing
        self.heartbeat = None if heartbeat is None else Heartbeat(*heartbeat, self.unwell)
        self.holds = self._taken_over = False
        self.faults: dict[str, str] = {}
        self._told: Counter[tuple[str, Outcome]] = Counter()
        self._issued = False  # whether the latest run had forecasts to issue
        self._renewed_s = float("-inf")
        self._slow_s = self._act_s = self._gauges_s = self._prune_s = float("-inf")

    def run(self, stop: Event, every_s: float = 0.5) -> None:
        """Until `stop`: the loop of a thread of its own. What takes long runs in another, and holds nothing up."""
        slow = Thread(target=self._run_slow, args=(stop,), name="slow-duties", daemon=True)
        slow.start()
        while not stop.wait(every_s):
            self._do("duties", self.run_fast, passing=())
        slow.join(SLOW_STOP_S)
        if self.holds:
            try:
                self.store.release_lease(LEASE, self.owner)
            except StoreUnavailable as error:
                log.info("lease_left_to_expire", reason=str(error))

    def _run_slow(self, stop: Event) -> None:
        while not stop.wait(1.0):
            self._do("slow duties", self.run_slow, passing=())

    def run_due(self) -> None:
        """One round of everything."""
        self.run_fast()
        self.run_slow()

    def run_fast(self) -> None:
        """Renew the lease, send, act, count. While the store is away nothing is done, and the lease may pass on."""
        try:
            now = self.clock()
            self._renewed_s = monotonic()
            held = self.store.acquire_lease(LEASE, self.owner, now, TTL_S)
            if held and not self.holds:
                log.info("duties_taken", owner=self.owner)
                self._taken_over = False
            self.holds = held
            if not held:
                self.pressure.back("duties")
                return
            self._do("delivery", lambda: self.delivery.deliver_due(self.still_holds))
            if self.holds and monotonic() - self._act_s >= self.act_every_s:
                self._act_s = monotonic()
                if not self.still_holds(every_s=0.0):  # sending took so long that another has taken over
                    return
                self._do("scale_down", lambda: self.scale_down.run(self.clock()))
                self._do("reminders", self._remind)
            if monotonic() - self._gauges_s >= GAUGES_EVERY_S:
                self._gauges_s = monotonic()
                self._do("gauges", self._show)
            self.pressure.back("duties")
        except StoreUnavailable as error:
            self.pressure.away(error, "duties")

    def _remind(self) -> None:
        if self.reminders is not None:
            self.reminders.run(self.clock())

    def _keep_firing(self) -> None:
        if self.firing is not None:
            self.firing.run(self.clock())

    def _beat(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.run(self.clock())

    def still_holds(self, every_s: float = RENEWED_EVERY_S) -> bool:
        """Whether the lease is this process's, asked of the store where that was not done just now.

        A process that was stopped learns here that it is not the holder any more, before it does anything.
        """
        if self.holds and monotonic() - self._renewed_s >= every_s:
            self._renewed_s = monotonic()
            self.holds = self.store.acquire_lease(LEASE, self.owner, self.clock(), TTL_S)
            if not self.holds:
                log.warning("duties_lost", owner=self.owner)
        return self.holds

    def run_slow(self) -> None:
        """Forecasts, budgets and the digest, where this process holds the lease and their time has come."""
        if not self.holds or (self._taken_over and monotonic() - self._slow_s < self._slow_every_s):
            return
        try:
            if not self._taken_over:
                self.forecasts.take_over(self.clock())
                self._taken_over = True
            self._slow_s = monotonic()
            self._do("forecasts", self._forecast)
            self._do("firing", self._keep_firing)
            self._do("heartbeat", self._beat)
            self._do("digest", lambda: self.digest.run(self.clock()))
            if self.retention is not None and monotonic() - self._prune_s >= PRUNE_EVERY_S:
                self._prune_s, before = monotonic(), self.clock() - self.retention
                self._do("prune", lambda: self.store.prune(before))
            self.pressure.back("slow duties")
        except StoreUnavailable as error:
            self.pressure.away(error, "slow duties")
        except Fenced as error:
            log.warning("forecasts_lost", reason=str(error))
            self._taken_over = False

    @property
    def _slow_every_s(self) -> float:
        return CATCHING_UP_EVERY_S if self._issued else SLOW_EVERY_S

    def _forecast(self) -> None:
        self._issued = False
        self._issued = bool(self.forecasts.run(self.clock()))

    def _do(
        self, name: str, duty: Callable[[], object], passing: tuple[type[Exception], ...] = (StoreUnavailable, Fenced)
    ) -> None:
        """One duty. A fault in it stops none of the others: it is said, shown in readiness, and tried again.

        `passing`: what the round it belongs to answers for. A round itself passes nothing: its thread outlives any
        fault, for a dead one would tell nobody anything again.
        """
        try:
            duty()
        except passing:
            raise
        except Exception as error:
            self.faults[name] = f"{name} failed: {type(error).__name__}"
            log.critical("duty_failed", duty=name, error=type(error).__name__, exc_info=error)
        else:
            self.faults.pop(name, None)

    def unwell(self) -> str | None:
        """What failed at its latest try, in words; None while all is well."""
        return "; ".join(sorted(self.faults.values())) or None

    def _show(self) -> None:
        """Bring the gauges up to date."""
        for (channel, outcome), number in self.delivery.outcomes.items():
            for _ in range(number - self._told[channel, outcome]):
                self.metrics.notified(channel, outcome)
        self._told = Counter(self.delivery.outcomes)
        self.metrics.incidents_open(self.store.open_incidents())
        self.metrics.outbox_pending(self.store.pending_counts())
        pause = self.store.pause()
        self.metrics.actions_paused((pause.by or "someone") if pause.paused else None)
        spend: dict[str | None, float] = {}
        idle: dict[str | None, float] = {}
        for status in self.store.statuses():
            if (self.clock() - status.at).total_seconds() > 900:
                continue
            spend[status.team] = spend.get(status.team, 0.0) + status.usd_per_hour
            if status.state is WorkloadState.IDLE:
                idle[status.team] = idle.get(status.team, 0.0) + status.usd_per_hour
        self.metrics.spend(spend, idle)
