"""The Faust edge: the app, and agents that hand on what comes, and decide nothing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import aiokafka
import faust
from faust import types
from faust.serializers.codecs import Codec
from faust.transport.drivers import TRANSPORTS
from faust.types import StreamT
from faust.types.auth import CredentialsT
from msgspec import Struct, field

from streams.engine import IMPLEMENTATION, SLICES, Transport, choose
from streams.kafka_login import NO_LOGIN, KafkaLogin
from streams.pieces import MAX_UNPACKED_BYTES, Limits, Piece
from streams.singles import Message
from streams.topics import INPUTS

SLICES_WAITING = 2
FETCH_BYTES = 2 * 1024 * 1024  # of a partition at a time: some six thousand messages of 300 bytes
MESSAGES_WAITING = 4096

App = faust.App
TP = types.TP  # Faust insists on its own


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


def add_agents(
    app: App,
    settings: KafkaSettings,
    take_piece: Callable[[str, int, Piece], Awaitable[None]],
    take: Callable[[str, Sequence[Message]], Awaitable[None]],
) -> None:
    """Give an app an agent for each topic; it hands on pieces of a partition, or single messages, as the transport is.

    Both get the logical topic first. Neither may raise: Faust takes what an agent was handed for read.
    """
    for logical, physical in settings.topics.items():
        _add_agent(app, settings, logical, physical, take_piece, take)


def _add_agent(
    app: App,
    settings: KafkaSettings,
    logical: str,
    physical: str,
    take_piece: Callable[[str, int, Piece], Awaitable[None]],
    take: Callable[[str, Sequence[Message]], Awaitable[None]],
) -> None:
    sliced = transport_of(settings).sliced
    topic = app.topic(physical, key_type=bytes, key_serializer="raw", value_serializer=Unchanged() if sliced else "raw")

    async def consume_slices(stream: StreamT[Piece]) -> None:
        async for event in stream.events():
            await take_piece(logical, event.message.partition, cast("Piece", event.value))

    async def consume(stream: StreamT[bytes]) -> None:
        slices = cast("faust.Stream[bytes]", stream)
        async for events in slices.take_events(settings.slice_events, within=settings.slice_within_s):
            await take(logical, [event.message for event in events])

    app.agent(topic, name=f"consume.{logical}", concurrency=1)(consume_slices if sliced else consume)
