"""What keeps firing only while it is said again: the open incidents that an Alertmanager was told of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from alerts.incidents import Incident
from alerts.notices import Outcome, Receipt
from store.store import Store

log = structlog.get_logger()

EVERY_S = 60.0


class Refreshed(Protocol):
    """A channel that forgets what is not said again."""

    def refresh(self, incidents: Sequence[Incident], now: datetime) -> Receipt:
        """Say again that these are open."""


class Firing:
    """Says again, every minute, what is open. What a channel was never told of stays untold."""

    def __init__(self, store: Store, channels: Mapping[str, Refreshed]) -> None:
        self._store, self._channels = store, dict(channels)
        self._done_at: datetime | None = None

    def run(self, now: datetime) -> int:
        """Say it where it is time; return how many incidents were said again."""
        if not self._channels or (self._done_at is not None and 0 <= (now - self._done_at).total_seconds() < EVERY_S):
            return 0
        self._done_at = now
        still_open = {one.incident_id: one for one in self._store.open_incidents()}
        told: dict[str, list[Incident]] = {name: [] for name in self._channels}
        for talk in self._store.talks_of_open():
            if talk.channel in told and talk.told_at is not None and talk.incident_id in still_open:
                told[talk.channel].append(still_open[talk.incident_id])
        said = 0
        for name, incidents in told.items():
            if incidents:
                receipt = self._channels[name].refresh(incidents, now)
                if receipt.outcome is Outcome.DELIVERED:
                    said += len(incidents)
                else:
                    log.warning("not_refreshed", channel=name, incidents=len(incidents), detail=receipt.detail)
        return said
