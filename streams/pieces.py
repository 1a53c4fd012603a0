"""A stretch of a partition's log as a transport reads it, and its bounds. No transport is known here."""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

MAX_UNPACKED_BYTES = 64 * 1024 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """How much one piece holds at most, and how long it is waited for."""

    slice_events: int = 2000
    slice_within_s: float = 0.25
    slice_bytes: int = 4 * 1024 * 1024  # of values, unpacked: enough of a partition, and enough of all for a slice
    batch_bytes: int = MAX_UNPACKED_BYTES  # of one compressed batch, unpacked

    def left(self, taken: Sequence["Piece"]) -> tuple[int, int]:
        """How many messages, and bytes of values, may be added to these pieces of a partition; 0 of either: none."""
        events = self.slice_events - sum(len(piece.offsets) for piece in taken)
        size = self.slice_bytes - sum(piece.size_bytes for piece in taken)
        return max(events, 0), max(size, 0)

    @property
    def enough(self) -> int:
        """How many messages, of all partitions together, are worth handing over without waiting for more."""
        return self.slice_events // 2


class Piece(Struct, frozen=True, gc=False):
    """Part of a partition's log, from `first` up to `after`: its messages as columns, or why they can't be had."""

    first: int  # where reading stood before
    after: int  # where it goes on
    offsets: Sequence[int] = ()
    stamped_ms: Sequence[int] = ()  # epoch milliseconds, of the broker or of the producer as the topic is set
    values: Sequence[bytes] = ()
    keys: Sequence[bytes | None] = ()
    refused: str | None = None
    generation: int | None = None  # of the assignment under which it was read

    @property
    def size_bytes(self) -> int:
        """Of its values."""
        return sum(map(len, self.values))

    def since(self, offset: int) -> "Piece":
        """The part of it from this offset on."""
        at = bisect_left(self.offsets, offset)
        return Piece(
            first=max(self.first, offset),
            after=self.after,
            offsets=self.offsets[at:],
            stamped_ms=self.stamped_ms[at:],
            values=self.values[at:],
            keys=self.keys[at:],
            refused=self.refused,
            generation=self.generation,
        )


def joined(pieces: list[Piece]) -> list[Piece]:
    """The same with neighbours made one, but for what was refused."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if runs and piece.refused is None and runs[-1][-1].refused is None and runs[-1][-1].after == piece.first:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return [run[0] if len(run) == 1 else _one(run) for run in runs]


def _one(run: list[Piece]) -> Piece:
    return Piece(
        first=run[0].first,
        after=run[-1].after,
        offsets=[offset for piece in run for offset in piece.offsets],
        stamped_ms=[ms for piece in run for ms in piece.stamped_ms],
        values=[value for piece in run for value in piece.values],
        keys=[key for piece in run for key in piece.keys],
        generation=run[0].generation,
    )
