"""What the service counts about itself, for Prometheus: base units, one prefix, few labels."""

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from alerts.incidents import Incident
from alerts.scale_down import Why

MOST_LABELS = 200  # distinct values of a label that comes from outside; the rest is "other"
OTHER = "other"
BREAKER = "breaker"  # who paused all actions, where no person did
NOBODY = "none"  # the team of a workload that has none
LAG_BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 21600, 86400)
COMMIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Names:
    """At most `most` distinct names; whoever comes later is `other`."""

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


class Metrics:
    """All metrics of a process on a registry of its own. Methods are safe to call from any thread."""

    def __init__(self, version: str = "unknown", registry: CollectorRegistry | None = None) -> None:
        """Metrics on `registry`, or on a new one."""
        self.registry = registry or CollectorRegistry()
        own = self.registry
        self._consumed = Counter("emberwatch_records_consumed", "Records read from an input", ["topic"], registry=own)
        self._events = Counter("emberwatch_events", "Events decoded", ["type"], registry=own)
        self._rejected = Counter("emberwatch_records_rejected", "Events set aside", ["reason"], registry=own)
        self._watermark = Gauge(
            "emberwatch_watermark_timestamp_seconds",
            "Event time up to which minutes are closed",
            ["partition"],
            registry=own,
        )
        self._lag = Histogram(
            "emberwatch_event_time_lag_seconds",
            "Arrival of an event less its own time",
            buckets=LAG_BUCKETS_S,
            registry=own,
        )
        self._commit = Histogram(
            "emberwatch_commit_seconds",
            "Duration of one commit of facts and progress",
            buckets=COMMIT_BUCKETS_S,
            registry=own,
        )
        self._incidents = Gauge("emberwatch_incidents_open", "Open incidents", ["kind", "severity"], registry=own)
        self._notified = Counter("emberwatch_notifications", "Attempts to send", ["channel", "outcome"], registry=own)
        self._pending = Gauge("emberwatch_outbox_pending", "Notices that wait to be sent", ["channel"], registry=own)
        self._paused = Gauge(
            "emberwatch_actions_paused", "1 while all scale-downs are stopped, by whom", ["by"], registry=own
        )
        self._pressure = Gauge(
            "emberwatch_backpressure", "1 while input waits for this reason", ["reason"], registry=own
        )
        self._spend = Gauge("emberwatch_spend_usd_per_hour", "Spend now, in USD per hour", ["team"], registry=own)
        self._idle = Gauge(
            "emberwatch_gpu_idle_usd_per_hour", "Spend now on idle GPUs, USD per hour", ["team"], registry=own
        )
        self._unpriced = Counter(
            "emberwatch_unpriced_tokens", "Tokens that no price book knows", ["model"], registry=own
        )
        self._gaps = Counter(
            "emberwatch_gaps", "Gaps: messages gone from Kafka unread", ["topic", "cause"], registry=own
        )
        self._missing = Counter(
            "emberwatch_events_missing",
            "Messages gone from Kafka unread, at most, where known",
            ["topic"],
            registry=own,
        )
        self._decisions = Counter(
            "emberwatch_scale_down_decisions",
            "Looks at an idle incident or its action, by what was decided and why",
            ["reason"],
            registry=own,
        )
        Info("emberwatch_build", "The running version", registry=own).info({"version": version})
        self._transport = Info("emberwatch_transport", "What carries the messages from Kafka, and why", registry=own)
        self._reasons, self._models, self._channels = _Names(), _Names(), _Names()
        self._stopped = Gauge(
            "emberwatch_partition_stopped", "1 while a partition is not read: too much was set aside", ["partition"],
            registry=own,
        )  # fmt: skip
        self._partitions: set[int] = set()
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}

    def transport(self, name: str, reason: str | None) -> None:
        """Messages come by this transport; the reason is that why it is not the fast one."""
        self._transport.info({"name": name, "reason": reason or ""})

    def consumed(self, topic: str, records: int = 1) -> None:
        """Records were read from an input."""
        self._consumed.labels(topic).inc(records)

    def decoded(self, event_type: str, events: int = 1) -> None:
        """Events of one type were decoded."""
        self._events.labels(event_type).inc(events)

    def rejected(self, reason: str, events: int = 1) -> None:
        """Events were set aside for one of the fixed reasons."""
        self._rejected.labels(self._reasons(reason)).inc(events)

    def partition_stopped(self, partition: int, stopped: bool | None) -> None:
        """A partition of this process is stopped, or read; None: another process has it now."""
        if stopped is not None:
            self._stopped.labels(str(partition)).set(float(stopped))
            self._partitions.add(partition)
        elif partition in self._partitions:
            self._partitions.remove(partition)
            self._stopped.remove(str(partition))

    def watermark(self, partition: int, at: datetime) -> None:
        """A partition's minutes are closed up to this moment."""
        self._watermark.labels(str(partition)).set(at.timestamp())

    def event_time_lag(self, lag_s: float) -> None:
        """An event arrived this many seconds after its own time."""
        self._lag.observe(max(0.0, lag_s))

    def committed(self, duration_s: float) -> None:
        """A commit took this many seconds."""
        self._commit.observe(duration_s)

    def incidents_open(self, incidents: Iterable[Incident]) -> None:
        """These are all the incidents that are open now."""
        tally = Tally((str(one.kind), str(one.severity)) for one in incidents if one.resolved_at is None)
        self._replace(self._incidents, {labels: float(number) for labels, number in tally.items()})

    def notified(self, channel: str, outcome: str) -> None:
        """One attempt to send had this outcome."""
        self._notified.labels(self._channels(channel), outcome).inc()

    def outbox_pending(self, pending: Mapping[str, int]) -> None:
        """So many notices wait now, by channel; a channel that is not named has none."""
        self._replace(self._pending, {(channel,): float(number) for channel, number in pending.items()})

    def actions_paused(self, by: str | None) -> None:
        """All scale-downs are stopped, by the breaker or by a person; None: they are not."""
        for who in (BREAKER, "person"):
            stopped = by is not None and (by == BREAKER) is (who == BREAKER)
            self._paused.labels(who).set(float(stopped))

    def back_pressure(self, reasons: Callable[[], Collection[str]], every: Iterable[str]) -> None:
        """Ask `reasons` for what holds input back whenever the metrics are read; `every`: all that there are."""

        def held(reason: str) -> float:
            return float(reason in reasons())

        for reason in every:
            self._pressure.labels(reason).set_function(partial(held, reason))

    def spend(self, usd_per_hour: Mapping[str | None, float], idle_usd_per_hour: Mapping[str | None, float]) -> None:
        """What is spent now by team, and how much of it on idle GPUs. The smallest of very many teams are `other`."""
        self._replace(self._spend, _largest(usd_per_hour))
        self._replace(self._idle, _largest(idle_usd_per_hour))

    def unpriced(self, model: str, tokens: int) -> None:
        """Tokens were used that nobody could price."""
        self._unpriced.labels(self._models(model)).inc(tokens)

    def lost(self, topic: str, cause: str, most_events: int) -> None:
        """A gap was found: so many messages at most are gone, 0 where that can't be known."""
        self._gaps.labels(topic, cause).inc()
        self._missing.labels(topic).inc(most_events)

    def decided(self, reason: Why) -> None:
        """One look at a scale-down ended with this reason, for a step or for none."""
        self._decisions.labels(str(reason)).inc()

    def _replace(self, gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        for labels in self._shown.get(gauge, set()) - values.keys():
            gauge.remove(*labels)
        self._shown[gauge] = set(values)


def _largest(usd_per_hour: Mapping[str | None, float]) -> dict[tuple[str, ...], float]:
    ranked = sorted(usd_per_hour.items(), key=lambda pair: (-pair[1], pair[0] or ""))
    values: dict[tuple[str, ...], float] = {}
    for place, (team, usd) in enumerate(ranked):
        label = (team or NOBODY,) if place < MOST_LABELS else (OTHER,)
        values[label] = values.get(label, 0.0) + usd
    return values
