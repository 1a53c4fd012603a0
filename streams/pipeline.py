"""The way of an event: decoded, attributed, priced, folded into its minute; and complete minutes judged.

One pipeline serves one partition and knows no transport: the Faust worker, the embedded runner and `replay` call the
same `observe`. What it finds out is handed over by `drain`, and its whole state by `snapshot`, to be written in one
transaction together with the offsets.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerts.incidents import Book, SeverityPolicy, Transition
from alerts.notices import Notice
from detectors.cold import Cold, ColdKind, evict, restore
from detectors.events import Change, Charge, GpuSample
from detectors.fleet_parts import FleetParts
from detectors.minute import Detector, moment
from detectors.panel import Buffer, Fleet, PanelError
from store.facts import UNREADABLE, ChangeRow, ChargeRow, ColdKey, ColdRow, Facts, RejectRow
from streams.attribution import Attribution
from streams.batch import Batch
from streams.clock import Clock, Way
from streams.cold import ColdIndex
from streams.disputes import Disputes
from streams.duplicates import Seen
from streams.fold import OpenMinute
from streams.formats.native import CHARGE, SAMPLE, USAGE, Decoder, elements
from streams.ledger_pages import LedgerPages
from streams.pricing import Learnt, Pricer
from streams.records import Messages, Refused
from streams.samples import Longs, Samples, Taken
from streams.status import Statuses
from streams.usage import Usages

SNAPSHOT_VERSION = 2
KIND_NAMES = ("GpuSample", "TokenUsage", "Charge", "Change")
USABLE, AHEAD, TOO_OLD, TOO_LATE = range(4)
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_S = 86_400
CROWDED_RATIO = 0.5  # of the rows of a panel; beyond it those that are cold leave
LONGEST_SILENCE_MINUTES = 1_440  # after a longer hole in the data only the last day of it is walked through
MAX_REJECT_BYTES = 65_536  # of a payload that is set aside
MAX_KEY_BYTES = 4_096  # a longer key of a message that is set aside is left out: whole, or not at all


Codes = dict[int, list[int]]
"""By kind: a code for each event of that kind."""

Recall = Callable[[str, Sequence[str]], Mapping[str, bytes]]
"""Looks up in the store what was known of cold keys of a kind."""


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
    max_identities: int = 20_000_000  # of events, known so that a second delivery is told from the first


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
        recall: Recall | None = None,
    ) -> None:
        """Everything it works with is handed in. Without `recall` no row ever leaves the panels."""
        self.partition, self.limits = partition, limits
        self.detectors, self.statuses, self.route = tuple(detectors), statuses, route
        self.pricer, self.attribution = pricer, attribution
        self.severity, self.book = severity, Book(severity)
        self.fleet = Fleet(max_workloads=limits.max_workloads, max_devices=limits.max_devices)
        self.clock = Clock(lateness_ms=limits.allowed_lateness_s * 1000, silence_ms=limits.silence_s * 1000)
        self.offsets: dict[str, int] = {}  # by topic: the next one to read
        self.pages, self.seen = LedgerPages(partition), Seen(limits.max_identities)
        self._decoder = Decoder()
        teams = Disputes()  # of rows of which samples or usage say different ones
        self._samples = Samples(self.fleet, pricer, attribution, self.pages, self.seen, teams)
        self._usages = Usages(self.fleet, pricer, attribution, self.pages, self.seen, teams)
        self.open: dict[int, OpenMinute] = {}  # by epoch minute
        self.next_minute = 0  # the first one not closed yet
        self.floor_hour = 0  # events before this epoch hour are too old to be told from duplicates
        self.changes_known: list[tuple[int, int, str, str]] = []  # the last day's
        self.facts, self.tally = Facts(), Tally()
        self.recall, self.cold = recall, ColdIndex()
        self._recalled: dict[tuple[str, str], bytes] = {}  # for the messages at hand
        self._fleet_parts = FleetParts(self.fleet)
        self._fleet_written = False  # as it stands now
        self._closed: set[int] = set()  # minutes that are no longer to be kept

    def observe(self, messages: Messages, behind: AbstractSet[str] = frozenset(), now: datetime | None = None) -> None:
        """Take messages in the order of each topic. `behind` names the topics that have unread ones.

        How they are cut into calls changes nothing: a minute closes at the message that completes it. Messages before
        the next offset of their topic have been taken already and are passed over. `now`: when they are taken, where
        that may be long after they arrived; silence is counted from it.
        """
        batch = self.read(messages)
        suspects = self.suspects(batch)
        self.take(batch, behind, now, self.recalled(suspects) if suspects else None)

    def read(self, messages: Messages) -> Batch:
        """Decode messages that were not taken yet. Changes nothing."""
        batch = Batch.of(messages, self.offsets)
        batch.decode(self._decoder, self.limits.max_message_bytes)
        return batch

    def suspects(self, batch: Batch) -> dict[str, list[str]]:
        """Keys of the batch that have no row and may be cold, by kind."""
        if not len(self.cold):
            return {}
        workloads = {event.workload for event in batch.events if event.workload is not None}
        devices = {event.device for event in batch.events if isinstance(event, GpuSample)}
        found = {
            ColdKind.WORKLOAD: self.cold.suspects(
                ColdKind.WORKLOAD, sorted(name for name in workloads if name not in self.fleet.workloads)
            ),
            ColdKind.DEVICE: self.cold.suspects(
                ColdKind.DEVICE, sorted(name for name in devices if name not in self.fleet.devices)
            ),
        }
        return {kind: keys for kind, keys in found.items() if keys}

    def recalled(self, suspects: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], bytes]:
        """What the store knows of them. Raises StoreUnavailable, and has changed nothing then."""
        if self.recall is None:
            return {}
        return {(kind, key): body for kind, keys in suspects.items() for key, body in self.recall(kind, keys).items()}

    def take(
        self,
        batch: Batch,
        behind: AbstractSet[str] = frozenset(),
        now: datetime | None = None,
        recalled: dict[tuple[str, str], bytes] | None = None,
    ) -> None:
        """Take what `read` has decoded, with what was `recalled` of its suspects."""
        if not len(batch):
            return
        self._recalled = recalled or {}
        self.offsets |= batch.next_offsets()
        for topic, number in batch.numbers().items():
            self.tally.records[topic] = self.tally.records.get(topic, 0) + number
        heard_ms = batch.arrived_ms if now is None else np.maximum(batch.arrived_ms, _ms(now))
        begin = 0
        while begin < len(batch):
            begin = self._walk(batch, begin, heard_ms, behind)
        self._recalled = {}

    def _walk(self, batch: Batch, begin: int, heard_ms: Longs, behind: AbstractSet[str]) -> int:
        """Take the messages from `begin` on, as far as the same events are too late; return where to go on."""
        reasons = self._unusable(batch, begin)
        newest_ms = batch.newest_ms(begin, reasons == USABLE)
        way = self.clock.way(batch.topics, batch.places[begin:], newest_ms, heard_ms[begin:], behind)
        ready = way.watermark_ms // MINUTE_MS
        cuts = np.flatnonzero(np.diff(ready, prepend=self.clock.watermark_ms // MINUTE_MS))
        floor = self.floor_hour
        done = 0
        steady = self._steady(batch, begin, reasons)
        if steady is not None:  # no minute that closes on the way can see the difference: all of it in one step
            self._apply(batch, begin, len(batch), reasons, begin, way, steady)
        for cut in [*cuts.tolist(), len(ready) - 1]:
            if cut < done:
                continue
            if steady is None:
                self._apply(batch, begin + done, begin + cut + 1, reasons, begin, way)
            for number, topic in enumerate(batch.topics):
                told = (batch.places[begin + done : begin + cut + 1] == number) & (newest_ms[done : cut + 1] > 0)
                if told.any():
                    newest = int(newest_ms[done : cut + 1][told].max())
                    self.clock.take(topic, newest, int(heard_ms[begin + done : begin + cut + 1][told].max()))
            self.clock.watermark_ms = int(way.watermark_ms[cut])
            self._close()
            done = cut + 1
            if self.floor_hour != floor and batch.oldest_begun_ms < self.floor_hour * HOUR_MS:
                break  # some of those that follow may have become too old
        return begin + done

    def _steady(self, batch: Batch, begin: int, reasons: NDArray[np.int8]) -> Codes | None:
        """The codes of the messages from `begin` on if they tell of nothing that a minute could see before its time.

        That is: samples and usage of known workloads and teams, all of them usable whatever is forgotten meanwhile.
        """
        first = batch.first_event(begin)
        kinds = batch.kinds[first:]
        if not len(kinds) or not self.next_minute or not self.clock.watermark_ms or batch.faults:
            return None
        if self._recalled or self.facts.cold or kinds.max() > USAGE or (reasons != USABLE).any():
            return None
        newest_ms = max(int(batch.at_ms[first:].max()), *(own.newest_ms for own in self.clock.inputs.values()))
        latest_floor_ms = (newest_ms // HOUR_MS - self.limits.horizon_h) * HOUR_MS
        if batch.oldest_begun_ms < latest_floor_ms or len(self.seen) + len(kinds) > self.limits.max_identities:
            return None
        events: list[Any] = batch.events[first:]
        if (kinds == kinds[0]).all():
            one = self._samples.known(events) if kinds[0] == SAMPLE else self._usages.known(events)
            return None if one is None else {int(kinds[0]): one}
        told = list(zip(events, kinds.tolist(), strict=True))
        samples = self._samples.known([event for event, kind in told if kind == SAMPLE])
        usages = None if samples is None else self._usages.known([event for event, kind in told if kind == USAGE])
        return None if samples is None or usages is None else {SAMPLE: samples, USAGE: usages}

    def _unusable(self, batch: Batch, begin: int) -> NDArray[np.int8]:
        """For each event of the messages from `begin` on: why its time can't be right, before it touches the clock."""
        first = batch.first_event(begin)
        at_ms, begun_ms = batch.at_ms[first:], batch.begun_ms[first:]
        ahead_ms = at_ms - batch.arrived_ms[batch.owners[first:]]
        reasons = np.full(len(at_ms), USABLE, dtype=np.int8)
        kinds = batch.kinds[first:]
        floored = (kinds == SAMPLE) | (kinds == USAGE)
        reasons[floored & (begun_ms < self.floor_hour * HOUR_MS)] = TOO_LATE
        reasons[-ahead_ms > self.limits.retention_days * DAY_S * 1000] = TOO_OLD
        reasons[ahead_ms > self.limits.max_ahead_s * 1000] = AHEAD
        return reasons

    def _words(self, reason: int, ahead_ms: int) -> tuple[str, str]:
        limits = self.limits
        if reason == AHEAD:
            words = f"dated {ahead_ms / 1000:.0f} s ahead of its arrival, the limit is {limits.max_ahead_s} s"
            return "in_the_future", words
        if reason == TOO_OLD:
            return "too_old", f"older than the retention of {limits.retention_days} days"
        if self.floor_hour * HOUR_MS > self.clock.watermark_ms - limits.horizon_h * HOUR_MS:
            return "too_late", "too late to be told from a duplicate: more events came since than can be remembered"
        late = f"more than {limits.horizon_h} hours behind the stream"
        return "too_late", f"{late}: too late to be told from a duplicate"

    def _apply(
        self,
        batch: Batch,
        begin: int,
        end: int,
        reasons: NDArray[np.int8],
        origin: int,
        way: Way,
        codes: Codes | None = None,
    ) -> None:
        """Take the events of the messages [begin, end), all before the clock moves on; `codes` where they are known."""
        skip = batch.first_event(origin)
        first, last = batch.first_event(begin), batch.first_event(end)
        mine = reasons[first - skip : last - skip]
        self._set_aside(batch, begin, end, first, mine)
        places = np.arange(first, last) if (mine == USABLE).all() else first + np.flatnonzero(mine == USABLE)
        if not len(places):
            return
        kinds = batch.kinds[places]
        for name, number in zip(KIND_NAMES, np.bincount(kinds, minlength=len(KIND_NAMES)).tolist(), strict=True):
            if number:
                self.tally.events[name] = self.tally.events.get(name, 0) + number
        late = way.late(batch.owners[places] - origin, batch.at_ms[places], self.clock.lateness_ms)
        began = way.before_ms[batch.owners[places] - origin] > 0
        rare = np.flatnonzero(kinds >= CHARGE).tolist()
        begun = 0
        for place in [*rare, len(places)]:
            self._fold(batch, places[begun:place], kinds[begun:place], late[begun:place], began[begun:place], codes)
            if place < len(places):
                event = batch.events[places[place]]
                if isinstance(event, Charge):
                    self._charge(event)
                elif isinstance(event, Change):
                    self._warm([event])
                    self._change(event, int(batch.at_ms[places[place]]))
                    self._fleet_written = False  # it may have made a row
            begun = place + 1

    def _fold(
        self,
        batch: Batch,
        places: Longs,
        kinds: NDArray[np.int8],
        late: NDArray[np.bool_],
        began: NDArray[np.bool_],
        known: Codes | None,
    ) -> None:
        """Samples and usage: into the ledger, and into their minutes where these are open."""
        if not len(places):
            return
        whole = len(places) == len(batch.events)
        events = batch.events if whole else [batch.events[place] for place in places.tolist()]
        self._warm(events)
        for kind, lane, codes in self._coded(events, kinds, known):
            mine = np.flatnonzero(kinds == kind)
            chosen = events if len(mine) == len(events) else [events[place] for place in mine.tolist()]
            at_ms = batch.at_ms[places[mine]]
            taken = lane.take(chosen, codes, at_ms)
            self.tally.duplicates += len(chosen) - len(taken.places)
            self._into_minutes(kind, taken, at_ms[taken.places], late[mine[taken.places]], began[mine[taken.places]])
        self._fleet_written = False

    def _warm(self, events: Sequence[Any]) -> None:
        """Bring cold rows back before anything is put into them."""
        leaving = {(row.kind, row.key): row for row in self.facts.cold} if self.facts.cold else {}
        if not self._recalled and not leaving:
            return
        wanted = {(ColdKind.WORKLOAD.value, event.workload) for event in events}
        wanted |= {(ColdKind.DEVICE.value, event.device) for event in events if isinstance(event, GpuSample)}
        rows = []
        for kind, key in sorted(wanted & {*self._recalled, *leaving}):
            body = leaving[kind, key].body if (kind, key) in leaving else self._recalled[kind, key]
            rows.append(Cold(ColdKind(kind), key, body))
        back = restore(self.fleet, self.detectors, rows, self.next_minute * 60)
        for one in back:
            self.cold.remove(one.kind, [one.key])
            self.facts.warmed.append(ColdKey(partition=self.partition, kind=one.kind, key=one.key))
        if back:
            gone = {(one.kind.value, one.key) for one in back}
            self.facts.cold = [row for row in self.facts.cold if (row.kind, row.key) not in gone]
            self._recalled = {name: body for name, body in self._recalled.items() if name not in gone}

    def _cool(self, end_s: int) -> None:
        """Once an hour, where it gets crowded: rows that nothing refers to and nobody heard of for long leave."""
        crowded = max(len(panel) / panel.limit for panel in (self.fleet.workloads, self.fleet.devices))
        if self.recall is None or end_s % 3600 or crowded < CROWDED_RATIO or not self.cold.room:
            return
        workloads, devices = (set(rows) for rows in self.statuses.unsaid())
        for minute in self.open.values():
            workloads |= minute.workloads()
            devices |= minute.devices()
        workloads |= {row for row, *_ in self.changes_known}
        gone = evict(self.fleet, end_s, workloads=workloads, devices=devices)
        for kind in ColdKind:
            self.cold.add(kind, [one.key for one in gone if one.kind is kind], end_s)
        self.facts.cold += [
            ColdRow(partition=self.partition, kind=one.kind, key=one.key, body=one.body, evicted_at=moment(end_s))
            for one in gone
        ]
        self.cold.forget(end_s - self.limits.retention_days * DAY_S)
        self._samples.clear()
        self._usages.clear()

    def _coded(
        self, events: Sequence[Any], kinds: NDArray[np.int8], known: Codes | None
    ) -> list[tuple[int, Any, list[int]]]:
        """What kinds there are, with a code for each event. New rows are made in the order of the events."""
        if known is not None:
            return [(kind, self._samples if kind == SAMPLE else self._usages, codes) for kind, codes in known.items()]
        if self._samples.full or self._usages.full:  # both: what is disputed is of both
            self._samples.clear()
            self._usages.clear()
        if (kinds == SAMPLE).all():
            return [(SAMPLE, self._samples, self._samples.codes(events))]
        if (kinds == USAGE).all():
            return [(USAGE, self._usages, self._usages.codes(events))]
        samples: list[int] = []
        usages: list[int] = []
        begun = 0
        for end in [*(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(events)]:
            if kinds[begun] == SAMPLE:
                samples += self._samples.codes(events[begun:end])
            else:
                usages += self._usages.codes(events[begun:end])
            begun = end
        return [(SAMPLE, self._samples, samples), (USAGE, self._usages, usages)]

    def _into_minutes(
        self, kind: int, taken: Taken, at_ms: Longs, late: NDArray[np.bool_], began: NDArray[np.bool_]
    ) -> None:
        self.tally.late += int(late.sum())
        if kind == USAGE:
            for use in taken.unpriced:
                self._count_unpriced(use.model, use.tokens)
        numbers = (at_ms - 1) // MINUTE_MS
        on_time = np.flatnonzero(~late)
        unique, where = np.unique(numbers[on_time], return_index=True)
        for number, at in sorted(zip(unique.tolist(), on_time[where].tolist(), strict=True), key=lambda one: one[1]):
            minute = self.open.get(number)
            if minute is None:
                minute = self.open[number] = OpenMinute()
                if not self.next_minute or (number < self.next_minute and not began[at]):
                    self.next_minute = number
            if len(unique) == 1 and len(on_time) == len(at_ms):
                rows, times, columns = taken.rows, at_ms, taken.columns
            else:
                mine = on_time[numbers[on_time] == number]
                rows, times = taken.rows[mine], at_ms[mine]
                columns = {name: column[mine] for name, column in taken.columns.items()}
            if kind == SAMPLE:
                minute.add_samples(rows, times, columns)
            else:
                minute.add_usage(rows, times, columns)
        for use in taken.unpriced:
            at = use.place
            if not late[at]:
                self.open[int(numbers[at])].add_unpriced(use.workload, use.model, use.tokens, use.gpu_ms)

    def _count_unpriced(self, model: str, tokens: int) -> None:
        known = self.tally.unpriced_tokens
        name = model if model in known or len(known) < 100 else "other"
        known[name] = known.get(name, 0) + tokens

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
        facts.ledger = self.pages.drain(self.fleet.team)
        facts.devices = self.statuses.drain_devices(self.fleet)
        facts.statuses = self.statuses.drain(self.fleet)
        facts.incidents = self.book.drain()
        self.pages.rest(self.clock.watermark_ms // HOUR_MS)
        self.seen.rest(self.clock.watermark_ms // HOUR_MS)
        return facts

    def snapshot(self) -> dict[str, bytes]:
        """The whole state in named parts, for `load`. The same events give the same bytes, however they were cut."""
        parts = {"core": self._core()}
        parts |= {f"fleet/{name}": body for name, body in self._fleet_parts.whole().items()}
        parts |= {f"open/{number}": minute.to_bytes() for number, minute in sorted(self.open.items())}
        parts |= {f"pages/{name}": body for name, body in self.pages.whole().items()}
        parts |= {f"seen/{name}": body for name, body in self.seen.whole().items()}
        parts |= {f"cold/{name}": body for name, body in self.cold.whole().items()}
        return parts

    def changes(self) -> dict[str, Buffer | None]:
        """The parts that changed since the last call, to be written together with `offsets`; None: one that is no more.

        All changes since the beginning, or since `load`, make a snapshot. Some are views of what is in memory: they
        must be written before the next message is taken.
        """
        parts: dict[str, Buffer | None] = {"core": self._core()}
        if not self._fleet_written:
            parts |= {f"fleet/{name}": body for name, body in self._fleet_parts.changes().items()}
            self._fleet_written = True
        parts |= {f"open/{number}": None for number in self._closed if number not in self.open}
        self._closed = set()
        for number, minute in sorted(self.open.items()):
            if minute.unwritten:
                parts[f"open/{number}"] = minute.to_bytes()
                minute.unwritten = False
        parts |= {f"pages/{name}": body for name, body in self.pages.changes().items()}
        parts |= {f"seen/{name}": body for name, body in self.seen.changes().items()}
        parts |= {f"cold/{name}": body for name, body in self.cold.changes().items()}
        return parts

    def _core(self) -> bytes:
        return msgspec.msgpack.encode(
            {
                "version": SNAPSHOT_VERSION,
                "clock": self.clock,
                "next_minute": self.next_minute,
                "floor_hour": self.floor_hour,
                "changes": self.changes_known,
                "book": self.book.to_bytes(),
                "learnt": dict(sorted(self.pricer.learnt.items())),
            }
        )

    def load(self, parts: Mapping[str, bytes], offsets: Mapping[str, int]) -> None:
        """Take what `snapshot`, and `changes` after it, wrote. Raises SnapshotError for another version or bytes."""
        where = f"snapshot of partition {self.partition}"
        try:
            held: dict[str, Any] = msgspec.msgpack.decode(parts["core"])
            version = held["version"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise SnapshotError(f"{where} is damaged; restore a backup") from error
        if version != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"{where} has version {version}, this release reads {SNAPSHOT_VERSION}; start the release that wrote it"
            )
        try:
            self.statuses.declare(self.fleet)
            for detector in self.detectors:  # so that their columns are there to be filled
                detector.look(self.fleet, OpenMinute().close(0, 0, ()))
            self.statuses.declare(self.fleet)
            self._fleet_parts.load(_under("fleet/", parts))
            self.pages.load(_under("pages/", parts))
            self.seen.load(_under("seen/", parts))
            self.cold.load(_under("cold/", parts))
            self.clock = msgspec.convert(held["clock"], Clock)
            self.open = {int(name): OpenMinute.from_bytes(body) for name, body in _under("open/", parts).items()}
            self.changes_known = msgspec.convert(held["changes"], list[tuple[int, int, str, str]])
            self.book = Book.from_bytes(held["book"], self.severity)
            self.pricer.learnt = msgspec.convert(held["learnt"], dict[str, Learnt])
            self.pricer.lessons += 1
            self.next_minute = msgspec.convert(held["next_minute"], int)
            self.floor_hour = msgspec.convert(held["floor_hour"], int)
        except (msgspec.MsgspecError, PanelError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise SnapshotError(f"{where} is damaged: {error}") from error
        self._samples.clear()
        self._usages.clear()
        self.offsets = dict(offsets)
        self._fleet_written, self._closed = True, set()

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
        if entry not in self.changes_known and len(self.changes_known) < 10_000:
            self.changes_known.append(entry)
            self.changes_known.sort(key=lambda change: (change[1], change))
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
        self.floor_hour = self.seen.forget(self.floor_hour)
        if self.pages.forget(self.floor_hour):
            self._samples.clear()
            self._usages.clear()
        self._fleet_written = False

    def _skip(self, minute: int, ready: int) -> int:
        """Over a hole of more than a day, straight to the last day before the next data."""
        if minute in self.open or ready - minute <= LONGEST_SILENCE_MINUTES:
            return minute
        nearest = min([number for number in self.open if number >= minute], default=ready)
        return max(minute, min(nearest, ready) - LONGEST_SILENCE_MINUTES)

    def _judge(self, number: int, others_heard: bool) -> None:
        end_s = (number + 1) * 60
        if self.changes_known and self.changes_known[0][1] < end_s - DAY_S:
            self.changes_known = [change for change in self.changes_known if change[1] >= end_s - DAY_S]
        known = tuple(change for change in self.changes_known if change[1] <= end_s + self.limits.allowed_lateness_s)
        folded = self.open.pop(number, None) or OpenMinute()
        self._closed.add(number)
        minute = folded.close(end_s, self.limits.allowed_lateness_s, known, others_heard=others_heard)
        for detector in self.detectors:
            for finding in detector.look(self.fleet, minute):
                transition = self.book.apply(finding)
                if transition is not None:
                    self.facts.notices.extend(self.route(transition))
        self.statuses.take(self.fleet, minute)
        self._cool(end_s)

    def _set_aside(self, batch: Batch, begin: int, end: int, first: int, reasons: NDArray[np.int8]) -> None:
        """Put on record what can't be used of the messages [begin, end), the events of which begin at `first`."""
        bad = [
            (owner, fault.index, fault.payload, "malformed", fault.reason) for owner, fault in batch.take_faults(end)
        ]
        for place in (first + np.flatnonzero(reasons != USABLE)).tolist():
            owner, index = int(batch.owners[place]), int(batch.indices[place])
            ahead_ms = int(batch.at_ms[place] - batch.arrived_ms[owner])
            word, words = self._words(int(reasons[place - first]), ahead_ms)
            bad.append((owner, index, elements(batch.values[owner])[index], word, words))
        for owner, index, payload, word, reason in sorted(bad, key=lambda one: (one[0], one[1])):
            self._count(self.tally.rejects, word)
            self.facts.rejects.append(
                RejectRow(
                    topic=batch.topics[int(batch.places[owner])],
                    partition=self.partition,
                    offset=int(batch.offsets[owner]),
                    index=index,
                    reason=reason,
                    payload=payload[:MAX_REJECT_BYTES],
                    at=moment(int(batch.arrived_ms[owner]) / 1000),
                    fault=word,
                    key=_key(batch, owner),
                )
            )

    def refuse(self, refused: Refused) -> None:
        """Put on record messages that can't be had, all in one, and read on behind them."""
        if refused.last < self.offsets.get(refused.topic, 0):
            return
        self.offsets[refused.topic] = refused.last + 1
        self._count(self.tally.rejects, UNREADABLE)
        self.facts.rejects.append(
            RejectRow(
                topic=refused.topic,
                partition=self.partition,
                offset=refused.first,
                index=0,
                reason=f"offsets {refused.first} to {refused.last}: {refused.reason}",
                payload=b"",
                at=refused.at,
                fault=UNREADABLE,
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


def _key(batch: Batch, owner: int) -> bytes | None:
    key = batch.keys[owner] if batch.keys else None
    return None if key is None or len(key) > MAX_KEY_BYTES else key


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _under(prefix: str, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(prefix): body for name, body in parts.items() if name.startswith(prefix)}
