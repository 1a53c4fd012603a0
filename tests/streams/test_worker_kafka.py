"""The worker on a real broker: every record handled, in order, from where the store says; and a clean end."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from store.facts import GapCause
from streams.app import KafkaSettings
from streams.gaps import Hole, Log, where_to_begin
from streams.records import Messages, Record, Refused, records_of
from streams.topics import INPUTS, ensure_topics
from streams.worker import Worker
from tests.support.kafka_broker import KafkaBroker

pytestmark = pytest.mark.kafka

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DEADLINE_S = 240.0
ROOT = Path(__file__).parents[2]

Place = tuple[str, int]


class Keeping:
    """A handler that keeps what it is given, as a store would: records, and the next offset of each place."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.refused: list[Refused] = []
        self.stopped: dict[int, str] = {}
        self.left_out: list[Record] = []
        self.stored: dict[Place, int] = {}
        self.ids: dict[str, str] = {}
        self.holes: list[tuple[str, Hole]] = []
        self.assignments: list[set[int]] = []
        self.revocations: list[set[int]] = []
        self.may_handle = asyncio.Event()
        self.may_handle.set()
        self.busy = asyncio.Event()

    async def handle(self, messages: Messages) -> None:
        records = records_of(messages)
        self.busy.set()
        await self.may_handle.wait()
        if records[0].partition in self.stopped:
            self.left_out.extend(records)
            return
        self.records.extend(records)
        self.stored[(records[0].topic, records[0].partition)] = records[-1].offset + 1

    async def refuse(self, refused: Refused) -> None:
        self.refused.append(refused)
        self.stored[(refused.topic, refused.partition)] = refused.last + 1

    async def assigned(self, partitions: set[int]) -> Mapping[Place, int]:
        self.assignments.append(set(partitions))
        return {place: offset for place, offset in self.stored.items() if place[1] in partitions}

    async def begin(self, logs: Iterable[Log]) -> Mapping[Place, int]:
        starts = {}
        for one in logs:
            place = (one.topic, one.partition)
            start, hole = where_to_begin(one, self.stored.get(place), self.ids.get(one.topic))
            if hole is not None:
                self.holes.append((one.topic, hole))
            if one.topic_id is not None:
                self.ids[one.topic] = one.topic_id
            starts[place] = self.stored[place] = start
        return starts

    async def revoked(self, partitions: set[int]) -> None:
        self.revocations.append(set(partitions))

    def read_from(self, topic: str, partition: int, offset: int) -> None:
        self.left_out = [record for record in self.left_out if (record.topic, record.partition) != (topic, partition)]

    def offsets(self, topic: str) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for record in self.records:
            if record.topic == topic:
                found.setdefault(record.partition, []).append(record.offset)
        return found


@pytest.fixture(params=["slices", "stock"])
def settings(kafka_broker: str, request: pytest.FixtureRequest) -> KafkaSettings:
    """Names that no other test uses, on topics that do not exist yet."""
    mark = uuid.uuid4().hex[:12]
    return KafkaSettings(
        bootstrap=kafka_broker,
        group=f"group-{mark}",
        topics={name: f"{name}.{mark}" for name in INPUTS},
        slice_within_s=0.05,
        transport=request.param,
    )


def make_topics(settings: KafkaSettings, partitions: int = 3) -> None:
    ensure_topics(
        bootstrap=settings.bootstrap, topics=list(settings.topics.values()), dead_letters=None, partitions=partitions
    )


def publish(settings: KafkaSettings, topic: str, count: int, partitions: int = 3) -> None:
    """`count` messages in each partition of a logical topic, with the partition as key."""
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=5)
    sent = [
        producer.send(settings.topics[topic], key=str(p).encode(), value=f"{p}-{i}".encode(), partition=p)
        for i, p in itertools.product(range(count), range(partitions))
    ]
    producer.flush()
    for future in sent:
        future.get(timeout=60)
    producer.close()


def commit(settings: KafkaSettings, offsets: Mapping[Place, int]) -> None:
    """Set the group's committed offsets while no worker runs."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=settings.group, enable_auto_commit=False)
    places = {TopicPartition(settings.topics[topic], p): offset for (topic, p), offset in offsets.items()}
    consumer.assign(list(places))
    consumer.commit({place: OffsetAndMetadata(offset, "", -1) for place, offset in places.items()})
    consumer.close()


def committed(settings: KafkaSettings, topic: str, partition: int) -> int | None:
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=settings.group, enable_auto_commit=False)
    with contextlib.closing(consumer):
        return consumer.committed(TopicPartition(settings.topics[topic], partition))


async def until(condition: Callable[[], object]) -> None:
    """Wait for the condition, at most DEADLINE_S."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(settings: KafkaSettings, handler: Keeping) -> AsyncIterator[Worker]:
    """A worker that runs meanwhile; it must end with exit code 0."""
    deaths: list[int] = []
    worker = Worker(settings, handler, clock=lambda: NOON, retry_s=0.2, watch_every_s=0.3, die=deaths.append)
    task = asyncio.create_task(worker.run(handle_signals=False))
    try:
        yield worker
    finally:
        handler.may_handle.set()
        worker.request_stop()
        code = await asyncio.wait_for(task, DEADLINE_S)
    assert (code, deaths) == (0, [])


def test_every_record_reaches_the_handler_once_with_its_place_and_in_order(settings: KafkaSettings) -> None:
    make_topics(settings)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            for topic in INPUTS:
                await asyncio.to_thread(publish, settings, topic, 50)
            await until(lambda: len(handler.records) >= 600)
            await until(lambda: all(worker.caught_up(topic, p) for topic in INPUTS for p in range(3)))
            assert worker.partitions == {0, 1, 2}

    asyncio.run(scenario())

    assert {topic: handler.offsets(topic) for topic in INPUTS} == {
        topic: {p: list(range(50)) for p in range(3)} for topic in INPUTS
    }
    assert {(r.value, r.arrived_at) for r in handler.records if r.topic == "token.usage" and r.partition == 2} == {
        (f"2-{i}".encode(), NOON) for i in range(50)
    }
    assert handler.revocations == [{0, 1, 2}]


def test_a_slice_in_progress_is_not_committed_and_a_stop_waits_for_it(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=1)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await asyncio.to_thread(publish, settings, "gpu.samples", 20, 1)
            await until(lambda: len(handler.records) == 20)
            handler.may_handle.clear()
            handler.busy.clear()
            await asyncio.to_thread(publish, settings, "gpu.samples", 20, 1)
            await asyncio.wait_for(handler.busy.wait(), DEADLINE_S)
            await until(lambda: committed(settings, "gpu.samples", 0) == 20)
            assert not worker.caught_up("gpu.samples", 0)
            assert worker.caught_up("ops.changes", 0)

    asyncio.run(scenario())

    assert committed(settings, "gpu.samples", 0) == 40
    assert handler.offsets("gpu.samples") == {0: list(range(40))}


@pytest.mark.parametrize(("kafka_says", "store_says"), [(30, 10), (10, 30), (30, None), (None, 30), (30, 0)])
def test_reading_goes_on_where_the_store_says_whatever_kafka_has_committed(
    settings: KafkaSettings, kafka_says: int | None, store_says: int | None
) -> None:
    make_topics(settings, partitions=2)
    publish(settings, "token.usage", 40, partitions=2)
    if kafka_says is not None:
        commit(settings, {("token.usage", p): kafka_says for p in range(2)})
    handler = Keeping()
    if store_says is not None:
        handler.stored = {("token.usage", p): store_says for p in range(2)}
    first = store_says or 0

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: all(worker.caught_up(topic, p) for topic in INPUTS for p in range(2)))

    asyncio.run(scenario())

    assert handler.offsets("token.usage") == {p: list(range(first, 40)) for p in range(2)}


def test_a_worker_is_not_ready_until_all_topics_exist_and_says_which_are_missing(settings: KafkaSettings) -> None:
    handler = Keeping()
    reasons: list[str | None] = []

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: worker.unready and "missing" in worker.unready)
            reasons.append(worker.unready)
            assert not worker.ready()
            await asyncio.to_thread(make_topics, settings)
            await until(worker.ready)
            assert worker.unready is None

    asyncio.run(scenario())

    assert reasons == [
        f"topics missing: {', '.join(settings.topics.values())}; make them with `emberwatch topics ensure`"
    ]


def test_topics_with_different_partition_counts_are_never_consumed(settings: KafkaSettings) -> None:
    *three, last = settings.topics.values()
    ensure_topics(bootstrap=settings.bootstrap, topics=three, dead_letters=None, partitions=2)
    ensure_topics(bootstrap=settings.bootstrap, topics=[last], dead_letters=None, partitions=3)

    async def scenario() -> None:
        async with running(settings, Keeping()) as worker:
            await until(lambda: worker.unready and "partition counts differ" in worker.unready)
            assert worker.partitions == frozenset()

    asyncio.run(scenario())


def test_an_unreachable_broker_is_named_in_the_reason_and_a_stop_is_still_heeded(settings: KafkaSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        nobody = KafkaSettings(bootstrap=address, group=settings.group, topics=settings.topics)

        async def scenario() -> None:
            async with running(nobody, Keeping()) as worker:
                await until(lambda: worker.unready and address in worker.unready)
            assert (worker.unready, worker.partitions) == ("stopping", frozenset())

        asyncio.run(scenario())


def test_what_expired_before_it_was_read_is_a_gap_with_its_range(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "token.usage", 40, partitions=1)
    delete_before(settings, "token.usage", 25)
    handler = Keeping()
    handler.stored = {("token.usage", 0): 10}

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: worker.caught_up("token.usage", 0))

    asyncio.run(scenario())

    assert handler.offsets("token.usage") == {0: list(range(25, 40))}
    assert handler.holes == [("token.usage", expired(10, 25))]


def test_retention_that_overtakes_a_reader_is_noticed_while_it_runs(settings: KafkaSettings) -> None:
    """The client reads ahead as far as its buffers go, and goes on at the start of the log when that is past."""
    make_topics(settings, partitions=1)
    handler = Keeping()
    handler.may_handle.clear()

    def fill_and_forget() -> None:
        producer = KafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=5)
        for _ in range(12_000):
            producer.send(settings.topics["token.usage"], value=b"x" * 500, partition=0)
        producer.flush()
        producer.close()
        delete_before(settings, "token.usage", 11_990)

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(worker.ready)
            await asyncio.to_thread(fill_and_forget)
            handler.may_handle.set()
            await until(lambda: len(handler.records) and handler.records[-1].offset == 11_999)

    asyncio.run(scenario())

    ((topic, hole),) = handler.holes
    assert topic == "token.usage"
    assert hole == expired(hole.first_offset, 11_990)
    assert handler.offsets("token.usage") == {0: [*range(hole.first_offset), *range(11_990, 12_000)]}


def test_a_log_that_has_lost_its_end_is_a_gap_and_is_read_from_its_start(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "token.usage", 40, partitions=1)
    handler = Keeping()
    handler.stored = {("token.usage", 0): 45}

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: worker.caught_up("token.usage", 0) and len(handler.records) >= 40)

    asyncio.run(scenario())

    assert handler.offsets("token.usage") == {0: list(range(40))}
    assert handler.holes == [
        ("token.usage", Hole(cause=GapCause.RECREATED, first_offset=45, next_offset=0, most_events=None))
    ]


@pytest.mark.parametrize("events", [3, 30])
def test_a_topic_made_anew_while_it_is_read_is_a_gap_and_is_read_from_its_start(
    settings: KafkaSettings, events: int
) -> None:
    """Whether the new log is shorter than what was read of the old one, or longer by the time that anyone looks."""
    make_topics(settings, partitions=1)
    publish(settings, "token.usage", 10, partitions=1)
    handler = Keeping()

    quick = replace(settings, metadata_max_age_s=1.0)

    async def scenario() -> None:
        async with running(quick, handler) as worker:
            await until(lambda: len(handler.records) == 10 and worker.caught_up("token.usage", 0))
            await asyncio.to_thread(make_anew, settings, "token.usage", events)
            await until(lambda: len(handler.records) >= 10 + events and worker.ready())

    asyncio.run(scenario())

    assert handler.offsets("token.usage") == {0: [*range(10), *range(events)]}
    assert handler.holes == [
        ("token.usage", Hole(cause=GapCause.RECREATED, first_offset=10, next_offset=0, most_events=None))
    ]


def test_a_topic_made_anew_while_no_worker_ran_is_a_gap_however_long_it_is(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "token.usage", 10, partitions=1)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler):
            await until(lambda: len(handler.records) == 10)
        await asyncio.to_thread(make_anew, settings, "token.usage", 25)
        for _ in range(2):
            async with running(settings, handler) as worker:
                await until(lambda: len(handler.records) >= 35 and worker.ready())

    asyncio.run(scenario())

    assert handler.offsets("token.usage") == {0: [*range(10), *range(25)]}
    assert [hole.cause for _, hole in handler.holes] == [GapCause.RECREATED]


def expired(first: int, following: int) -> Hole:
    return Hole(cause=GapCause.EXPIRED, first_offset=first, next_offset=following, most_events=following - first)


def delete_before(settings: KafkaSettings, topic: str, offset: int) -> None:
    """Let a log begin at this offset, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
    with contextlib.closing(admin):
        admin.delete_records({TopicPartition(settings.topics[topic], 0): offset})


def make_anew(settings: KafkaSettings, topic: str, events: int) -> None:
    """Delete a topic, make it again under its name, and put events there."""
    name = settings.topics[topic]
    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
    with contextlib.closing(admin):
        admin.delete_topics([name])
        for _ in range(200):
            if name not in admin.list_topics():
                break
    ensure_topics(bootstrap=settings.bootstrap, topics=[name], dead_letters=None, partitions=1)
    publish(settings, topic, events, partitions=1)


def test_a_rebalance_waits_for_the_slice_in_progress_and_nothing_is_handled_twice(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=4)
    first, second = Keeping(), Keeping()
    second.stored = first.stored

    async def scenario() -> None:
        async with running(settings, first) as one:
            await until(one.ready)
            first.may_handle.clear()
            for topic in INPUTS:
                await asyncio.to_thread(publish, settings, topic, 30, 4)
            await asyncio.wait_for(first.busy.wait(), DEADLINE_S)
            async with running(settings, second) as two:
                await until(lambda: two.unready and "no partition is assigned" in two.unready)
                await until(lambda: group_state(settings) == "PreparingRebalance")
                assert second.assignments == []
                first.may_handle.set()
                await until(lambda: one.ready() and two.ready())
                await until(lambda: len(first.records) + len(second.records) >= 480)

    asyncio.run(scenario())

    assert sorted((r.topic, r.partition, r.offset) for r in first.records + second.records) == sorted(
        (topic, p, offset) for topic in INPUTS for p in range(4) for offset in range(30)
    )
    assert second.assignments


def test_messages_without_value_or_key_arrive_too(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=1)
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap)
    for key, value in ((b"k", None), (None, b"v"), (b"", b""), (b"\xff\xfe", b"\x00\xff")):
        producer.send(settings.topics["ops.changes"], key=key, value=value).get(timeout=60)
    producer.close()
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: worker.caught_up("ops.changes", 0))

    asyncio.run(scenario())

    assert [(r.offset, r.value) for r in handler.records] == [(0, b""), (1, b"v"), (2, b""), (3, b"\x00\xff")]


def test_a_stopped_partition_is_not_committed_holds_up_no_other_and_is_read_on_when_it_goes_on(
    settings: KafkaSettings,
) -> None:
    make_topics(settings, partitions=2)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await asyncio.to_thread(publish, settings, "gpu.samples", 10, 2)
            await until(lambda: len(handler.records) == 20)
            handler.stopped[0] = "too much of it is malformed"
            for _ in range(3):
                await asyncio.to_thread(publish, settings, "gpu.samples", 10, 2)
            await until(lambda: len(handler.records) == 50 and handler.left_out)
            await worker.go_on()
            await until(lambda: committed(settings, "gpu.samples", 1) == 40)
            assert committed(settings, "gpu.samples", 0) == 10
            assert not worker.caught_up("gpu.samples", 0)
            handler.stopped.clear()
            await worker.go_on()
            await asyncio.to_thread(publish, settings, "token.usage", 10, 2)
            await until(lambda: len(handler.records) >= 100)
            await until(lambda: worker.caught_up("gpu.samples", 0))

    asyncio.run(scenario())

    assert handler.offsets("gpu.samples") == {0: list(range(40)), 1: list(range(40))}
    assert handler.offsets("token.usage") == {0: list(range(10)), 1: list(range(10))}
    assert committed(settings, "gpu.samples", 0) == 40


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_too_much_is_put_on_record_and_reading_goes_on_behind_it(
    kafka_broker: str, codec: str
) -> None:
    mark = uuid.uuid4().hex[:12]
    settings = KafkaSettings(
        bootstrap=kafka_broker,
        group=f"group-{mark}",
        topics={name: f"{name}.{mark}" for name in INPUTS},
        slice_within_s=0.05,
        batch_bytes=100_000,
    )
    make_topics(settings, partitions=1)
    topic, reply = settings.topics["ops.changes"], AdminClient({"bootstrap.servers": kafka_broker})
    kept_packed = ConfigEntry("compression.type", "producer", incremental_operation=AlterConfigOpType.SET)
    for done in reply.incremental_alter_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[kept_packed])]
    ).values():
        done.result(10)
    producer = Producer({"bootstrap.servers": kafka_broker, "compression.type": codec, "linger.ms": 0})
    for value in (b"before", bytes(500_000), b"behind"):
        producer.produce(topic, value)
        producer.flush(10)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            await until(lambda: worker.caught_up("ops.changes", 0))

    asyncio.run(scenario())

    assert [(one.offset, one.value) for one in handler.records] == [(0, b"before"), (2, b"behind")]
    (refused,) = handler.refused
    assert (refused.topic, refused.partition, refused.first, refused.last) == ("ops.changes", 0, 1, 1)
    assert refused.reason.startswith(f"the batch ({codec}, ")
    assert refused.reason.endswith("is damaged or unpacks to more than 100000 bytes")
    assert committed(settings, "ops.changes", 0) == 3


def test_two_workers_share_the_partitions_and_each_holds_the_same_ones_of_every_topic(settings: KafkaSettings) -> None:
    make_topics(settings, partitions=3)
    first, second = Keeping(), Keeping()
    second.stored = first.stored  # one store for both
    split: list[frozenset[int]] = []

    async def scenario() -> None:
        async with running(settings, first) as one:
            await until(one.ready)
            await asyncio.to_thread(publish, settings, "gpu.samples", 10)
            await until(lambda: len(first.records) >= 30)
            async with running(settings, second) as two:
                await until(lambda: one.ready() and two.ready() and len(one.partitions) + len(two.partitions) == 3)
                split.extend([one.partitions, two.partitions])
                for topic in INPUTS:
                    await asyncio.to_thread(publish, settings, topic, 10)
                await until(lambda: len(first.records) + len(second.records) >= 150)
            await until(lambda: one.ready() and one.partitions == {0, 1, 2})
            await asyncio.to_thread(publish, settings, "gpu.samples", 5)
            await until(lambda: len(first.records) + len(second.records) >= 165)

    asyncio.run(scenario())

    assert sorted(map(len, split)) == [1, 2]
    assert split[0] | split[1] == {0, 1, 2}
    assert {(r.topic, r.partition) for r in second.records} == {(topic, p) for topic in INPUTS for p in split[1]}
    everything = sorted((r.topic, r.partition, r.offset) for r in first.records + second.records)
    assert everything == sorted(
        (topic, p, offset)
        for topic in INPUTS
        for p in range(3)
        for offset in range(25 if topic == "gpu.samples" else 10)
    )


CHILD = textwrap.dedent(
    """
    import asyncio, json, os, pathlib, sys
    from datetime import UTC, datetime
    from streams.app import KafkaSettings
    from streams.records import records_of
    from streams.worker import Worker

    bootstrap, group, topics, folder, behaviour, transport = sys.argv[1:]
    folder = pathlib.Path(folder)

    class Handler:
        def __init__(self):
            self.stopped = {}

        async def handle(self, messages):
            print("handling", flush=True)
            if behaviour == "raise":
                raise RuntimeError("a fault that nobody foresaw")
            if behaviour == "hang":
                await asyncio.Event().wait()
            with (folder / "records").open("a") as kept:
                kept.writelines(f"{r.topic} {r.partition} {r.offset}\\n" for r in records_of(messages))
                kept.flush()
                os.fsync(kept.fileno())
            print("kept", flush=True)

        async def assigned(self, partitions):
            kept = folder / "records"
            lines = kept.read_text().splitlines() if kept.exists() else []
            stored = {}
            for topic, partition, offset in map(str.split, lines):
                stored[topic, int(partition)] = int(offset) + 1
            print("assigned", flush=True)
            return stored

        async def begin(self, logs):
            stored = await self.assigned(set())
            return {place: offset for place, offset in stored.items()}

        async def revoked(self, partitions):
            print("revoked", flush=True)

    async def main():
        settings = KafkaSettings(bootstrap=bootstrap, group=group, topics=json.loads(topics), slice_within_s=0.05,
                                 transport=transport)
        return await Worker(settings, Handler(), clock=lambda: datetime.now(UTC)).run()

    sys.exit(asyncio.run(main()))
    """
)


@contextlib.contextmanager
def child(settings: KafkaSettings, folder: Path, behaviour: str = "keep") -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own, killed at the end if it is still there."""
    arguments = [settings.bootstrap, settings.group, json.dumps(dict(settings.topics)), str(folder), behaviour]
    arguments.append(settings.transport)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_line(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines up to the one that holds the text; the child's end without it is a failure."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no {text!r} in {''.join(lines)}")


def wait_until_kept(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Wait until the child has kept so many records."""
    while len(kept_offsets(folder)) < count:
        wait_for_line(process, "kept")


def kept_offsets(folder: Path) -> list[int]:
    if not (folder / "records").exists():
        return []
    return [int(line.split()[2]) for line in (folder / "records").read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_cleanly_within_ten_seconds(
    settings: KafkaSettings, tmp_path: Path, number: signal.Signals
) -> None:
    """By its own clock: one that takes longer ends with another code."""
    make_topics(settings, partitions=1)
    publish(settings, "gpu.samples", 5, partitions=1)

    with child(settings, tmp_path) as process:
        wait_until_kept(process, tmp_path, 5)
        process.send_signal(number)
        lines = wait_for_line(process, "revoked")
        assert process.wait(timeout=60) == 0, lines

    assert kept_offsets(tmp_path) == list(range(5))
    assert group_members(settings) == 0


def test_a_store_that_never_answers_holds_up_a_stop_for_less_than_ten_seconds(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "gpu.samples", 5, partitions=1)

    with child(settings, tmp_path, "hang") as process:
        wait_for_line(process, "handling")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0

    assert committed(settings, "gpu.samples", 0) == 0


def test_an_unforeseen_error_ends_the_process_and_loses_nothing(settings: KafkaSettings, tmp_path: Path) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "gpu.samples", 5, partitions=1)

    with child(settings, tmp_path, "raise") as process:
        wait_for_line(process, "handling")
        assert process.wait(timeout=60) == 70
    assert committed(settings, "gpu.samples", 0) == 0
    with child(settings, tmp_path) as process:
        wait_until_kept(process, tmp_path, 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0

    assert kept_offsets(tmp_path) == list(range(5))


@pytest.mark.slow
def test_a_killed_broker_leaves_no_partition_caught_up_and_nothing_is_lost_when_it_comes_back(
    tmp_path: Path, kafka_programs: Path
) -> None:
    broker = KafkaBroker(tmp_path / "kafka", kafka_programs)
    broker.start()
    settings = KafkaSettings(bootstrap=broker.bootstrap, slice_within_s=0.05)
    make_topics(settings, partitions=2)
    publish(settings, "gpu.samples", 20, partitions=2)
    handler = Keeping()

    async def scenario() -> None:
        async with running(settings, handler) as worker:
            places = [(topic, p) for topic in INPUTS for p in range(2)]
            await until(lambda: all(worker.caught_up(*place) for place in places))
            await asyncio.to_thread(broker.kill)
            await until(lambda: not any(worker.caught_up(*place) for place in places))
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(publish, settings, "gpu.samples", 20, 2)
            await until(lambda: len(handler.records) >= 80)
            await until(lambda: all(worker.caught_up(*place) for place in places))

    try:
        asyncio.run(scenario())
    finally:
        broker.stop()

    assert handler.offsets("gpu.samples") == {0: list(range(40)), 1: list(range(40))}


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_while_events_go_on_arriving(settings: KafkaSettings, tmp_path: Path) -> None:
    make_topics(settings, partitions=2)
    publish(settings, "gpu.samples", 300, partitions=2)

    with child(settings, tmp_path) as process:
        wait_for_line(process, "handling")
        process.kill()
        process.wait()
    publish(settings, "gpu.samples", 300, partitions=2)
    with child(settings, tmp_path) as process:
        wait_until_kept(process, tmp_path, 1200)

    assert sorted(kept_offsets(tmp_path)) == sorted([*range(600)] * 2)


def test_no_port_is_opened(settings: KafkaSettings, tmp_path: Path) -> None:
    make_topics(settings, partitions=1)
    publish(settings, "gpu.samples", 1, partitions=1)

    with child(settings, tmp_path) as process:
        wait_for_line(process, "handling")
        assert listening_ports(process.pid) == []


def listening_ports(pid: int) -> list[int]:
    """The TCP ports on which the process listens, from /proc."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(fd))
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


def group_state(settings: KafkaSettings) -> str:
    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
    with contextlib.closing(admin):
        (state,) = [group["group_state"] for group in admin.list_groups() if group["group_id"] == settings.group]
        return str(state)


def group_members(settings: KafkaSettings) -> int:
    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
    with contextlib.closing(admin):
        return len(admin.describe_groups([settings.group])[settings.group]["members"])
