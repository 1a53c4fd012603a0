"""Pieces that do not begin where reading stands: what is still held before them is asked for, and never passed over."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.client import Client
from streams.gaps import Log
from streams.pieces import Piece
from streams.reading import Reading
from streams.records import Messages, Refused, Slice
from streams.taking import Taking

TOPIC, PLACE = "gpu.samples", ("gpu.samples", 0)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Noting:
    """A handler that notes the offsets it is given."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.begun: list[int] = []
        self.stopped: dict[int, str] = {}

    async def handle(self, messages: Messages) -> None:
        assert isinstance(messages, Slice)
        if messages.partition not in self.stopped:
            self.offsets += messages.offsets

    async def refuse(self, refused: Refused) -> None:
        raise AssertionError(refused.reason)

    async def assigned(self, partitions: set[int]) -> Mapping[tuple[str, int], int]:
        return {}

    async def begin(self, logs: Iterable[Log]) -> Mapping[tuple[str, int], int]:
        self.begun += [one.first_offset for one in logs]
        return {}

    async def revoked(self, partitions: set[int]) -> None:
        return

    def read_from(self, topic: str, partition: int, offset: int) -> None:
        return


class HeldLog:
    """A consumer whose log begins at `first`; it notes where it was sent."""

    def __init__(self, first: int) -> None:
        self.first, self.sought, self.next = first, list[int](), 0

    async def earliest_offsets(self, *places: TP) -> dict[TP, int]:
        return dict.fromkeys(places, self.first)

    async def seek_wait(self, starts: Mapping[TP, int]) -> None:
        self.sought += starts.values()

    def handled(self, tp: TP, after: int) -> None:
        self.next = after

    def pause_partitions(self, places: Iterable[TP]) -> None:
        return

    def resume_partitions(self, places: Iterable[TP]) -> None:
        return


def piece(first: int, after: int) -> Piece:
    offsets = list(range(first, after))
    return Piece(
        first=first, after=after, offsets=offsets, stamped_ms=[1000] * len(offsets), values=[b"{}"] * len(offsets)
    )


def reading(handler: Noting, log: HeldLog, at: int, *, sliced: bool = True) -> Taking:
    """What takes pieces, and stands at this offset."""
    client = Client(SimpleNamespace(consumer=log), {TOPIC: TOPIC})
    return Taking(client, Reading(generation=1, next={PLACE: at}), handler, clock=lambda: NOON, sliced=sliced)


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_pieces_on_their_way_twice_do_not_pass_for_the_next_ones_while_the_log_holds_more() -> None:
    async def scene() -> None:
        handler, log = Noting(), HeldLog(first=0)
        one = reading(handler, log, at=5)
        for each in (piece(20, 23), piece(20, 23), piece(5, 20), piece(20, 23)):
            await one.hand_on(PLACE, each)
        assert handler.offsets == list(range(5, 23))
        assert (log.sought, log.next, handler.begun) == ([5, 5], 23, [])

    run(scene())


def test_what_the_log_no_longer_holds_is_booked_and_reading_goes_on_at_its_start() -> None:
    async def scene() -> None:
        handler, log = Noting(), HeldLog(first=12)
        one = reading(handler, log, at=5)
        await one.hand_on(PLACE, piece(30, 33))
        await one.hand_on(PLACE, piece(12, 30))
        assert handler.offsets == list(range(12, 30))
        assert (log.sought, log.next, handler.begun) == ([5], 30, [12])

    run(scene())


def test_single_messages_of_a_resumed_partition_go_on_over_a_hole() -> None:
    async def scene(first_held: int, hole_to: int) -> None:
        handler, log = Noting(), HeldLog(first=first_held)
        one = reading(handler, log, at=5, sliced=False)
        handler.stopped = {0: "poison"}
        await one.hand_on(PLACE, piece(5, 9))
        handler.stopped = {}
        await one.go_on()
        for each in (piece(30, 33), piece(hole_to, 20), piece(20, 33), piece(hole_to, 20), piece(20, 33)):
            await one.hand_on(PLACE, each)
        assert handler.offsets == list(range(hole_to, 33))

    run(scene(0, 7))  # a mark of a transaction, or compacted
    run(scene(12, 12))  # expired
