"""What a decoder of metrics makes of a message: points, each of a series that is looked up by its bytes."""

from msgspec import Struct

from streams.formats.gathering import Point
from streams.formats.series import Series

MOST_SERIES = 300_000  # known by their bytes at a time
MOST_SERIES_BYTES = 128 * 1024**2
STALE_NAN = 0x7FF0000000000002  # by which Prometheus says that a series has ended


class Malformed(ValueError):
    """A message that can't be read as what it should be; says why."""


class Points(Struct):
    """The points of a message in their order, the series that it says have ended, and all that it held."""

    points: list[Point]
    gone: list[Series]
    number: int = 0  # points of any metric, of interest or not, as far as they were looked at


class Room:
    """How much is remembered of series; when there is too much, all of it is forgotten and found out anew."""

    def __init__(self) -> None:
        """Empty."""
        self.series = self.size_bytes = 0

    def take(self, size_bytes: int) -> None:
        """One more, known by so many bytes."""
        self.series += 1
        self.size_bytes += size_bytes

    @property
    def full(self) -> bool:
        """Whether it is time to forget."""
        return self.series >= MOST_SERIES or self.size_bytes >= MOST_SERIES_BYTES

    def clear(self) -> None:
        """All is forgotten."""
        self.series = self.size_bytes = 0
