"""Our transport for Faust: an agent gets one message for each slice of a partition, with the messages as columns.

Chosen by the broker's URL, `slices://HOST:PORT`. Agents, flow control and rebalancing stay Faust's, as does the loop
that hands messages on; it merely finds a piece of a log where it expects a record. Kafka's committed offset moves by
`handled` alone: what Faust acknowledges of its own does not count.
"""

from collections.abc import Collection, Iterator
from typing import Any, ClassVar, cast

from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage

from streams.fetching import Pieces, Reader
from streams.pieces import Limits, Piece


class SliceThread(stock.AIOKafkaConsumerThread):
    """The thread that fetches; what it hands over are pieces."""

    _reader: Reader

    async def on_start(self) -> None:
        """Start the client, and take its fetcher over before it has anything to fetch."""
        await super().on_start()
        client, transport = self._ensure_consumer(), cast("SliceTransport", self.transport)
        self._reader = Reader(client._fetcher, transport.limits, lambda: self.app.consumer_generation_id)

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float | None = None, max_records: int | None = None
    ) -> Pieces:
        if not self.consumer.flow_active:
            return {}
        with consumer._fetcher._subscriptions.fetch_context():
            return await self._reader.read(active_partitions, timeout or 0.0)


class SliceConsumer(stock.Consumer):
    """Faust's consumer, told by `handled` how far Kafka's committed offset may go."""

    Thread: ClassVar[type[SliceThread]] = SliceThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As Faust makes it."""
        super().__init__(*args, **kwargs)
        self._handled: dict[TP, int] = {}

    def handled(self, tp: TP, next_offset: int) -> None:
        """All before `next_offset` was taken: the next commit says so. Forgotten when the partition is revoked."""
        self._handled[tp] = next_offset

    def _new_consumer_thread(self) -> SliceThread:
        return self.Thread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Piece) -> ConsumerMessage:
        make: Any = ConsumerMessage  # Faust takes a value for bytes, and passes it on as it is
        return cast(
            "ConsumerMessage",
            make(
                topic=tp.topic,
                partition=tp.partition,
                offset=record.after - 1,
                timestamp=record.stamped_ms[-1] / 1000.0 if record.stamped_ms else None,
                timestamp_type=None,
                headers=None,
                key=None,
                value=record,
                checksum=None,
                serialized_key_size=0,
                serialized_value_size=sum(map(len, record.values)),
                tp=tp,
                generation_id=record.generation,
            ),
        )

    def _filter_tps_with_pending_acks(self, topics: Collection[TP | str] | None = None) -> Iterator[TP]:
        return (tp for tp in list(self._handled) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        return self._handled.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A piece covers its holes: nothing is to be kept in mind."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What was handled of these has been committed, or is read again."""
        for tp in revoked:
            self._handled.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A slice that was in progress at the revocation has left its mark since: it is no longer ours."""
        self._handled.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Look whether events flow; of a paused partition they need not."""
        if tp not in self._paused_partitions:
            super().verify_event_path(now, tp)


class SliceTransport(stock.Transport):
    """What `slices://` stands for."""

    Consumer: ClassVar[type[SliceConsumer]] = SliceConsumer
    limits: Limits = Limits()  # set before the app starts
    driver_version = f"slices, {stock.Transport.driver_version}"
