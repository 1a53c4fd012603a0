"""The clock of a partition: event time, as far as all its inputs have come.

An input holds the clock back while it has unread messages, and for a short while after its latest message. One that has
gone silent does not hold it for ever. Whether an event is late depends on its own input's messages alone.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Longs = NDArray[np.int64]
NEVER = -(2**62)  # before all times


class Input(Struct):
    """One topic of the partition. Times in epoch milliseconds."""

    newest_ms: int  # the newest event time that was met
    heard_ms: int  # when the latest message was taken


class Way(Struct, frozen=True):
    """How the clock goes along with many messages: arrays of (n,), one entry for each."""

    watermark_ms: Longs  # after the message
    before_ms: Longs  # the watermark before it
    own_newest_ms: Longs  # the newest event of its own topic before it; NEVER where there is none

    def late(self, owners: Longs, at_ms: Longs, lateness_ms: int) -> NDArray[np.bool_]:
        """Whether events (m,) of messages `owners` come after their minute was, or could have been, closed."""
        return (at_ms <= self.before_ms[owners]) | (at_ms < self.own_newest_ms[owners] - lateness_ms)


class Clock(Struct, kw_only=True):
    """Watermark over the topics of a partition: everything up to it is complete."""

    lateness_ms: int
    silence_ms: int
    inputs: dict[str, Input] = {}
    watermark_ms: int = 0

    def take(self, topic: str, newest_ms: int, heard_ms: int) -> None:
        """Note a message: its newest event time, and when it was heard."""
        own = self.inputs.get(topic)
        if own is None:
            self.inputs[topic] = Input(newest_ms, heard_ms)
        else:
            own.newest_ms = max(own.newest_ms, newest_ms)
            own.heard_ms = max(own.heard_ms, heard_ms)

    def advance(self, now_ms: int, behind: AbstractSet[str] = frozenset()) -> int:
        """The watermark at `now_ms`; `behind` names the inputs with unread messages. Never goes back."""
        if all(topic in self.inputs for topic in behind):
            holding = [
                own.newest_ms
                for topic, own in self.inputs.items()
                if topic in behind or now_ms - own.heard_ms <= self.silence_ms
            ]
            if not holding:  # all have gone silent, and everything that they sent is here
                holding = [max((own.newest_ms for own in self.inputs.values()), default=self.watermark_ms)]
            self.watermark_ms = max(self.watermark_ms, min(holding) - self.lateness_ms)
        return self.watermark_ms

    def way(
        self, topics: Sequence[str], places: Longs, newest_ms: Longs, heard_ms: Longs, behind: AbstractSet[str]
    ) -> Way:
        """How `take` and then `advance`, called for each message in turn, would move the clock. Changes nothing.

        Message i is of `topics[places[i]]`; its newest event is of `newest_ms[i]`, 0 where it has none.
        """
        ready = np.ones(len(places), dtype=np.bool_)
        lowest = np.full(len(places), 2**62, dtype=np.int64)  # of the inputs that hold the clock
        highest = np.full(len(places), NEVER, dtype=np.int64)
        own_newest = np.full(len(places), NEVER, dtype=np.int64)
        known_to_be_behind = set()
        for topic in {*self.inputs, *topics}:
            held = self.inputs.get(topic)
            mine = places == topics.index(topic) if topic in topics else np.zeros(len(places), dtype=np.bool_)
            told = mine & (newest_ms > 0)
            newest = _running(np.where(told, newest_ms, NEVER), held.newest_ms if held else NEVER)
            heard = _running(np.where(told, heard_ms, NEVER), held.heard_ms if held else NEVER)
            own_newest[mine] = np.r_[held.newest_ms if held else NEVER, newest[:-1]][mine]
            known = newest > NEVER
            holds = known & (heard_ms - heard <= self.silence_ms)
            if topic in behind:
                known_to_be_behind.add(topic)
                ready &= known
                holds = known
            np.minimum(lowest, newest, out=lowest, where=holds)
            np.maximum(highest, newest, out=highest)
        if not behind <= known_to_be_behind:
            ready[:] = False
        found = np.where(lowest < 2**62, lowest, np.where(highest > NEVER, highest, self.watermark_ms))
        watermark = _running(np.where(ready, found - self.lateness_ms, NEVER), self.watermark_ms)
        return Way(watermark, np.r_[self.watermark_ms, watermark[:-1]], own_newest)

    def silent(self, now_ms: int) -> bool:
        """Whether no input has been heard of for so long that none holds the clock."""
        return all(now_ms - own.heard_ms > self.silence_ms for own in self.inputs.values())

    def follow(self, watermark_ms: int) -> None:
        """Go on to where others have come. Never goes back."""
        self.watermark_ms = max(self.watermark_ms, watermark_ms)

    def oldest_ms(self, horizon_ms: int) -> int:
        """How far the slowest input has come of those that were heard within the horizon; 0 where there is none."""
        now_ms = max((own.heard_ms for own in self.inputs.values()), default=0)
        return min((own.newest_ms for own in self.inputs.values() if now_ms - own.heard_ms <= horizon_ms), default=0)


def _running(values: Longs, first: int) -> Longs:
    """The largest so far."""
    return np.maximum(np.maximum.accumulate(values), first)
