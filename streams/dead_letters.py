"""What was set aside, in a topic of its own: the original bytes, with place and reason in headers of plain text."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from store.facts import RejectRow
from streams.kafka_login import NO_LOGIN, KafkaLogin
from streams.topics import MAX_MESSAGE_BYTES, KafkaUnreachable

Header = tuple[str, bytes]

CUT_TO_BYTES = 65_536  # of an event that the topic does not take whole
REQUEST_TIMEOUT_S = 15.0


class DeadLetterProducer:
    """Writes rejects to the dead-letter topic; what it has put is on all replicas when it returns.

    Headers are named as Kafka Connect names them, and their values are text. An event may be put twice (after a crash
    or a failed attempt): place and index together tell it apart.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        topic: str,
        topics: Mapping[str, str],
        group: str = "emberwatch",
        login: KafkaLogin = NO_LOGIN,
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._topics = topics
        self._group = group
        self._login = login
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def put(self, rejects: Sequence[RejectRow]) -> None:
        """Write the rejects, in order, and wait for all acknowledgements. Raises KafkaUnreachable: put them again."""
        if not rejects:
            return
        try:
            producer = await self._connected()
            sent = [await self._send(producer, reject) for reject in rejects]
            results = await asyncio.gather(*sent, return_exceptions=True)
            for reject, result in zip(rejects, results, strict=True):
                if isinstance(result, MessageSizeTooLargeError):
                    await (await self._send(producer, reject, cut=True))
                elif isinstance(result, BaseException):
                    raise result
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnreachable(
                self._bootstrap, f"take the events that were set aside to {self._topic}", error
            ) from error

    async def close(self) -> None:
        """Disconnect; nothing is outstanding, since every `put` waits."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap.split(","),
                    client_id="emberwatch-dead-letters",
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=4 * MAX_MESSAGE_BYTES,  # the broker is the judge of what is too large
                    request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
                    **self._login.client_options(),
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _send(self, producer: AIOKafkaProducer, reject: RejectRow, cut: bool = False) -> "asyncio.Future[object]":
        value, headers = reject.payload, self._headers(reject)
        if cut:
            headers.append(("emberwatch.cut_from_bytes", _text(len(value))))
            value = value[:CUT_TO_BYTES]
        partitions = await producer.partitions_for(self._topic)
        partition = reject.partition if reject.partition in partitions else None
        future: asyncio.Future[object] = await producer.send(
            self._topic, key=reject.key, value=value, partition=partition, headers=headers
        )
        return future

    def _headers(self, reject: RejectRow) -> list[Header]:
        return [
            ("__connect.errors.topic", _text(self._topics.get(reject.topic, reject.topic))),
            ("__connect.errors.partition", _text(reject.partition)),
            ("__connect.errors.offset", _text(reject.offset)),
            ("__connect.errors.connector.name", _text(self._group)),
            ("__connect.errors.stage", b"VALUE_CONVERTER"),
            ("__connect.errors.class.name", b"emberwatch.streams.formats"),
            ("__connect.errors.exception.class.name", _text(f"emberwatch.{reject.fault}")),
            ("__connect.errors.exception.message", _text(reject.reason)),
            ("emberwatch.index", _text(reject.index)),
            ("emberwatch.arrived_at", _text(reject.at.isoformat())),
        ]


def _text(value: object) -> bytes:
    return str(value).encode("utf-8", "replace")
