"""The consumer of our transport: committed is what was handled, and a piece is what Faust takes for a message."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from faust.types import TP

from streams.app import KafkaSettings, build_app
from streams.pieces import Piece
from streams.transport import SliceConsumer

PLACE, OTHER = TP("gpu.samples", 0), TP("gpu.samples", 1)
PIECE = Piece(first=5, after=9, offsets=[5, 7], stamped_ms=[1000, 2500], values=[b"a", b"bcd"], generation=4)


def with_consumer(tmp_path: Path, check: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run the check on the consumer of an app that never starts."""

    async def scenario() -> None:
        app = build_app(KafkaSettings(bootstrap="kafka-1:9092"), tmp_path)
        app.topics._acking_topics.add(PLACE.topic)
        consumer: Any = app.consumer
        try:
            assert isinstance(consumer, SliceConsumer)
            await check(consumer)
        finally:
            consumer._thread.thread_loop.close()

    asyncio.run(scenario())


def test_the_committed_offset_goes_by_what_was_handled_whatever_faust_acknowledges(tmp_path: Path) -> None:
    async def check(consumer: Any) -> None:
        message = consumer._to_message(PLACE, PIECE)
        consumer.ack(message)
        assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {}

        consumer.handled(PLACE, 9)
        consumer.handled(OTHER, 3)
        assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {PLACE: 9, OTHER: 3}
        assert list(consumer._filter_tps_with_pending_acks({OTHER})) == [OTHER]
        assert PLACE not in consumer._acked

    with_consumer(tmp_path, check)


def test_an_offset_that_is_committed_already_is_not_committed_again(tmp_path: Path) -> None:
    async def check(consumer: Any) -> None:
        consumer.handled(PLACE, 9)
        consumer._committed_offset[PLACE] = 9
        assert consumer._filter_committable_offsets([PLACE]) == {}
        consumer.handled(PLACE, 12)
        assert consumer._filter_committable_offsets([PLACE]) == {PLACE: 12}

    with_consumer(tmp_path, check)


def test_a_piece_is_one_message_of_its_generation_at_its_last_offset(tmp_path: Path) -> None:
    async def check(consumer: Any) -> None:
        message = consumer._to_message(PLACE, PIECE)
        assert (message.topic, message.partition, message.offset) == (PLACE.topic, 0, 8)
        assert (message.timestamp, message.generation_id, message.serialized_value_size) == (2.5, 4, 4)
        assert message.value is PIECE

    with_consumer(tmp_path, check)


def test_what_a_lost_partition_had_handled_is_forgotten(tmp_path: Path) -> None:
    heard: list[object] = []

    async def listen(*given: object) -> None:
        heard.append(given)

    async def check(consumer: Any) -> None:
        consumer._on_partitions_revoked = consumer._on_partitions_assigned = listen
        consumer.app.on_rebalance_return = lambda: None
        consumer.handled(PLACE, 9)
        consumer.handled(OTHER, 9)
        await consumer.on_partitions_revoked({PLACE})
        assert consumer._handled == {OTHER: 9}
        await consumer.on_partitions_assigned({PLACE, OTHER}, 5)
        assert consumer._handled == {}

    with_consumer(tmp_path, check)

    assert heard == [({PLACE},), ({PLACE, OTHER}, 5)]


def test_the_scheme_of_the_brokers_url_chooses_the_transport(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        settings = KafkaSettings(bootstrap="kafka-1:9092,kafka-2:9092")
        stock = KafkaSettings(bootstrap="kafka-1:9092", transport="stock")
        apps = [build_app(one, tmp_path) for one in (settings, stock)]
        assert [[str(url) for url in app.conf.broker] for app in apps] == [
            ["slices://kafka-1:9092", "slices://kafka-2:9092"],
            ["kafka://kafka-1:9092"],
        ]
        return [type(app.transport).__name__ for app in apps]

    assert asyncio.run(scenario()) == ["SliceTransport", "Transport"]
