"""Faust's consumer, asked in logical places: what its logs hold, where it reads on, what it does not fetch for now."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError

from streams.app import TP
from streams.handler import Place

ASK_AGAIN_S = 0.5  # after a question that the broker did not answer


class Client:
    """The consumer of an app. What asks the broker raises KafkaError or TimeoutError."""

    def __init__(self, app: Any, topics: Mapping[str, str]) -> None:
        """`topics`: logical name to the one in Kafka."""
        self._app = app
        self.physical = dict(topics)
        self._logical = {physical: logical for logical, physical in topics.items()}

    @property
    def generation(self) -> int:
        """Of the assignment that the consumer has now."""
        return int(self._app.consumer_generation_id)

    def assignment(self) -> set[Place]:
        """What is assigned now, of the topics that are read."""
        return {
            (self._logical[tp.topic], tp.partition)
            for tp in self._app.consumer.assignment()
            if tp.topic in self._logical
        }

    async def firsts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that Kafka holds of each."""
        asked = self._asked(places)
        found = await self._app.consumer.earliest_offsets(*asked)
        return {place: int(found[tp]) for tp, place in asked.items()}

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset of the next message to be written to each."""
        asked = self._asked(places)
        found = await self._app.consumer.highwaters(*asked)
        return {place: int(found[tp]) for tp, place in asked.items()}

    async def commit(self, starts: Mapping[Place, int]) -> bool:
        """Set Kafka's committed offsets; False when that cannot be yet."""
        return bool(await self._app.consumer._commit(self._offsets(starts)))

    async def seek(self, starts: Mapping[Place, int]) -> None:
        """Read on at these offsets."""
        await self._app.consumer.seek_wait(self._offsets(starts))

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition, of any topic."""
        self._app.consumer.pause_partitions(self._all_of(partition))

    def resume(self, partition: int) -> None:
        """Fetch a partition again, of every topic."""
        self._app.consumer.resume_partitions(self._all_of(partition))

    def handled(self, place: Place, next_offset: int) -> None:
        """All before `next_offset` was taken. Only our own transport can be told."""
        self._app.consumer.handled(self._tp(place), next_offset)

    def high_water(self, place: Place) -> tuple[int, float] | None:
        """The end of the log as of the latest fetch, and when that was; None while there is none."""
        tp = self._tp(place)
        try:
            consumer = self._app.consumer._thread._ensure_consumer()
            end, at_ms = consumer.highwater(tp), consumer.last_poll_timestamp(tp)
        except (AssertionError, AttributeError, KafkaError):  # a rebalance takes the partition away as we ask
            return None
        return None if end is None or at_ms is None else (end, at_ms / 1000.0)

    def _tp(self, place: Place) -> TP:
        return TP(self.physical[place[0]], place[1])

    def _asked(self, places: Iterable[Place]) -> dict[TP, Place]:
        return {self._tp(place): place for place in places}

    def _offsets(self, starts: Mapping[Place, int]) -> dict[TP, int]:
        return {self._tp(place): offset for place, offset in starts.items()}

    def _all_of(self, partition: int) -> set[TP]:
        return {TP(topic, partition) for topic in self.physical.values()}
