"""Values of many series become events: what one accelerator or server says at one moment is one event.

A scrape may come in one message or in many. A thing's event is told as soon as everything is there that it said last
time, or when it speaks of a later moment, or when the others are `HOLD_MS` further. Its span is the time since its
last event, so that nothing is counted twice however often it is asked, and by however many. What is taken depends on
the order of the messages only, not on how they are cut into calls.

Counters become increments: a smaller value is a counter that began anew; the first value of a series is where counting
begins. A new start time alone is not believed: a collector that begins anew states one of its own, and the counters
behind it have gone on. A series that is gone is unknown, not zero.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec
from msgspec import Struct

from detectors.events import Event
from streams.formats.aliases import PERCENT_FROM, Slot, is_blank
from streams.formats.series import CUMULATIVE, DELTA, Series
from streams.formats.telling import MOST_COST_USD, Thing, beyond, sample, usage

HOLD_MS = 60_000
KEPT_MS = 6 * 3_600_000  # after so long a silence a thing is forgotten
SOURCE_KEPT_MS = 300_000  # a better source that was silent for so long gives way to another
HOUR_MS = 3_600_000
BUCKETS = 64
MOST_THINGS = 400_000
MOST_COUNTERS = 256  # of one server
INFO = int(Slot.INFO)
MOST_GROWTH = 1e12  # of a counter between two values

Point = tuple[Series, int, float, int]
"""Series, epoch milliseconds, value, and when a counter started (epoch milliseconds, 0: unknown)."""


class Step:
    """What a call adds to the state, kept apart from it until it is taken."""

    def __init__(self, state: "Gathering") -> None:
        """Begins where the state stands."""
        self.state = state
        self.things: dict[str, Thing | None] = {}
        self.waiting = state.waiting.copy()
        self.percent: set[str] = set()
        self.newest_ms = state.newest_ms
        self.hour, self.topic = state.hour, state.topic
        self.duplicates = 0

    def take(
        self, points: Iterable[Point], *, together: bool, latest_ms: int
    ) -> tuple[list[Event], list[tuple[Point, str]]]:
        """The events that a message with these points completes, and the points that can't be used, with the reason.

        `together`: a message of this format usually holds all that a thing says at a time. `latest_ms`: the last moment
        that a point may be of.
        """
        events: list[Event] = []
        faults: list[tuple[Point, str]] = []
        here: dict[str, Thing] = {}
        look = here.get
        for point in points:
            series, at_ms, value, _ = point
            if series.is_plain:
                thing = look(series.thing)
                if thing is not None and thing.at_ms == at_ms and thing.rank == series.rank:
                    kept = value * series.scale
                    if 0.0 <= kept <= series.most:  # no blank is
                        values = thing.values
                        if series.who is thing.who or series.slot not in values:
                            values[series.slot] = kept
                            thing.got += 1
                            continue
            fault = self._one(point, here, events, latest_ms)
            if fault is not None:
                faults.append((point, fault))
        newest = self.newest_ms
        for name, thing in here.items():
            if not thing.at_ms:
                self.waiting.pop(name, None)
            elif (thing.got >= thing.expected) if thing.expected else together:
                self._tell(thing, events)
                self.waiting.pop(name, None)
            else:
                self.waiting.setdefault(name, thing.at_ms)
        if self.waiting:
            self._release(newest - HOLD_MS, events)
        if newest // HOUR_MS > self.hour:
            self.hour = newest // HOUR_MS
            self._forget(newest)
        return events, faults

    def _one(self, point: Point, here: dict[str, Thing], events: list[Event], latest_ms: int) -> str | None:
        """Take one value, whatever it is of. Returns what is wrong with it."""
        series, at_ms, value, start_ms = point
        if series.reason:
            return series.reason
        if at_ms > latest_ms or at_ms <= 0:
            return "it bears no time" if at_ms <= 0 else "dated too far ahead of its arrival"
        name = series.thing
        thing = here.get(name)
        if thing is None:
            if len(self.things) + len(self.state.things) >= MOST_THINGS and name not in self.state.things:
                return f"more than {MOST_THINGS:,} accelerators and servers"
            thing = here[name] = self.things.get(name) or self._thing(series)
        if series.slot == INFO:
            thing.model = series.who.model
            return None
        if series.counter:
            fault = self._count(thing, series, at_ms, value, start_ms, events)
            if fault is None and at_ms > self.newest_ms:
                self.newest_ms = at_ms
            return fault
        if at_ms != thing.at_ms or series.rank != thing.rank:
            if not self._turn(thing, series, at_ms, events):
                return None
            self.newest_ms = max(self.newest_ms, at_ms)
        kept = value * (self._scale(series, value) if series.instance else series.scale)
        thing.got += 1
        if not 0.0 <= kept <= series.most:
            return None if is_blank(value, series.blanks) else beyond(series, value)
        if series.who is thing.who or series.slot not in thing.values or self._prefer(thing, series):
            thing.values[series.slot] = kept
        return None

    def gone(self, series: Series) -> None:
        """A series has ended: nothing is expected of it any more."""
        if not series.reason and (series.thing in self.things or series.thing in self.state.things):
            thing = self._thing(series)
            thing.expected = max(thing.expected - 1, 0)

    def rest(self, before_ms: int) -> list[Event]:
        """The events that still wait, of moments up to this one."""
        events: list[Event] = []
        self._release(before_ms, events)
        return events

    def _thing(self, series: Series) -> Thing:
        name = series.thing
        thing = self.things.get(name)
        if thing is None:
            known = None if name in self.things else self.state.things.get(name)
            thing = Thing(series.who, series.rank) if known is None else known.copy()
            self.things[name] = thing
        return thing

    def _turn(self, thing: Thing, series: Series, at_ms: int, events: list[Event]) -> bool:
        """Whether a value of this moment counts; a later one than that being gathered completes it."""
        if series.rank != thing.rank:
            if series.rank > thing.rank and at_ms - thing.rank_ms <= SOURCE_KEPT_MS:
                return False
            thing.rank, thing.expected = series.rank, 0
        if at_ms <= thing.told_ms:
            if at_ms == thing.told_ms:
                thing.expected += 1
            self.duplicates += 1
            return False
        if at_ms < thing.at_ms:
            self.duplicates += 1
            return False
        if at_ms != thing.at_ms:
            if thing.at_ms:
                self._tell(thing, events)
            thing.at_ms, thing.who = at_ms, series.who
        thing.rank_ms = at_ms
        return True

    @staticmethod
    def _prefer(thing: Thing, series: Series) -> bool:
        """Of several workloads on one accelerator at one moment, the first by name counts, and it alone."""
        if series.who.workload < thing.who.workload:
            thing.who, thing.values = series.who, {}
            return True
        return series.who.workload == thing.who.workload

    def _scale(self, series: Series, value: float) -> float:
        """The factor of a unit that can't be known from the name: once above 1.5 it is percent, and stays it."""
        if series.instance in self.percent or series.instance in self.state.percent:
            return 0.01
        if value > PERCENT_FROM and not is_blank(value, series.blanks):
            self.percent.add(series.instance)
            return 0.01
        return series.scale

    def _count(
        self, thing: Thing, series: Series, at_ms: int, value: float, start_ms: int, events: list[Event]
    ) -> str | None:
        """Add what a counter has grown by. Returns what is wrong with it."""
        if is_blank(value, series.blanks):
            return None
        value *= series.scale
        if not 0.0 <= value <= series.most:
            return beyond(series, value)
        if thing.model is None:
            thing.model = series.who.model
        base = thing.bases.get(series.key)
        if base is not None and at_ms <= base[1]:
            self.duplicates += 1
            return None
        if base is None and len(thing.bases) >= MOST_COUNTERS:
            return f"more than {MOST_COUNTERS} counters of one server"
        late = at_ms <= thing.told_ms or at_ms < thing.at_ms
        if late and series.counter == CUMULATIVE:
            if base is None:
                thing.bases[series.key] = (value, at_ms, start_ms)
            thing.expected += at_ms == thing.told_ms
            self.duplicates += 1
            return None
        if late:  # what it has grown by is in no other value: it goes with the next event
            if not thing.at_ms:
                thing.at_ms = thing.told_ms + 1
        else:
            self._turn(thing, series, at_ms, events)
        thing.bases[series.key] = (value, at_ms, start_ms)
        thing.got += 1
        if series.counter == DELTA:
            grown = value
        elif base is None:
            if not 0 < thing.told_ms <= start_ms < at_ms:
                return None
            grown = value  # it began after the last event: all of it is new
        elif value < base[0]:
            grown = value
        else:
            grown = value - base[0]
        if grown > (MOST_COST_USD if series.slot == Slot.COST else MOST_GROWTH):
            return f"it has grown by {grown:g} since its last value: that can't be in its unit"
        thing.values[series.slot] = thing.values.get(series.slot, 0.0) + grown
        return None

    def _tell(self, thing: Thing, events: list[Event]) -> None:
        event = sample(thing) if thing.who.provider is None else usage(thing)
        if event is not None:
            events.append(event)
        thing.expected = thing.got or thing.expected
        thing.told_ms, thing.at_ms, thing.got, thing.values = thing.at_ms, 0, 0, {}

    def _release(self, before_ms: int, events: list[Event]) -> None:
        for name, at_ms in list(self.waiting.items()):
            if at_ms > before_ms:
                break
            del self.waiting[name]
            known = self.things[name] if name in self.things else self.state.things.get(name)
            if known is None or not known.at_ms:
                continue
            if known.at_ms > before_ms:  # it spoke of a later moment meanwhile
                self.waiting[name] = known.at_ms
                continue
            thing = known if name in self.things else known.copy()
            self.things[name] = thing
            self._tell(thing, events)

    def _forget(self, newest_ms: int) -> None:
        """Things that have been silent for long."""
        oldest_ms = newest_ms - KEPT_MS
        for name, thing in {**self.state.things, **self.things}.items():
            if thing is not None and max(thing.at_ms, thing.told_ms, thing.rank_ms) < oldest_ms and not thing.at_ms:
                self.things[name] = None


class Gathering:
    """What is known of all accelerators and servers of a partition that do not send the contract's own events."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.things: dict[str, Thing] = {}
        self.waiting: dict[str, int] = {}  # by thing: the moment of the event that it waits to complete
        self.percent: set[str] = set()  # whose ratios are percentages
        self.newest_ms = self.hour = 0
        self.topic = ""  # the last one that something came from
        self._changed: set[str] = set()
        self._buckets: set[int] = set()  # that are written down

    def begin(self) -> Step:
        """A step from here, which changes nothing until it is kept."""
        return Step(self)

    def keep(self, step: Step) -> None:
        """Take what a step has added."""
        for name, thing in step.things.items():
            if thing is None:
                self.things.pop(name, None)
            else:
                self.things[name] = thing
        self.waiting, self.newest_ms, self.topic = step.waiting, step.newest_ms, step.topic
        self.hour = step.hour
        self.percent |= step.percent
        self._changed |= step.things.keys()

    def whole(self) -> dict[str, bytes]:
        """All of it, for `load`; the same state gives the same bytes."""
        if not self.topic:
            return {}
        parts = {str(bucket): self._bucket(names) for bucket, names in self._by_bucket(self.things).items()}
        return {**parts, "head": self._head()}

    def changes(self) -> dict[str, bytes | None]:
        """What is to be written down since the last call, by name; None: no more."""
        if not self._changed:
            return {"head": self._head()} if self.topic and not self._buckets else {}
        touched = {_bucket(name) for name in self._changed}
        held = self._by_bucket(self.things)
        self._changed = set()
        self._buckets |= touched
        parts: dict[str, bytes | None] = {
            str(bucket): self._bucket(held[bucket]) if bucket in held else None for bucket in sorted(touched)
        }
        return {**parts, "head": self._head()}

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Take what `whole`, or all `changes` together, wrote."""
        self.__init__()  # type: ignore[misc]
        for name, body in parts.items():
            if name == "head":
                head = msgspec.msgpack.decode(body, type=_Head)
                self.waiting, self.percent = dict(head.waiting), set(head.percent)
                self.newest_ms, self.hour, self.topic = head.newest_ms, head.newest_ms // HOUR_MS, head.topic
            else:
                self.things |= {thing.who.thing: thing for thing in msgspec.msgpack.decode(body, type=list[Thing])}
                self._buckets.add(int(name))

    def _head(self) -> bytes:
        head = _Head(self.topic, self.newest_ms, sorted(self.percent), list(self.waiting.items()))
        return msgspec.msgpack.encode(head)

    @staticmethod
    def _by_bucket(names: Iterable[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name in sorted(names):
            found.setdefault(_bucket(name), []).append(name)
        return found

    def _bucket(self, names: list[str]) -> bytes:
        return msgspec.msgpack.encode([self.things[name] for name in names])


class _Head(Struct, array_like=True):
    topic: str
    newest_ms: int
    percent: list[str]
    waiting: list[tuple[str, int]]


def _bucket(name: str) -> int:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % BUCKETS
