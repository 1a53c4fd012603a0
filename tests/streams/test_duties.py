from collections import Counter
from datetime import UTC, datetime, timedelta

from alerts.notices import Outcome
from store.actions import Pause
from streams.duties import Duties
from streams.metrics import Metrics

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Leases:
    """A store in which the lease is ours, and nothing else is."""

    def __init__(self) -> None:
        self.pruned: list[datetime] = []

    def prune(self, before):
        self.pruned.append(before)

    def acquire_lease(self, name, owner, now, ttl_s):
        return True

    def open_incidents(self):
        return []

    def pause(self):
        return Pause(paused=True, by="breaker")

    def pending_counts(self):
        return {}

    def statuses(self):
        return []


class Sent:
    """A delivery that has made these attempts."""

    def __init__(self) -> None:
        self.outcomes = Counter({("slack", Outcome.REFUSED): 2, ("slack", Outcome.DELIVERED): 3})

    def deliver_due(self, may_send):
        return 5


class Nothing:
    def run(self, now):
        return None

    def take_over(self, now):
        return None


def test_each_attempt_to_send_is_counted_once():
    metrics = Metrics()
    nothing = Nothing()
    duties = Duties(
        Leases(), delivery=Sent(), forecasts=nothing, scale_down=nothing, digest=nothing, metrics=metrics,
        owner="one", clock=lambda: NOON,
    )  # fmt: skip

    duties.run_due()
    duties.run_due()

    read = metrics.registry.get_sample_value
    name = "emberwatch_notifications_total"
    assert read(name, {"channel": "slack", "outcome": "refused"}) == 2.0
    assert read(name, {"channel": "slack", "outcome": "delivered"}) == 3.0
    assert [read("emberwatch_actions_paused", {"by": by}) for by in ("breaker", "person")] == [1.0, 0.0]


def test_what_is_older_than_the_retention_is_pruned_once_an_hour():
    store, nothing = Leases(), Nothing()
    duties = Duties(
        store, delivery=Sent(), forecasts=nothing, scale_down=nothing, digest=nothing, metrics=Metrics(),
        owner="one", clock=lambda: NOON, retention=timedelta(days=400),
    )  # fmt: skip

    duties.run_due()
    duties.run_due()

    assert store.pruned == [NOON - timedelta(days=400)]
