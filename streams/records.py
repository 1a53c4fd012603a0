"""Messages as a transport hands them over: bytes and their place. No transport is known here."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """One message: one event, or an envelope of many."""

    topic: str  # the logical input: "gpu.samples", "token.usage", "billing.charges" or "ops.changes"
    partition: int
    offset: int
    arrived_at: datetime  # the clock against which "in the future" is judged
    value: bytes
    key: bytes | None = None


class Slice(Struct, frozen=True, gc=False):
    """Messages of one topic and partition in the order of their offsets, as columns of equal length."""

    topic: str
    partition: int
    offsets: Sequence[int]
    arrived_ms: Sequence[int]  # epoch milliseconds, on the clock against which "in the future" is judged
    values: Sequence[bytes]
    keys: Sequence[bytes | None] = ()  # none at all where they are not known

    def __len__(self) -> int:
        return len(self.offsets)

    def records(self) -> list[Record]:
        """The same, message by message."""
        return [
            Record(self.topic, self.partition, offset, datetime.fromtimestamp(ms / 1000, UTC), value, key)
            for offset, ms, value, key in zip(
                self.offsets, self.arrived_ms, self.values, self.keys or [None] * len(self), strict=True
            )
        ]

    def cut(self, first: int, end: int) -> "Slice":
        """The messages from the place `first` up to `end`."""
        return Slice(
            self.topic,
            self.partition,
            self.offsets[first:end],
            self.arrived_ms[first:end],
            self.values[first:end],
            self.keys[first:end],
        )


class Refused(Struct, frozen=True, gc=False):
    """Messages that can't be had, though the log holds them: a batch that is damaged or unpacks to too much."""

    topic: str
    partition: int
    first: int
    last: int  # offset, inclusive
    at: datetime  # when that was found
    reason: str


Messages = Slice | Sequence[Record]
"""What one call takes: a slice, or single records, of several topics even."""


def records_of(messages: Messages) -> Sequence[Record]:
    """Any messages, one by one."""
    return messages.records() if isinstance(messages, Slice) else messages
