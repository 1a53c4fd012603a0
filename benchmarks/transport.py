"""Messages a second from a real broker to an agent that does nothing: stock transport, bare aiokafka, and ours.

    python benchmarks/transport.py HOST:PORT [--messages N] [--runs N]

It makes topics of its own, with four partitions and messages of 300 bytes, and reads each whole. One process, one core
wanted; `cpu` counts the process's own seconds, so that a figure can be had per core.
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from msgspec import Struct

from streams.app import KafkaSettings
from streams.records import Messages, Refused
from streams.topics import INPUTS, ensure_topics
from streams.worker import Worker

PARTITIONS = 4
VALUE = json.dumps({"event_type": "gpu_sample", "pad": "x" * 263}).encode()


class Run(Struct, frozen=True):
    per_s: float
    per_cpu_s: float


class Nothing:
    """A handler that counts, and marks when the first and the last message came."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.began: tuple[float, float] | None = None
        self.done = asyncio.Event()
        self.ended = (0.0, 0.0)

    async def handle(self, messages: Messages) -> None:
        if self.began is None:
            self.began = (time.perf_counter(), time.process_time())
            self.counted = self.left - len(messages)
        self.left -= len(messages)
        if self.left <= 0:
            self.ended = (time.perf_counter(), time.process_time())
            self.done.set()

    async def refuse(self, refused: Refused) -> None:
        raise RuntimeError(refused.reason)

    async def assigned(self, partitions: set[int]) -> Mapping[tuple[str, int], int]:
        return {}

    async def revoked(self, partitions: set[int]) -> None:
        return

    def run(self) -> Run:
        assert self.began is not None
        wall_s, cpu_s = (end - begin for begin, end in zip(self.began, self.ended, strict=True))
        return Run(self.counted / wall_s, self.counted / cpu_s)


def fill(bootstrap: str, messages: int) -> dict[str, str]:
    mark = uuid.uuid4().hex[:8]
    topics = {name: f"bench-{name}-{mark}" for name in INPUTS}
    ensure_topics(bootstrap=bootstrap, topics=list(topics.values()), dead_letters=None, partitions=PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for n in range(messages):
        producer.produce(topics["gpu.samples"], VALUE, partition=n % PARTITIONS)
        if n % 10_000 == 0:
            producer.poll(0)
    producer.flush(120)
    return topics


async def through_worker(bootstrap: str, topics: Mapping[str, str], messages: int, transport: str) -> Run:
    handler = Nothing(messages)
    settings = KafkaSettings(
        bootstrap=bootstrap,
        group=f"bench-{uuid.uuid4().hex[:8]}",
        topics=topics,
        transport="slices" if transport == "slices" else "stock",
    )
    worker = Worker(settings, handler, clock=lambda: datetime.now(UTC))
    task = asyncio.create_task(worker.run(handle_signals=False))
    await handler.done.wait()
    worker.request_stop()
    await task
    return handler.run()


async def through_aiokafka(bootstrap: str, topics: Mapping[str, str], messages: int) -> Run:
    handler = Nothing(messages)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    places = [TopicPartition(topics["gpu.samples"], partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    while not handler.done.is_set():
        for records in (await consumer.getmany(timeout_ms=1000, max_records=2000)).values():
            await handler.handle(records)
    await consumer.stop()
    return handler.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bootstrap")
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--stock-messages", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    many, few = fill(given.bootstrap, given.messages), fill(given.bootstrap, given.stock_messages)
    variants: dict[str, Callable[[], Awaitable[Run]]] = {
        "stock": lambda: through_worker(given.bootstrap, few, given.stock_messages, "stock"),
        "aiokafka": lambda: through_aiokafka(given.bootstrap, many, given.messages),
        "slices": lambda: through_worker(given.bootstrap, many, given.messages, "slices"),
    }
    runs: dict[str, list[Run]] = {name: [] for name in variants}
    for _ in range(given.runs):
        for name, variant in variants.items():
            runs[name].append(asyncio.run(variant()))  # type: ignore[arg-type]
    medians = {
        name: Run(statistics.median(one.per_s for one in each), statistics.median(one.per_cpu_s for one in each))
        for name, each in runs.items()
    }
    print(f"{'':10}{'messages/s':>12}{'per CPU s':>12}{'x stock':>9}")
    for name, median in medians.items():
        ratio = median.per_cpu_s / medians["stock"].per_cpu_s
        print(f"{name:10}{median.per_s:12,.0f}{median.per_cpu_s:12,.0f}{ratio:9.1f}")


if __name__ == "__main__":
    main()
