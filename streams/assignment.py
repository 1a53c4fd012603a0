"""Where an assignment is read on, which is the store's word; and whether its logs are still those it was begun with."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog
from aiokafka.errors import KafkaError

from streams.client import ASK_AGAIN_S, Client
from streams.gaps import Log
from streams.handler import Handler, Place
from streams.kafka_login import KafkaLogin
from streams.reading import Reading
from streams.topics import KafkaUnreachable

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 10.0


class Assignment:
    """What the consumer is given to read: begun where the store says, and compared now and then."""

    def __init__(
        self,
        client: Client,
        reading: Reading,
        handler: Handler,
        *,
        bootstrap: str,
        login: KafkaLogin,
        identify: Callable[..., dict[str, str]],
    ) -> None:
        """`identify`: asks a broker for Kafka's own ids of topics."""
        self._client, self._reading, self._handler = client, reading, handler
        self._bootstrap, self._login, self._identify = bootstrap, login, identify
        self.outdated = asyncio.Event()  # a log is another one than was assigned: the group is to be joined anew

    async def begin(self) -> None:
        """Load what is assigned now, and make Kafka's committed offsets say what the store says."""
        reading = self._reading
        generation, places = self._client.generation, self._client.assignment()
        partitions = {partition for _, partition in places}
        if partitions:
            await self._handler.assigned(partitions)
        reading.partitions = frozenset(partitions)
        while self._client.generation == generation and not reading.leaving:
            starts = await self._align(places)
            if starts is not None:
                reading.next = starts
                reading.generation = generation
                log.info("kafka_partitions_assigned", partitions=sorted(partitions), generation=generation)
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _align(self, places: set[Place]) -> dict[Place, int] | None:
        """Commit where each place is to be read on; None when that cannot be yet, and is to be tried again."""
        if not places:
            return {}
        client, reading = self._client, self._reading
        try:
            self._note_fault(_uneven(places, client.physical))
            if reading.fault is not None:
                return None
            ids = await self._topic_ids()
            firsts, ends = await client.firsts(places), await client.ends(places)
            logs = [
                Log(
                    topic=topic,
                    partition=partition,
                    first_offset=firsts[topic, partition],
                    end_offset=ends[topic, partition],
                    topic_id=ids.get(client.physical[topic]),
                )
                for topic, partition in places
            ]
            begins = await self._handler.begin(sorted(logs, key=lambda one: (one.partition, one.topic)))
            starts = {place: begins.get(place, first) for place, first in firsts.items()}
            if not await client.commit(starts):
                return None
            reading.ends = ends
            await client.seek(starts)  # Faust's own seek to the committed offset, which follows, leaves out 0
        except (KafkaError, KafkaUnreachable, TimeoutError) as error:
            log.warning("kafka_offsets_not_set", reason=str(error), retry_in_s=ASK_AGAIN_S)
            return None
        reading.ids = ids
        return starts

    async def _topic_ids(self) -> dict[str, str]:
        names = list(self._client.physical.values())
        return await asyncio.to_thread(self._identify, bootstrap=self._bootstrap, topics=names, login=self._login)

    async def watch(self, every_s: float = WATCH_EVERY_S) -> None:
        """See to it that the logs are still those that were assigned; for ever, or until one is not.

        The client notices neither a topic that was made anew quickly, nor a log that is shorter than what was read: it
        would pass over all messages up to the old offset.
        """
        while not self.outdated.is_set():
            await asyncio.sleep(every_s)
            if self._reading.generation is not None and self._reading.partitions:
                try:
                    await self._compare()
                except (KafkaError, KafkaUnreachable, TimeoutError) as error:
                    log.warning("kafka_logs_not_compared", reason=str(error), retry_in_s=every_s)

    async def _compare(self) -> None:
        reading = self._reading
        generation, known = reading.generation, dict(reading.ids)
        ids = await self._topic_ids()
        missing = sorted(name for name in known if name not in ids)
        self._note_fault(_missing(missing) if missing else None)
        if missing:
            return
        read = dict(reading.next)
        ends = await self._client.ends(read)
        changed = sorted(name for name in ids if ids[name] != known.get(name, ids[name]))
        shorter = sorted({self._client.physical[place[0]] for place, offset in read.items() if offset > ends[place]})
        if (changed or shorter) and reading.generation == generation:
            log.warning("kafka_topics_changed", made_anew=changed, shorter=shorter)
            reading.generation = None  # offsets of what is under way say nothing any more
            self.outdated.set()

    def _note_fault(self, fault: str | None) -> None:
        if fault is not None and fault != self._reading.fault:
            log.error("kafka_partitions_not_read", reason=fault)
        self._reading.fault = fault


def _uneven(places: Iterable[Place], topics: Mapping[str, str]) -> str | None:
    held: dict[str, list[int]] = {physical: [] for physical in topics.values()}
    for topic, partition in sorted(places):
        held[topics[topic]].append(partition)
    if len({tuple(partitions) for partitions in held.values()}) <= 1:
        return None
    missing = sorted(topic for topic, partitions in held.items() if not partitions)
    if missing:
        return _missing(missing)
    return f"the topics' partitions differ, got {held}; all topics need the same number of partitions"


def _missing(topics: Iterable[str]) -> str:
    return f"topics missing: {', '.join(topics)}; make them with `emberwatch topics ensure`"
