"""Messages of one partition as columns, and the events in them: what one call takes, before anything is decided."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.events import Event, GpuSample, TokenUsage
from streams.formats.native import KINDS, USAGE, Decoder, Fault
from streams.records import Messages, Slice

Longs = NDArray[np.int64]
FAR_MS = 2**62
_span_s = attrgetter("span_s")


class Batch(Struct, kw_only=True):
    """Message i is of `topics[places[i]]`. Event j is of message `owners[j]`, ascending, its `indices[j]`-th one."""

    topics: list[str]
    places: Longs
    offsets: Longs
    arrived_ms: Longs
    values: list[bytes]
    keys: Sequence[bytes | None] = ()  # of the messages; none at all where they are not known
    events: list[Event] = []
    owners: Longs = np.zeros(0, dtype=np.int64)
    indices: Longs = np.zeros(0, dtype=np.int64)
    at_ms: Longs = np.zeros(0, dtype=np.int64)
    begun_ms: Longs = np.zeros(0, dtype=np.int64)  # where the event's span begins
    kinds: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
    faults: list[tuple[int, Fault]] = []
    oldest_begun_ms: int = FAR_MS
    single: bool = False  # each message is one event

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, messages: Messages, next_offsets: dict[str, int]) -> "Batch":
        """Those of the messages that were not taken before."""
        if isinstance(messages, Slice):
            topics = [messages.topic]
            places = np.zeros(len(messages), dtype=np.int64)
            offsets = np.asarray(messages.offsets, dtype=np.int64)
            arrived_ms = np.asarray(messages.arrived_ms, dtype=np.int64)
            values, keys = list(messages.values), messages.keys
        else:
            topics = list(dict.fromkeys(record.topic for record in messages))
            place_of = {topic: place for place, topic in enumerate(topics)}
            places = np.array([place_of[record.topic] for record in messages], dtype=np.int64)
            offsets = np.array([record.offset for record in messages], dtype=np.int64)
            arrived_ms = np.rint(
                np.array([record.arrived_at.timestamp() for record in messages], dtype=np.float64) * 1000
            ).astype(np.int64)
            values, keys = [record.value for record in messages], [record.key for record in messages]
        new = np.zeros(len(values), dtype=np.bool_)
        for place, topic in enumerate(topics):
            mine = np.flatnonzero(places == place)
            before = np.maximum.accumulate(np.r_[next_offsets.get(topic, 0), offsets[mine] + 1])[:-1]
            new[mine] = offsets[mine] >= before
        if not new.all():
            places, offsets, arrived_ms = places[new], offsets[new], arrived_ms[new]
            left = np.flatnonzero(new).tolist()
            values, keys = [values[place] for place in left], [keys[place] for place in left] if keys else ()
        return cls(topics=topics, places=places, offsets=offsets, arrived_ms=arrived_ms, values=values, keys=keys)

    def next_offsets(self) -> dict[str, int]:
        """The next offset to read, by topic."""
        return {
            topic: int(self.offsets[self.places == place].max()) + 1
            for place, topic in enumerate(self.topics)
            if (self.places == place).any()
        }

    def numbers(self) -> dict[str, int]:
        """How many messages there are, by topic."""
        counts = np.bincount(self.places, minlength=len(self.topics)).tolist()
        return {topic: number for topic, number in zip(self.topics, counts, strict=True) if number}

    def decode(self, decoder: Decoder, max_bytes: int) -> None:
        """Find the events."""
        found = decoder.decode(self.values, max_bytes)
        self.events, self.faults = found.events, found.faults
        self.owners = np.array(found.owners, dtype=np.int64)
        self.indices = np.array(found.places, dtype=np.int64)
        self.single = len(self.owners) == len(self.values) and not (np.diff(self.owners) != 1).any()
        events = found.events
        self.at_ms = np.rint(np.array([event.at.timestamp() for event in events], dtype=np.float64) * 1000).astype(
            np.int64
        )
        types = set(map(type, events))
        if len(types) == 1 and (kind := KINDS[types.pop()]) <= USAGE:
            self.kinds = np.full(len(events), kind, dtype=np.int8)
            span_s = list(map(_span_s, events))
        else:
            self.kinds = np.array([KINDS[type(event)] for event in events], dtype=np.int8)
            span_s = [event.span_s if isinstance(event, GpuSample | TokenUsage) else 0.0 for event in events]
        self.begun_ms = self.at_ms - np.rint(np.array(span_s, dtype=np.float64) * 1000).astype(np.int64)
        self.oldest_begun_ms = int(self.begun_ms.min(initial=FAR_MS))

    def first_event(self, message: int) -> int:
        """The first event of this message or a later one."""
        return message if self.single else int(np.searchsorted(self.owners, message))

    def newest_ms(self, begin: int, usable: NDArray[np.bool_]) -> Longs:
        """The time of the newest usable event of each message from `begin` on; 0 where there is none."""
        newest = np.zeros(len(self) - begin, dtype=np.int64)
        first = self.first_event(begin)
        np.maximum.at(newest, self.owners[first:][usable] - begin, self.at_ms[first:][usable])
        return newest

    def take_faults(self, end: int) -> list[tuple[int, Fault]]:
        """The faults of messages before `end`, once."""
        if not self.faults:
            return []
        taken = [fault for fault in self.faults if fault[0] < end]
        self.faults = self.faults[len(taken) :]
        return taken
