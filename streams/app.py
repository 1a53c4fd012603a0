"""The Faust edge: slices of partitions in, a handler called, and nothing acknowledged that was not handled.

Faust marks an event as read even when its agent raises. So nothing may leave an agent: a bad event is the handler's to
set aside, a store that is down is the handler's to wait for, and whatever remains ends the process on the spot, with
the slice unread. Where to begin is the store's word: at each assignment Kafka's committed offsets are set to it.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import aiokafka
import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.serializers.codecs import Codec
from faust.transport.drivers import TRANSPORTS
from faust.types import TP, EventT, StreamT
from faust.types.auth import CredentialsT
from msgspec import Struct, field

from streams.engine import IMPLEMENTATION, SLICES, Transport, choose
from streams.gaps import Log, left_out
from streams.kafka_login import NO_LOGIN, KafkaLogin
from streams.pieces import MAX_UNPACKED_BYTES, Limits, Piece
from streams.records import Messages, Refused, Slice
from streams.topics import INPUTS, KafkaUnreachable, topic_ids

log = structlog.get_logger(__name__)

EXIT_CRASHED = 70
ALIGN_RETRY_S = 0.5
WATCH_EVERY_S = 10.0
SLICES_WAITING = 2
FETCH_BYTES = 2 * 1024 * 1024  # of a partition at a time: some six thousand messages of 300 bytes
MESSAGES_WAITING = 4096
MARK_MAX_AGE_S = 5.0  # an idle partition is asked every 1.5 s

App = faust.App

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


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """How the worker meets Kafka."""

    bootstrap: str  # host:port, several with commas
    group: str = "emberwatch"
    topics: Mapping[str, str] = field(default_factory=lambda: {name: name for name in INPUTS})  # logical name -> topic
    instance_id: str | None = None  # a fixed name for each replica lets it come back without a rebalance
    slice_events: int = 5000
    slice_within_s: float = 0.25
    session_timeout_s: float = 10.0  # a killed worker's partitions stand still this long
    metadata_max_age_s: float = 30.0
    login: KafkaLogin = NO_LOGIN
    transport: Literal["slices", "stock"] = "slices"  # ours, where it was tested, or the one that Faust brings along
    batch_bytes: int = MAX_UNPACKED_BYTES  # of one compressed batch, unpacked; only our transport knows a bound


class Unchanged(Codec):
    """Passes on what the transport made."""

    def _loads(self, s: bytes) -> bytes:
        return s


def transport_of(settings: KafkaSettings) -> Transport:
    """Our transport, if it is wanted and was tested with what is installed."""
    return choose(settings.transport, {"faust": faust.__version__, "aiokafka": aiokafka.__version__})


def build_app(settings: KafkaSettings, data_dir: Path) -> faust.App:
    """Make the Faust app without its agents: no tables, no leader, no topic of its own, no web server."""
    transport = transport_of(settings)
    TRANSPORTS.aliases.setdefault(SLICES, IMPLEMENTATION)  # where no installed package names it
    app = faust.App(
        settings.group,
        broker=";".join(f"{transport.scheme}://{address}" for address in settings.bootstrap.split(",")),
        broker_credentials=_credentials(settings.login),
        autodiscover=False,
        datadir=data_dir,
        store="memory://",
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id,
        consumer_metadata_max_age_ms=int(settings.metadata_max_age_s * 1000),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s * 0.3,
        broker_commit_interval=1.0,
        broker_max_poll_records=settings.slice_events,
        consumer_max_fetch_size=FETCH_BYTES,
        stream_buffer_maxsize=SLICES_WAITING if transport.sliced else MESSAGES_WAITING,  # for each topic
        stream_wait_empty=False,  # waiting for an unfinished event would hang a stop for minutes
        table_standby_replicas=1,  # no tables here: it selects Faust's assignor, which keeps co-partitions together
        topic_disable_leader=True,
        topic_allow_declare=False,
        producer_acks=-1,
        web_enabled=False,
    )
    if transport.sliced:
        cast("Any", app.transport).limits = Limits(
            slice_events=settings.slice_events,
            slice_within_s=settings.slice_within_s,
            batch_bytes=settings.batch_bytes,
        )
    return app


def _credentials(login: KafkaLogin) -> CredentialsT | None:
    if login.sasl:
        return faust.SASLCredentials(
            username=login.username,
            password=login.password,
            ssl_context=login.ssl_context(),
            mechanism=login.sasl_mechanism,
        )
    return faust.SSLCredentials(context=login.ssl_context()) if login.encrypted else None


class Consumption:
    """The agents of an app, and what they have handled since the last assignment."""

    def __init__(
        self,
        app: faust.App,
        settings: KafkaSettings,
        handler: Handler,
        *,
        clock: Callable[[], datetime],
        wall_s: Callable[[], float] = time.time,  # by which the client dates its fetches
        die: Callable[[int], object] = os._exit,
        identify: Callable[..., dict[str, str]] = topic_ids,
    ) -> None:
        self._wall_s, self._identify = wall_s, identify
        self._app = app
        self._settings = settings
        self._handler = handler
        self._clock = clock
        self._die = die
        self.transport = transport_of(settings)
        self._logical = {physical: logical for logical, physical in settings.topics.items()}
        self._physical = dict(settings.topics)
        self._gate = asyncio.Lock()  # one call of the handler at a time, rebalances included
        self._generation: int | None = None  # of the assignment that may be handled; None while there is none
        self._closed = False
        self._releases_waiting = 0  # while the gate is held: the next rebalance, or the stop, is already there
        self.partitions: frozenset[int] = frozenset()
        self.fault: str | None = None  # why what is assigned is not read
        self._next: dict[Place, int] = {}  # after the last one handled
        self._left: set[Place] = set()  # of stopped partitions: to be read again from the first one not handled
        self._sought: set[Place] = set()  # of single messages: gone back to, and not seen yet
        self._missed: dict[Place, int] = {}  # where a piece began too late, the lowest; what is before was asked for
        self._ends: dict[Place, int] = {}  # of the log when it was assigned: the client's own mark may be older
        self._ids: dict[str, str] = {}  # Kafka's own, by topic, as of the assignment
        self.outdated = asyncio.Event()  # a log is another one than was assigned: the group is to be joined anew
        for logical, physical in settings.topics.items():
            self._add_agent(logical, physical, settings)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_rebalance_complete)

    def _add_agent(self, logical: str, physical: str, settings: KafkaSettings) -> None:
        serializer = Unchanged() if self.transport.sliced else "raw"
        topic = self._app.topic(physical, key_type=bytes, key_serializer="raw", value_serializer=serializer)

        async def consume_slices(stream: StreamT[Piece]) -> None:
            async for event in stream.events():
                await self._take_piece(logical, cast("EventT[Piece]", event))

        async def consume(stream: StreamT[bytes]) -> None:
            slices = cast("faust.Stream[bytes]", stream)
            async for events in slices.take_events(settings.slice_events, within=settings.slice_within_s):
                await self._take(logical, events)

        agent = consume_slices if self.transport.sliced else consume
        self._app.agent(topic, name=f"consume.{logical}", concurrency=1)(agent)

    async def _take_piece(self, topic: str, event: EventT[Piece]) -> None:
        """Hand a piece on; Kafka's committed offset moves over it when it is handled, whatever Faust acknowledges."""
        with self._crash_only():
            async with self._gate:
                if self._is_current(event):
                    await self._hand_on(topic, event.message.partition, cast("Piece", event.value))

    async def _take(self, topic: str, events: Sequence[EventT[bytes]]) -> None:
        """Hand a slice on, partition by partition. Nothing is raised but the cancellation of a stop.

        Whatever ends this early, a stop included, makes Faust acknowledge the slice. So its events are withheld from
        the start, and given free only when they have been handled.
        """
        _withhold(events)
        with self._crash_only():
            async with self._gate:
                # What was read before a rebalance stays withheld: whoever owns it now reads it again.
                current = [event for event in events if self._is_current(event)]
                current.sort(key=lambda event: (event.message.partition, event.message.offset))
                for partition, group in groupby(current, key=lambda event: event.message.partition):
                    handled = list(group)
                    if await self._hand_on(topic, partition, _piece(handled)):
                        _give_free(handled)

    async def _hand_on(self, topic: str, partition: int, piece: Piece) -> bool:
        """Hand a piece on; whether it is handled, now or before."""
        place = (topic, partition)
        now, expected = self._clock(), self._next[place]
        if partition in self._handler.stopped:
            return await self._leave_out(place, piece, now)
        if piece.after <= expected:
            return True
        is_due = self.transport.sliced or place in self._sought
        if piece.first > expected and is_due and not await self._is_next(place, piece.first):
            return False
        self._sought.discard(place)
        self._missed.pop(place, None)
        new = piece.since(expected)
        if new.refused is not None:
            log.error("kafka_batch_refused", topic=topic, partition=partition, offset=new.first, reason=new.refused)
            await self._handler.refuse(
                Refused(topic, partition, first=new.first, last=new.after - 1, at=now, reason=new.refused)
            )
        elif len(new.offsets):
            await self._handle(topic, partition, new, now)
        if partition in self._handler.stopped:
            self._pause(place)
            return False
        self._next[place] = piece.after
        if self.transport.sliced:
            cast("Any", self._app.consumer).handled(TP(self._physical[topic], partition), piece.after)
        return True

    async def _handle(self, topic: str, partition: int, piece: Piece, now: datetime) -> None:
        """Hand messages on; where Kafka no longer holds those between two of them, that is booked first."""
        holes = await self._holes(topic, partition, piece.offsets)
        stamped_ms = _arrived_ms(piece.stamped_ms, now)
        for begin, end in pairwise(sorted({0, *holes, len(piece.offsets)})):
            if begin in holes:
                await self._handler.begin([holes[begin]])
            mine = slice(begin, end)
            await self._handler.handle(
                Slice(topic, partition, piece.offsets[mine], stamped_ms[mine], piece.values[mine])
            )

    async def _leave_out(self, place: Place, piece: Piece, now: datetime) -> bool:
        """Show the handler what it does not take, so that it knows where to go on; it is read again."""
        topic, partition = place
        self._pause(place)
        if len(piece.offsets):
            await self._handler.handle(
                Slice(topic, partition, piece.offsets, _arrived_ms(piece.stamped_ms, now), piece.values)
            )
        return False

    def _pause(self, place: Place) -> None:
        """Fetch no more of a partition, of any topic, and keep in mind that this place has to be read again."""
        self._left.add(place)
        topics = self._physical.values()
        self._app.consumer.pause_partitions({TP(topic, place[1]) for topic in topics})

    async def go_on(self) -> None:
        """Go back to the first message that was not handled, where a partition is no longer stopped."""
        with self._crash_only():
            async with self._gate:
                for partition in sorted({partition for _, partition in self._left} - set(self._handler.stopped)):
                    await self._read_again(partition)

    async def _read_again(self, partition: int) -> None:
        consumer: Any = self._app.consumer
        starts = {place: self._next[place] for place in sorted(self._left) if place[1] == partition}
        try:
            await consumer.seek_wait({TP(self._physical[topic], partition): at for (topic, _), at in starts.items()})
        except (KafkaError, TimeoutError) as error:
            log.warning("kafka_offsets_not_set", reason=str(error))
            return
        for (topic, _), at in starts.items():
            self._handler.read_from(topic, partition, at)
        if not self.transport.sliced:
            self._sought |= set(starts)
        self._left -= set(starts)
        consumer.resume_partitions({TP(topic, partition) for topic in self._physical.values()})
        log.info("kafka_partition_resumed", partition=partition)

    async def _is_next(self, place: Place, first: int) -> bool:
        """Whether the log goes on at `first`, which is beyond what was to come; else what lies before is asked for.

        A piece that was on its way when the transport went back begins too late as well. Single messages tell no holes
        of compaction or transactions: what comes as the first one once more, after they were asked for, is the next.
        """
        topic, partition = place
        tp = TP(self._physical[topic], partition)
        held = await self._first_held(tp)
        if held is None:
            return False
        missed = self._missed.get(place)
        if first <= held or (not self.transport.sliced and first == missed):
            return True
        if missed is not None and missed < first and not self.transport.sliced:
            return False  # it follows what was asked for, and is read again
        self._missed[place] = first
        log.warning("kafka_slice_read_again", topic=topic, partition=partition, first=self._next[place], got=first)
        consumer: Any = self._app.consumer
        try:
            await consumer.seek_wait({tp: self._next[place]})
        except (KafkaError, TimeoutError) as error:
            self._missed.pop(place, None)
            log.warning("kafka_offsets_not_set", reason=str(error))
        return False

    async def _holes(self, topic: str, partition: int, offsets: Sequence[int]) -> dict[int, Log]:
        """By place in the slice, logs that begin there only: what lay before was gone before it could be read.

        The client goes on at the start of a log when retention has overtaken it, without a word. Offsets that were
        left out by compaction or transactions are no loss.
        """
        jumps = left_out(self._next.get((topic, partition)), offsets)
        if not jumps:
            return {}
        first = await self._first_held(TP(self._physical[topic], partition))
        if first is None:
            return {}
        return {
            at: Log(topic=topic, partition=partition, first_offset=min(first, offsets[at]), end_offset=offsets[-1] + 1)
            for at, expected in jumps
            if expected < first
        }

    async def _first_held(self, tp: TP) -> int | None:
        """The first offset that Kafka holds; None when a rebalance takes the partition away as we ask."""
        consumer: Any = self._app.consumer
        while self._generation is not None and not self._releases_waiting:
            try:
                return int((await consumer.earliest_offsets(tp))[tp])
            except (KafkaError, TimeoutError) as error:
                log.warning("kafka_offsets_unknown", reason=str(error), retry_in_s=ALIGN_RETRY_S)
                await asyncio.sleep(ALIGN_RETRY_S)
        return None

    def _is_current(self, event: EventT[Any]) -> bool:
        return not self._closed and event.message.generation_id == self._generation

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        await self._release()

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        """Load the partitions, and make Kafka's committed offsets say what the store says; then Faust seeks there."""
        with self._crash_only():
            async with self._gate:
                await self._begin()

    async def _begin(self) -> None:
        generation = self._app.consumer_generation_id
        places = {tp for tp in self._app.consumer.assignment() if tp.topic in self._logical}
        partitions = {tp.partition for tp in places}
        if partitions:
            await self._handler.assigned(partitions)
        self.partitions = frozenset(partitions)
        while self._app.consumer_generation_id == generation and not self._releases_waiting:
            starts = await self._align(places)
            if starts is not None:
                self._next = {(self._logical[tp.topic], tp.partition): offset for tp, offset in starts.items()}
                self._generation = generation
                log.info("kafka_partitions_assigned", partitions=sorted(partitions), generation=generation)
                return
            await asyncio.sleep(ALIGN_RETRY_S)

    async def _align(self, places: set[TP]) -> dict[TP, int] | None:
        """Commit where each place is to be read on; None when that cannot be yet, and is to be tried again."""
        if not places:
            return {}
        consumer: Any = self._app.consumer
        try:
            self._note_fault(_uneven(places, self._logical))
            if self.fault is not None:
                return None
            ids = await self._topic_ids()
            firsts = await consumer.earliest_offsets(*places)
            ends = await consumer.highwaters(*places)
            logs = {
                tp: Log(
                    topic=self._logical[tp.topic],
                    partition=tp.partition,
                    first_offset=firsts[tp],
                    end_offset=ends[tp],
                    topic_id=ids.get(tp.topic),
                )
                for tp in places
            }
            begins = await self._handler.begin(sorted(logs.values(), key=lambda one: (one.partition, one.topic)))
            starts = {tp: begins.get((one.topic, one.partition), one.first_offset) for tp, one in logs.items()}
            if not await consumer._commit(starts):
                return None
            self._ends = {(self._logical[tp.topic], tp.partition): ends[tp] for tp in places}
            await consumer.seek_wait(starts)  # Faust's own seek to the committed offset, which follows, leaves out 0
        except (KafkaError, KafkaUnreachable, TimeoutError) as error:
            log.warning("kafka_offsets_not_set", reason=str(error), retry_in_s=ALIGN_RETRY_S)
            return None
        self._ids = ids
        return starts

    async def _topic_ids(self) -> dict[str, str]:
        names, where = list(self._physical.values()), self._settings.bootstrap
        return await asyncio.to_thread(self._identify, bootstrap=where, topics=names, login=self._settings.login)

    async def watch(self, every_s: float = WATCH_EVERY_S) -> None:
        """See to it that the logs are still those that were assigned; for ever, or until one is not.

        The client notices neither a topic that was made anew quickly, nor a log that is shorter than what was read: it
        would pass over all messages up to the old offset.
        """
        while not self.outdated.is_set():
            await asyncio.sleep(every_s)
            if self.has_assignment:
                try:
                    await self._compare()
                except (KafkaError, KafkaUnreachable, TimeoutError) as error:
                    log.warning("kafka_logs_not_compared", reason=str(error), retry_in_s=every_s)

    async def _compare(self) -> None:
        generation, known = self._generation, dict(self._ids)
        ids = await self._topic_ids()
        missing = sorted(name for name in known if name not in ids)
        self._note_fault(
            f"topics missing: {', '.join(missing)}; make them with `emberwatch topics ensure`" if missing else None
        )
        if missing:
            return
        read = {TP(self._physical[topic], partition): offset for (topic, partition), offset in self._next.items()}
        consumer: Any = self._app.consumer
        ends = await consumer.highwaters(*read)
        changed = sorted(name for name in ids if ids[name] != known.get(name, ids[name]))
        shorter = sorted({tp.topic for tp, offset in read.items() if offset > ends[tp]})
        if (changed or shorter) and self._generation == generation:
            log.warning("kafka_topics_changed", made_anew=changed, shorter=shorter)
            self._generation = None  # offsets of what is under way say nothing any more
            self.outdated.set()

    def _note_fault(self, fault: str | None) -> None:
        if fault is not None and fault != self.fault:
            log.error("kafka_partitions_not_read", reason=fault)
        self.fault = fault

    async def _release(self) -> None:
        self._releases_waiting += 1
        try:
            with self._crash_only():
                async with self._gate:
                    await self._let_go()
        finally:
            self._releases_waiting -= 1

    async def _let_go(self) -> None:
        held, self.partitions = self.partitions, frozenset()
        self._generation = None
        self._next, self._missed, self._sought, self._left = {}, {}, set(), set()
        self.fault = None
        if held:
            await self._handler.revoked(set(held))

    async def close(self) -> None:
        """Hand on nothing more, wait for the slice in progress, and let go of the partitions."""
        self._closed = True
        await self._release()

    def lag_events(self, topic: str, partition: int) -> int | None:
        """How many messages that Kafka is known to hold in this place are still to be handled; None when in doubt."""
        handled, mark = self._next.get((topic, partition)), self._high_water(topic, partition)
        if handled is None or mark is None:
            return None
        return max(mark[0] - handled, self._ends[(topic, partition)] - handled, 0)

    def caught_up(self, topic: str, partition: int) -> bool:
        """Whether all was handled that Kafka said, in the last seconds, it holds in this place; False when in doubt.

        A place of which Kafka says nothing, because its broker is away, is not caught up: it may hold anything.
        """
        mark = self._high_water(topic, partition)
        fresh = mark is not None and self._wall_s() - mark[1] <= MARK_MAX_AGE_S
        return fresh and self.lag_events(topic, partition) == 0

    def _high_water(self, topic: str, partition: int) -> tuple[int, float] | None:
        """The end of the log as of the latest fetch, and when that was; None while there is none."""
        if self._generation is None:
            return None
        faust_consumer: Any = self._app.consumer
        place = TopicPartition(self._physical[topic], partition)
        try:
            consumer = faust_consumer._thread._ensure_consumer()
            end, at_ms = consumer.highwater(place), consumer.last_poll_timestamp(place)
        except (AssertionError, AttributeError, KafkaError):  # a rebalance takes the partition away as we ask
            return None
        return None if end is None or at_ms is None else (end, at_ms / 1000.0)

    @property
    def has_assignment(self) -> bool:
        """Whether partitions are held, loaded and being read."""
        return self._generation is not None and bool(self.partitions)

    @contextmanager
    def _crash_only(self) -> Iterator[None]:
        """Let no error past into Faust: it ends the process at once, and the next start reads on from the store."""
        try:
            yield
        except Exception as error:
            log.critical("worker_crashed", error=type(error).__name__, exc_info=error)
            self._die(EXIT_CRASHED)


def _uneven(places: set[TP], topics: Mapping[str, str]) -> str | None:
    held = {topic: sorted(tp.partition for tp in places if tp.topic == topic) for topic in topics}
    if len({tuple(partitions) for partitions in held.values()}) <= 1:
        return None
    missing = sorted(topic for topic, partitions in held.items() if not partitions)
    if missing:
        return f"topics missing: {', '.join(missing)}; make them with `emberwatch topics ensure`"
    return f"the topics' partitions differ, got {held}; all topics need the same number of partitions"


def _withhold(events: Sequence[EventT[bytes]]) -> None:
    """Keep Faust from committing these: to it, they look acknowledged already."""
    for event in events:
        event.message.acked = True


def _give_free(events: Sequence[EventT[bytes]]) -> None:
    """Let Faust acknowledge these when the slice ends, and so move Kafka's committed offset."""
    for event in events:
        event.message.acked = False


def _piece(events: Sequence[EventT[bytes]]) -> Piece:
    """Messages that arrived one by one, as columns."""
    messages = [event.message for event in events]
    return Piece(
        first=messages[0].offset,
        after=messages[-1].offset + 1,
        offsets=[message.offset for message in messages],
        stamped_ms=[round((message.timestamp or 0.0) * 1000) for message in messages],
        values=[message.value or b"" for message in messages],
    )


def _arrived_ms(stamped_ms: Sequence[int], now: datetime) -> Sequence[int]:
    """A message arrived when Kafka dated it, and not in the future: read again, or late, it is judged the same."""
    now_ms = int(now.timestamp() * 1000)
    if min(stamped_ms) > 0 and max(stamped_ms) <= now_ms:
        return stamped_ms
    return [min(ms, now_ms) if ms > 0 else now_ms for ms in stamped_ms]
