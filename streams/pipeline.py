"""The way of an event: decoded, attributed, priced, folded into its minute; and complete minutes judged.

One pipeline serves one partition and knows no transport: the Faust worker, the embedded runner and `replay` call the
same `observe`. What it finds out is handed over by `drain`, and its whole state by `snapshot`, to be written in one
transaction together with the offsets.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from alerts.incidents import Book, SeverityPolicy, Transition
from alerts.notices import Notice
from detectors.events import Change, Charge, Event, GpuSample, TokenUsage
from detectors.minute import Detector, moment
from detectors.panel import Fleet, PanelError
from store.facts import ChangeRow, ChargeRow, Facts, RejectRow
from streams.attribution import Attribution
from streams.clock import Clock
from streams.duplicates import Seen
from streams.fold import NAN, OpenMinute
from streams.formats.native import decode, elements
from streams.ledger_pages import LedgerPages
from streams.pricing import Learnt, Pricer
from streams.records import Messages, Record, records_of
from streams.status import Statuses

SNAPSHOT_VERSION = 1
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_S = 86_400
LONGEST_SILENCE_MINUTES = 1_440  # after a longer hole in the data only the last day of it is walked through
MAX_REJECT_BYTES = 65_536  # of a payload that is set aside


class SnapshotError(ValueError):
    """A snapshot that this release can't read."""


class Limits(Struct, frozen=True, kw_only=True):
    """How the stream is bounded in time and size."""

    allowed_lateness_s: int = 120
    silence_s: int = 60  # an input without unread messages holds the clock for so long
    horizon_h: int = 48  # late corrections are taken, and duplicates known, so far back
    retention_days: int = 400  # older events are set aside
    max_ahead_s: int = 300  # events dated further ahead are set aside
    max_message_bytes: int = 1_048_576
    max_workloads: int = 100_000
    max_devices: int = 200_000


class Tally(Struct):
    """Counts since the last look, for metrics."""

    records: dict[str, int] = {}
    events: dict[str, int] = {}
    rejects: dict[str, int] = {}
    unpriced_tokens: dict[str, int] = {}
    duplicates: int = 0
    late: int = 0


class Pipeline:
    """The state of one partition, and what turns its messages into facts."""

    def __init__(
        self,
        *,
        partition: int,
        detectors: Sequence[Detector],
        statuses: Statuses,
        pricer: Pricer,
        attribution: Attribution,
        severity: SeverityPolicy,
        route: Callable[[Transition], list[Notice]],
        limits: Limits,
    ) -> None:
        """Everything it works with is handed in."""
        self.partition, self.limits = partition, limits
        self.detectors, self.statuses, self.route = tuple(detectors), statuses, route
        self.pricer, self.attribution = pricer, attribution
        self.severity, self.book = severity, Book(severity)
        self.fleet = Fleet(max_workloads=limits.max_workloads, max_devices=limits.max_devices)
        self.clock = Clock(lateness_ms=limits.allowed_lateness_s * 1000, silence_ms=limits.silence_s * 1000)
        self.offsets: dict[str, int] = {}  # by topic: the next one to read
        self.pages, self.seen = LedgerPages(partition), Seen()
        self.open: dict[int, OpenMinute] = {}  # by epoch minute
        self.next_minute = 0  # the first one not closed yet
        self.floor_hour = 0  # events before this epoch hour are too old to be told from duplicates
        self.changes: list[tuple[int, int, str, str]] = []
        self.facts, self.tally = Facts(), Tally()

    def observe(self, messages: Messages, behind: AbstractSet[str] = frozenset(), now: datetime | None = None) -> None:
        """Take messages in the order of each topic. `behind` names the topics that have unread ones.

        How they are cut into calls changes nothing: a minute closes at the message that completes it. Messages before
        the next offset of their topic have been taken already and are passed over. `now`: when they are taken, where
        that may be long after they arrived; silence is counted from it.
        """
        now_ms = None if now is None else _ms(now)
        for record in records_of(messages):
            if record.offset < self.offsets.get(record.topic, 0):
                continue
            self.offsets[record.topic] = record.offset + 1
            self._count(self.tally.records, record.topic)
            self._message(record, behind, now_ms)

    def tick(self, now: datetime, behind: AbstractSet[str] = frozenset()) -> None:
        """Time has passed without messages: inputs that have gone silent no longer hold the clock."""
        self.clock.advance(_ms(now), behind)
        self._close()

    def silent(self, now: datetime) -> bool:
        """Whether no input holds the clock any more."""
        return self.clock.silent(_ms(now))

    def follow(self, watermark: datetime) -> None:
        """Go on with the rest of the service: for a partition that has read everything and hears nothing more."""
        self.clock.follow(_ms(watermark) // MINUTE_MS * MINUTE_MS)
        self._close(others_heard=True)

    def finish(self) -> None:
        """The input has ended: close every minute that is open. For `replay`."""
        self.clock.watermark_ms = max(
            [self.clock.watermark_ms, *((minute + 1) * MINUTE_MS for minute in self.open)],
        )
        self._close()

    def drain(self) -> Facts:
        """What was found out since the last call."""
        facts, self.facts = self.facts, Facts()
        facts.ledger = self.pages.drain(dict(zip(self.fleet.workloads.keys, self.fleet.teams, strict=True)))
        facts.devices = self.statuses.drain_devices(self.fleet)
        facts.statuses = self.statuses.drain(self.fleet)
        facts.incidents = self.book.drain()
        return facts

    def snapshot(self) -> bytes:
        """The whole state, to be written together with `offsets`."""
        return msgspec.msgpack.encode(
            {
                "version": SNAPSHOT_VERSION,
                "fleet": self.fleet.to_bytes(),
                "clock": self.clock,
                "pages": self.pages.to_bytes(),
                "seen": self.seen.to_bytes(),
                "open": self.open,
                "next_minute": self.next_minute,
                "floor_hour": self.floor_hour,
                "changes": self.changes,
                "book": self.book.to_bytes(),
                "learnt": dict(sorted(self.pricer.learnt.items())),
            }
        )

    def load(self, snapshot: bytes, offsets: dict[str, int]) -> None:
        """Take what `snapshot` wrote. Raises SnapshotError for another version or other bytes."""
        try:
            held: dict[str, Any] = msgspec.msgpack.decode(snapshot)
            version = held["version"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise SnapshotError(f"snapshot of partition {self.partition} is damaged; restore a backup") from error
        if version != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"snapshot of partition {self.partition} has version {version}, this release reads {SNAPSHOT_VERSION}; "
                "start the release that wrote it"
            )
        try:
            self.statuses.declare(self.fleet)
            for detector in self.detectors:  # so that their columns are there to be filled
                detector.look(self.fleet, OpenMinute().close(0, 0, ()))
            self.statuses.declare(self.fleet)
            self.fleet.load(held["fleet"])
            self.pages.load(held["pages"])
            self.seen.load(held["seen"])
            self.clock = msgspec.convert(held["clock"], Clock)
            self.open = msgspec.convert(held["open"], dict[int, OpenMinute])
            self.changes = msgspec.convert(held["changes"], list[tuple[int, int, str, str]])
            self.book = Book.from_bytes(held["book"], self.severity)
            self.pricer.learnt = msgspec.convert(held["learnt"], dict[str, Learnt])
            self.next_minute = msgspec.convert(held["next_minute"], int)
            self.floor_hour = msgspec.convert(held["floor_hour"], int)
        except (msgspec.MsgspecError, PanelError, KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"snapshot of partition {self.partition} is damaged: {error}") from error
        self.offsets = dict(offsets)

    def _message(self, record: Record, behind: AbstractSet[str], now_ms: int | None) -> None:
        arrived_ms = _ms(record.arrived_at)
        heard_ms = arrived_ms if now_ms is None else max(arrived_ms, now_ms)
        events, faults = decode(record.value, self.limits.max_message_bytes)
        for fault in faults:
            self._set_aside(record, fault.index, fault.payload, "malformed", fault.reason)
        newest_ms, parts = 0, None
        for index, event in events:
            at_ms = _ms(event.at)
            unusable = self._unusable(event, at_ms, arrived_ms)
            if unusable is not None:
                parts = parts or elements(record.value)
                self._set_aside(record, index, parts[index], *unusable)
                continue
            newest_ms = max(newest_ms, at_ms)
            self._count(self.tally.events, type(event).__name__)
            self._event(record.topic, event, at_ms)
        if newest_ms:
            self.clock.take(record.topic, newest_ms, heard_ms)
        self.clock.advance(heard_ms, behind)
        self._close()

    def _unusable(self, event: Event, at_ms: int, arrived_ms: int) -> tuple[str, str] | None:
        """Why an event's time can't be right, in a word and in words, before it touches the clock; else None."""
        ahead_s = (at_ms - arrived_ms) / 1000
        if ahead_s > self.limits.max_ahead_s:
            return (
                "in_the_future",
                f"dated {ahead_s:.0f} s ahead of its arrival, the limit is {self.limits.max_ahead_s} s",
            )
        if -ahead_s > self.limits.retention_days * DAY_S:
            return "too_old", f"older than the retention of {self.limits.retention_days} days"
        if isinstance(event, GpuSample | TokenUsage) and (at_ms - event.span_s * 1000) / HOUR_MS < self.floor_hour:
            late = f"more than {self.limits.horizon_h} hours behind the stream"
            return "too_late", f"{late}: too late to be told from a duplicate"
        return None

    def _event(self, topic: str, event: Event, at_ms: int) -> None:
        if isinstance(event, GpuSample):
            self._gpu_sample(topic, event, at_ms)
        elif isinstance(event, TokenUsage):
            self._token_usage(topic, event, at_ms)
        elif isinstance(event, Charge):
            self._charge(event)
        else:
            self._change(event, at_ms)

    def _gpu_sample(self, topic: str, event: GpuSample, at_ms: int) -> None:
        if not self.seen.first(f"gpu|{event.device}", at_ms):
            self.tally.duplicates += 1
            return
        team = self.attribution.team(event.workload, event.team, event.labels)
        workload = self.fleet.workload(event.workload, team)
        device = self.fleet.device(event.device, event.gpu_model, workload)
        name = self.fleet.workloads.keys[workload]
        span_ms = round(event.span_s * 1000)
        begun_at = event.at - timedelta(milliseconds=span_ms)
        rate = self.pricer.gpu_rate(event.gpu_model, event.workload, begun_at)
        nano_usd = 0 if rate is None else rate[0] * span_ms // HOUR_MS
        line = f"gpu|{event.gpu_model or 'unknown'}|{rate[1] if rate else 'unpriced'}"
        self.pages.add(name, line, at_ms, span_ms, nano_usd=nano_usd, gpu_ms=span_ms)
        minute = self._minute(topic, at_ms)
        if minute is None:
            return
        used, total = event.memory_used_bytes, event.memory_total_bytes
        minute.add_device(
            device,
            at_ms,
            (
                workload,
                event.span_s,
                _or_nan(event.util_ratio),
                _or_nan(event.engine_active_ratio),
                _or_nan(event.sm_active_ratio),
                _or_nan(event.tensor_active_ratio),
                used / total if used is not None and total else NAN,
                _or_nan(event.power_w),
                rate[0] / 1e9 if rate else NAN,
            ),
        )
        if rate is None:
            minute.add_unpriced(workload, event.gpu_model or "unknown accelerator", 0, span_ms)

    def _token_usage(self, topic: str, event: TokenUsage, at_ms: int) -> None:
        if not self.seen.first(f"tokens|{event.event_id}", at_ms):
            self.tally.duplicates += 1
            return
        team = self.attribution.team(event.workload, event.team, event.labels)
        workload = self.fleet.workload(event.workload, team)
        name = self.fleet.workloads.keys[workload]
        cost = self.pricer.tokens(event)
        tokens = event.input_tokens + event.output_tokens
        unpriced = tokens if cost is None else 0
        self.pages.add(
            name,
            f"tokens|{event.provider}/{event.model}|{cost.source if cost else 'unpriced'}",
            at_ms,
            round(event.span_s * 1000),
            nano_usd=cost.nano_usd if cost else 0,
            requests=event.requests,
            input_tokens=event.input_tokens,
            output_tokens=event.output_tokens,
            unpriced_tokens=unpriced,
        )
        if unpriced:
            model = (
                event.model
                if event.model in self.tally.unpriced_tokens or len(self.tally.unpriced_tokens) < 100
                else "other"
            )
            self.tally.unpriced_tokens[model] = self.tally.unpriced_tokens.get(model, 0) + unpriced
        minute = self._minute(topic, at_ms)
        if minute is None:
            return
        minute.add_usage(
            workload,
            at_ms,
            (
                event.span_s,
                event.requests,
                event.errors or 0,
                event.input_tokens,
                event.output_tokens,
                _or_nan(event.requests_running),
                _or_nan(event.requests_waiting),
                cost.nano_usd / 1e9 if cost else 0.0,
                cost.reference_nano_usd / 1e9 if cost else 0.0,
            ),
        )
        if unpriced:
            minute.add_unpriced(workload, event.model, unpriced, 0)

    def _charge(self, event: Charge) -> None:
        self.pricer.learn(event)
        self.facts.charges.append(
            ChargeRow(
                identity=event.identity,
                at=event.at,
                period_start=event.charge_period_start,
                period_end=event.charge_period_end,
                workload=event.workload,
                team=event.team,
                provider=event.service_provider_name,
                sku=event.sku_id,
                category=event.charge_category,
                currency=event.billing_currency,
                billed_cost=event.billed_cost,
                effective_cost=event.effective_cost,
            )
        )

    def _change(self, event: Change, at_ms: int) -> None:
        row = self.fleet.workload(event.workload, None)
        entry = (row, at_ms // 1000, event.kind, event.summary)
        if entry not in self.changes and len(self.changes) < 10_000:
            self.changes.append(entry)
            self.changes.sort(key=lambda change: (change[1], change))
        self.facts.changes.append(
            ChangeRow(
                event_id=event.event_id,
                at=event.at,
                workload=event.workload,
                kind=event.kind,
                summary=event.summary,
                url=event.url,
            )
        )

    def _minute(self, topic: str, at_ms: int) -> OpenMinute | None:
        """The open minute in which a span that ends at `at_ms` lies; None where that is closed."""
        if self.clock.late(topic, at_ms):
            self.tally.late += 1
            return None
        number = (at_ms - 1) // MINUTE_MS
        minute = self.open.get(number)
        if minute is None:
            minute = self.open[number] = OpenMinute()
            if not self.next_minute or (number < self.next_minute and not self.clock.watermark_ms):
                self.next_minute = number
        return minute

    def _close(self, *, others_heard: bool = False) -> None:
        """Judge every minute that the watermark has passed, in order."""
        ready = self.clock.watermark_ms // MINUTE_MS
        if not self.next_minute or ready <= self.next_minute:
            return
        first = min([self.next_minute, *self.open])
        while first < ready:
            first = self._skip(first, ready)
            self._judge(first, others_heard)
            first += 1
        self.next_minute = ready
        self.floor_hour = max(
            self.floor_hour, self.clock.oldest_ms(self.limits.horizon_h * HOUR_MS) // HOUR_MS - self.limits.horizon_h
        )
        self.pages.forget(self.floor_hour)
        self.seen.forget(self.floor_hour)

    def _skip(self, minute: int, ready: int) -> int:
        """Over a hole of more than a day, straight to the last day before the next data."""
        if minute in self.open or ready - minute <= LONGEST_SILENCE_MINUTES:
            return minute
        nearest = min([number for number in self.open if number >= minute], default=ready)
        return max(minute, min(nearest, ready) - LONGEST_SILENCE_MINUTES)

    def _judge(self, number: int, others_heard: bool) -> None:
        end_s = (number + 1) * 60
        if self.changes and self.changes[0][1] < end_s - DAY_S:
            self.changes = [change for change in self.changes if change[1] >= end_s - DAY_S]
        known = tuple(change for change in self.changes if change[1] <= end_s + self.limits.allowed_lateness_s)
        folded = self.open.pop(number, None) or OpenMinute()
        minute = folded.close(end_s, self.limits.allowed_lateness_s, known, others_heard=others_heard)
        for detector in self.detectors:
            for finding in detector.look(self.fleet, minute):
                transition = self.book.apply(finding)
                if transition is not None:
                    self.facts.notices.extend(self.route(transition))
        self.statuses.take(self.fleet, minute)

    def _set_aside(self, record: Record, index: int, payload: bytes, word: str, reason: str) -> None:
        self._count(self.tally.rejects, word)
        self.facts.rejects.append(
            RejectRow(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                index=index,
                reason=reason,
                payload=payload[:MAX_REJECT_BYTES],
                at=record.arrived_at,
                fault=word,
            )
        )

    def take_tally(self) -> Tally:
        """Counts since the last call."""
        tally, self.tally = self.tally, Tally()
        return tally

    @staticmethod
    def _count(counts: dict[str, int], key: str) -> None:
        counts[key] = counts.get(key, 0) + 1

    @property
    def watermark(self) -> datetime | None:
        """Event time up to which everything is complete; None before the first event."""
        return moment(self.clock.watermark_ms / 1000) if self.clock.watermark_ms else None


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _or_nan(value: float | None) -> float:
    return NAN if value is None else value
