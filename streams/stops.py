"""Partitions that are stopped because too much of them can't be used: said once, until a person lets them go on."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

import structlog

from alerts.incidents import Transition
from alerts.notices import Notice
from alerts.partition_stop import stopped
from store.facts import Facts, StopRow
from store.store import Store
from streams.held import Held, joined
from streams.metrics import Metrics
from streams.poison import PoisonGuard, PoisonLimit, Trip

log = structlog.get_logger()

RESUMED_EVERY_S = 2.0


def told_to_nobody(transition: Transition) -> list[Notice]:
    """No channel hears of anything."""
    return []


class Stops:
    """Which partitions of this process are not read, and why."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], datetime],
        metrics: Metrics,
        poison: PoisonLimit | None,
        together: bool,
        route: Callable[[Transition], list[Notice]],
    ) -> None:
        """`poison`: how much is borne, None: anything; `together`: over all topics. `route`: who hears of a stop."""
        self.store, self.clock, self.metrics = store, clock, metrics
        self.poison, self.together, self.route = poison, together, route
        self.stopped: dict[int, str] = {}  # partitions that are not read, and why: what comes is to be read again
        self._looked_s = float("-inf")

    def begin(self, held: Held, stop: StopRow | None, allowance: int) -> None:
        """Take up the state of a partition that was claimed: stopped, or with so many bad messages to let through."""
        self._allow(held, allowance)
        if stop is not None:
            self._note(held.partition, stop.reason)
        else:
            self.metrics.partition_stopped(held.partition, False)

    def stop(self, held: Held, trip: Trip) -> None:
        """Read no further, and say so once, with the next commit of the partition."""
        now, partition = self.clock(), held.partition
        opened = stopped(
            topic=trip.topic,
            partition=partition,
            offset=trip.offset,
            at=datetime.fromtimestamp(trip.arrived_ms / 1000, UTC),
            now=now,
            bad_messages=trip.bad_messages,
        )
        row = StopRow(
            partition=partition,
            topic=trip.topic,
            offset=trip.offset,
            reason=trip.reason,
            at=now,
            incident_id=opened.incident.incident_id,
        )
        told = Facts(incidents=[opened.incident], notices=self.route(opened), stops=[row])
        held.unwritten = joined(held.unwritten, told)
        self._note(partition, trip.reason)

    def is_time_to_look(self) -> bool:
        """Whether some are stopped, and it is a while ago that was looked for those that may go on."""
        if not self.stopped or monotonic() - self._looked_s < RESUMED_EVERY_S:
            return False
        self._looked_s = monotonic()
        return True

    async def take_up(self, held: Held) -> None:
        """Go on with a stopped partition if a person has let it. Raises StoreUnavailable."""
        partition = held.partition
        allowance = await asyncio.to_thread(self.store.take_up_resumed, partition, self.clock())
        if allowance is not None:
            self._allow(held, allowance)
            del self.stopped[partition]
            self.metrics.partition_stopped(partition, False)
            log.info("partition_resumed", partition=partition, allowance=allowance)

    def forget(self, partition: int) -> None:
        """The partition is no longer ours."""
        self.stopped.pop(partition, None)
        self.metrics.partition_stopped(partition, None)

    def in_words(self) -> str | None:
        """Which partitions are not read, and why; None while all are."""
        return "; ".join(reason for _, reason in sorted(self.stopped.items())) or None

    def _note(self, partition: int, reason: str) -> None:
        self.stopped[partition] = f"partition {partition} is stopped: {reason}; `emberwatch dlq resume` lets it go on"
        self.metrics.partition_stopped(partition, True)
        log.error("partition_stopped", partition=partition, reason=reason)

    def _allow(self, held: Held, allowance: int) -> None:
        held.allowance = allowance
        if self.poison is not None:
            held.guard = PoisonGuard(self.poison, together=self.together, allowance=allowance)
