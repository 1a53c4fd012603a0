"""Where reading stands: what is assigned, how far each place was handled, and what has to be read again."""

from msgspec import Struct

from streams.handler import Place


class Reading(Struct):
    """Of one member of the group. All but `ends` and `ids` is of the assignment that is in force."""

    generation: int | None = None  # of the assignment that may be handled; None while there is none
    partitions: frozenset[int] = frozenset()
    leaving: int = 0  # the next rebalance, or the stop, is already there, while a slice is being handled
    fault: str | None = None  # why what is assigned is not read
    next: dict[Place, int] = {}  # after the last one handled
    left: set[Place] = set()  # of stopped partitions: to be read again from the first one not handled
    sought: set[Place] = set()  # of single messages: gone back to, and not seen yet
    missed: dict[Place, int] = {}  # where a piece began too late, the lowest; what is before was asked for
    ends: dict[Place, int] = {}  # of the log when it was assigned: the client's own mark may be older
    ids: dict[str, str] = {}  # Kafka's own, by topic, as of the assignment

    @property
    def goes_on(self) -> bool:
        """Whether the assignment is in force, and nothing waits to end it."""
        return self.generation is not None and not self.leaving

    def end(self) -> frozenset[int]:
        """The assignment is over; returns the partitions that it was of."""
        held, self.partitions = self.partitions, frozenset()
        self.generation = self.fault = None
        self.next, self.missed, self.sought, self.left = {}, {}, set(), set()
        return held
