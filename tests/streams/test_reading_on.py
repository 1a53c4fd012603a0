"""Pieces that do not begin where reading stands: what is still held before them is asked for, and never passed over."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.app import KafkaSettings, build_app
from streams.client import Client
from streams.consumption import Consumption
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


class Single(SimpleNamespace):
    """A message as Faust hands it over."""


def singles(*offsets: int) -> list[Any]:
    return [
        Single(partition=0, offset=at, timestamp=1.0, key=b"k", value=b"{}", generation_id=1, acked=False)
        for at in offsets
    ]


def crashed(code: int) -> None:
    raise AssertionError(f"ended with {code}")


def consuming(tmp_path: Path, handler: Noting, log: HeldLog, at: int) -> Consumption:
    """What takes single messages, of a worker that never starts, and stands at this offset."""
    settings = KafkaSettings(bootstrap="kafka-1:9092", transport="stock")
    one = Consumption(build_app(settings, tmp_path), settings, handler, clock=lambda: NOON, die=crashed)
    one._client._app = SimpleNamespace(consumer=log)
    one._reading.generation, one._reading.next = 1, {PLACE: at}
    return one


def test_single_messages_fetched_before_the_transport_went_back_hide_no_hole_in_one_slice(tmp_path: Path) -> None:
    async def scene() -> None:
        handler, log = Noting(), HeldLog(first=0)
        one = consuming(tmp_path, handler, log, at=5)
        handler.stopped = {0: "poison"}
        await one._take(TOPIC, singles(*range(5, 9)))
        handler.stopped = {}
        await one.go_on()
        mixed = singles(*range(30, 33), *range(5, 20))  # the first three were on their way
        await one._take(TOPIC, mixed)
        assert handler.offsets == list(range(5, 20))
        assert [message.offset for message in mixed if not message.acked] == list(range(5, 20))
        await one._take(TOPIC, singles(*range(5, 33)))
        assert handler.offsets == list(range(5, 33))

    run(scene())


def test_messages_that_come_twice_in_one_slice_are_handed_on_once(tmp_path: Path) -> None:
    async def scene() -> None:
        handler, log = Noting(), HeldLog(first=0)
        one = consuming(tmp_path, handler, log, at=5)
        await one._take(TOPIC, singles(*range(5, 9), *range(5, 12)))
        assert handler.offsets == list(range(5, 12))

    run(scene())
