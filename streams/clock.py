"""The clock of a partition: event time, as far as all its inputs have come.

An input holds the clock back while it has unread messages, and for a short while after its latest message. One that has
gone silent does not hold it for ever. Whether an event is late depends on its own input's messages alone.
"""

from collections.abc import Set as AbstractSet

from msgspec import Struct


class Input(Struct):
    """One topic of the partition. Times in epoch milliseconds."""

    newest_ms: int  # the newest event time that was met
    heard_ms: int  # when the latest message was taken


class Clock(Struct, kw_only=True):
    """Watermark over the topics of a partition: everything up to it is complete."""

    lateness_ms: int
    silence_ms: int
    inputs: dict[str, Input] = {}
    watermark_ms: int = 0

    def late(self, topic: str, at_ms: int) -> bool:
        """Whether an event comes after its minute was, or could have been, closed."""
        own = self.inputs.get(topic)
        return at_ms <= self.watermark_ms or (own is not None and at_ms < own.newest_ms - self.lateness_ms)

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
