"""What must be done once in the whole service: delivery, forecasts, budgets, scale-down, digest. Under one lease.

Any number of processes may try; the store gives the lease to one, and to another within `TTL_S` of its death.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Event
from time import monotonic

import structlog

from store.errors import Fenced, StoreUnavailable
from store.facts import WorkloadState
from store.store import Store
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.forecast_duty import ForecastDuty
from streams.metrics import Metrics
from streams.scale_down_duty import ScaleDownDuty

log = structlog.get_logger()

LEASE = "duties"
TTL_S = 15.0
SLOW_EVERY_S = 30.0  # forecasts, digest


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
    ) -> None:
        """`act_every_s`: how often scale-down looks."""
        self.store, self.metrics, self.owner, self.clock = store, metrics, owner, clock
        self.delivery, self.forecasts, self.scale_down, self.digest = delivery, forecasts, scale_down, digest
        self.act_every_s = act_every_s
        self.holds = False
        self._slow_s = self._act_s = self._gauges_s = float("-inf")

    def run(self, stop: Event, every_s: float = 0.5) -> None:
        """Until `stop`: the loop of a thread of its own."""
        while not stop.wait(every_s):
            self.run_due()
        if self.holds:
            try:
                self.store.release_lease(LEASE, self.owner)
            except StoreUnavailable as error:
                log.info("lease_left_to_expire", reason=str(error))

    def run_due(self) -> None:
        """One round. While the store is away nothing is done, and the lease may pass on."""
        try:
            if not self._holds_lease():
                return
            self.delivery.deliver_due()
            if monotonic() - self._act_s >= self.act_every_s:
                self._act_s = monotonic()
                self.scale_down.run(self.clock())
            if monotonic() - self._slow_s >= SLOW_EVERY_S:
                self._slow_s = monotonic()
                self.forecasts.run(self.clock())
                self.digest.run(self.clock())
            if monotonic() - self._gauges_s >= 5.0:
                self._gauges_s = monotonic()
                self._show()
        except StoreUnavailable as error:
            log.warning("duties_wait_for_store", reason=str(error))
        except Fenced as error:
            log.warning("duties_lost", reason=str(error))
            self.holds = False

    def _holds_lease(self) -> bool:
        now = self.clock()
        held = self.store.acquire_lease(LEASE, self.owner, now, TTL_S)
        if held and not self.holds:
            self.forecasts.take_over(now)
            log.info("duties_taken", owner=self.owner)
        self.holds = held
        return held

    def _show(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.incidents_open(self.store.open_incidents())
        self.metrics.outbox_pending(self.store.pending_counts())
        spend: dict[str | None, float] = {}
        idle: dict[str | None, float] = {}
        for status in self.store.statuses():
            if (self.clock() - status.at).total_seconds() > 900:
                continue
            spend[status.team] = spend.get(status.team, 0.0) + status.usd_per_hour
            if status.state is WorkloadState.IDLE:
                idle[status.team] = idle.get(status.team, 0.0) + status.usd_per_hour
        self.metrics.spend(spend, idle)
