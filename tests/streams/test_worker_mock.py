"""The worker on librdkafka's mock cluster: what needs no durable log, also where no real broker can be had."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from confluent_kafka import Producer

from streams.app import KafkaSettings
from streams.gaps import Log
from streams.records import Messages, Refused, records_of
from streams.topics import INPUTS
from streams.worker import Worker
from tests.support.kafka_mock import MockKafka

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DEADLINE_S = 240.0


class Keeping:
    """A handler that keeps what it is given and says where it was before."""

    def __init__(self, stored: dict[tuple[str, int], int]) -> None:
        self.stored = stored
        self.places: list[tuple[str, int, int, bytes]] = []
        self.stopped: dict[int, str] = {}

    async def handle(self, messages: Messages) -> None:
        self.places += [
            (record.topic, record.partition, record.offset, record.value) for record in records_of(messages)
        ]

    async def assigned(self, partitions: set[int]) -> Mapping[tuple[str, int], int]:
        return self.stored

    async def begin(self, logs: Iterable[Log]) -> Mapping[tuple[str, int], int]:
        return self.stored

    async def revoked(self, partitions: set[int]) -> None:
        return

    async def refuse(self, refused: Refused) -> None:
        raise AssertionError(refused.reason)

    def read_from(self, topic: str, partition: int, offset: int) -> None:
        return


def test_the_worker_reads_on_where_the_store_says_and_stops(mock_kafka: MockKafka) -> None:
    mark = uuid.uuid4().hex[:12]
    topics = {name: f"{name}.{mark}" for name in INPUTS}
    for topic in topics.values():
        mock_kafka.create(topic)
    producer = Producer({"bootstrap.servers": mock_kafka.bootstrap, "acks": "all"})
    for n in range(20):
        producer.produce(topics["gpu.samples"], value=f"{n}".encode(), partition=0)
    producer.flush(30)
    handler = Keeping({("gpu.samples", 0): 5})
    settings = KafkaSettings(bootstrap=mock_kafka.bootstrap, group=f"group-{mark}", topics=topics, slice_within_s=0.05)

    async def scenario() -> int:
        worker = Worker(settings, handler, clock=lambda: NOON, retry_s=0.2, identify=lambda **_: {})
        task = asyncio.create_task(worker.run(handle_signals=False))
        async with asyncio.timeout(DEADLINE_S):
            while not (worker.ready() and worker.caught_up("gpu.samples", 0)):
                await asyncio.sleep(0.02)
            assert worker.lag_events("gpu.samples", 0) == 0
            worker.request_stop()
            return await task

    assert asyncio.run(scenario()) == 0
    assert handler.places == [("gpu.samples", 0, n, f"{n}".encode()) for n in range(5, 20)]
