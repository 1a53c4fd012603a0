"""What was fetched goes to the generation that will handle it: to no other, and not to none."""

import asyncio
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.batches import Batches
from streams.fetching import Pieces, Reader
from streams.pieces import Limits

PLACE = TopicPartition("gpu.samples", 0)


class State:
    """aiokafka's state of a partition: where it reads on."""

    paused = False
    position = 0

    def consumed_to(self, offset: int) -> None:
        self.position = offset


def fetched(state: State, *values: bytes) -> Any:
    """A fetch result of one batch from offset 0."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 16)
    for n, value in enumerate(values):
        builder.append(n, 1_780_000_000_000 + n, None, value, [])
    records = aiokafka_fetcher.PartitionRecords.__new__(aiokafka_fetcher.PartitionRecords)
    records._records, records.next_fetch_offset = Batches(bytes(builder.build())), state.position
    records._aborted_transactions, records._isolation_level, records._check_crcs = None, 0, True
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return aiokafka_fetcher.FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=0)


def bare_fetcher() -> Any:
    """aiokafka's fetcher with neither a broker nor tasks."""
    fetcher = aiokafka_fetcher.Fetcher.__new__(aiokafka_fetcher.Fetcher)
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda _: True)
    fetcher._loop, fetcher._fetch_waiters, fetcher._closed = asyncio.get_running_loop(), set(), False
    fetcher._records, fetcher._wait_consume_future = OrderedDict(), None
    return fetcher


def test_what_comes_after_a_rebalance_is_left_to_a_reading_of_the_new_generation() -> None:
    """Handed over as the old generation's it would be dropped, with the position beyond it: the log's end is unread."""
    generation = [1]

    async def scenario() -> tuple[Pieces, Pieces, int]:
        fetcher, state = bare_fetcher(), State()
        reader = Reader(fetcher, Limits(slice_within_s=0.0), lambda: generation[0])
        before = asyncio.create_task(reader.read({PLACE}, 60.0))
        while not fetcher._fetch_waiters:
            await asyncio.sleep(0)
        generation[0] = 2
        fetcher._records[PLACE] = fetched(state, b"a", b"b")
        for waiter in list(fetcher._fetch_waiters):
            waiter.set_result(None)
        first = await before
        position = state.position
        return first, await reader.read({PLACE}, 0.0), position

    before, after, position = asyncio.run(scenario())

    assert (before, position) == ({}, 0)
    ((piece,),) = after.values()
    assert (piece.generation, list(piece.values)) == (2, [b"a", b"b"])
