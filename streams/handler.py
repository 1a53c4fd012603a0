"""What a transport hands messages to. No transport is known here."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from streams.gaps import Log
from streams.records import Messages, Refused

Place = tuple[str, int]
"""A logical topic and a partition of it."""


class Handler(Protocol):
    """What the worker hands records to. No two of its methods run at the same time."""

    async def handle(self, messages: Messages) -> None:
        """Take messages of one topic and partition, in order of offset; return when they are safe, or are read again.

        What is not durable then lies at or behind the places that `assigned` and `begin` name the next time. A bad
        event is set aside here, and a store that is down is waited for: raising ends the process.
        """

    async def refuse(self, refused: Refused) -> None:
        """Put on record that these messages can't be had; return only when that is durable, or will be said again."""

    async def assigned(self, partitions: set[int]) -> Mapping[Place, int]:
        """Load what is known of these partitions, all the worker now has, and say how far each topic was read."""

    async def begin(self, logs: Iterable[Log]) -> Mapping[Place, int]:
        """Say where each log, as Kafka holds it now, is read on; what is gone from it unread is booked before.

        Where a place is absent, reading begins at the start of its log.
        """

    async def revoked(self, partitions: set[int]) -> None:
        """Let go of these partitions; whatever is not yet durable will be read again by their next owner."""

    @property
    def stopped(self) -> Mapping[int, str]:
        """Partitions that are not read for now, and why; what is handed over of them is left out, and read again."""

    def read_from(self, topic: str, partition: int, offset: int) -> None:
        """The transport has gone back to this message: what it hands over next begins there, or is all that is left."""
