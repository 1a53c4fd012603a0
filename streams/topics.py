"""The topics on Kafka: made once, before any worker starts, all with the same number of partitions.

The four inputs are keyed by workload, so partition p of each holds the same workloads, and one worker owns them
together. A worker that starts before its topics exist would sit idle without a word; therefore making
them is a step of its own.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError
from msgspec import Struct

from streams.kafka_login import NO_LOGIN, KafkaLogin

INPUTS = ("gpu.samples", "token.usage", "billing.charges", "ops.changes")
"""The logical names of the inputs; the physical topic bears the same name unless the config maps it to another."""

DEAD_LETTERS = "emberwatch.dead-letters"
"""The default topic of the events that were set aside."""

MAX_MESSAGE_BYTES = 1_048_576
"""The largest batch that an input topic takes, measured after decompression (see `topic_config`)."""

DEAD_LETTER_EXTRA_BYTES = 65_536  # headers and framing around a message that already had the greatest length
BOOTSTRAP_TIMEOUT_S = 10.0
NO_TOPIC_ID = "00000000-0000-0000-0000-000000000000"
TOPIC_READY_TIMEOUT_S = 15.0


class KafkaUnreachable(Exception):
    """No broker answered, or none would do what was asked. The message names the address and the remedy."""

    def __init__(self, bootstrap: str, what: str, cause: BaseException) -> None:
        super().__init__(
            f"Kafka at {bootstrap} could not {what}: {first_line(cause)}; "
            "check that the broker runs, that the address is right, and that it advertises one reachable from here"
        )
        self.bootstrap = bootstrap


class TopicState(StrEnum):
    """What `ensure_topics` found or did."""

    CREATED = "created"
    PRESENT = "present"
    WRONG_PARTITIONS = "wrong_partitions"


class TopicReport(Struct, frozen=True, kw_only=True):
    """One topic as it is after `ensure_topics`."""

    topic: str
    state: TopicState
    partitions: int
    wanted_partitions: int

    @property
    def fault(self) -> str | None:
        """What is wrong with it and how to mend it, or nothing."""
        if self.state is not TopicState.WRONG_PARTITIONS:
            return None
        remedy = (
            f"set kafka.partitions to {self.partitions} for all topics"
            if self.partitions > self.wanted_partitions
            else f"grow it with kafka-topics.sh --alter --topic {self.topic} --partitions {self.wanted_partitions} "
            "while no worker runs, or name a fresh topic"
        )
        return (
            f"topic {self.topic} has {self.partitions} partitions, {self.wanted_partitions} are wanted; "
            f"all topics need the same number, or a workload's events would be split between workers: {remedy}"
        )


def ensure_topics(
    *,
    bootstrap: str,
    topics: Sequence[str] = INPUTS,
    dead_letters: str | None = DEAD_LETTERS,
    partitions: int,
    replication: int = -1,
    retention_s: float = 7 * 86400.0,
    timeout_s: float = BOOTSTRAP_TIMEOUT_S,
    login: KafkaLogin = NO_LOGIN,
) -> list[TopicReport]:
    """Create the topics that are absent and compare those that exist; running it again changes nothing.

    `replication` of -1 leaves the number of copies to the broker. A topic whose partition count differs is reported,
    never altered. Raises KafkaUnreachable.
    """
    names = [*topics, *([dead_letters] if dead_letters is not None else [])]
    try:
        with closing(_admin(bootstrap, timeout_s, login)) as admin:
            missing = [name for name, found in _partition_counts(admin, names).items() if found is None]
            for name in missing:
                extra_bytes = DEAD_LETTER_EXTRA_BYTES if name == dead_letters else 0
                _create(admin, name, partitions, replication, topic_config(retention_s, extra_bytes))
            if missing:
                admin.wait_for_topics(missing, timeout_ms=int(TOPIC_READY_TIMEOUT_S * 1000))
            counts = _partition_counts(admin, names)
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "make or describe the topics", error) from error
    return [
        TopicReport(
            topic=name,
            state=_state(name in missing, counts[name] or 0, partitions),
            partitions=counts[name] or 0,
            wanted_partitions=partitions,
        )
        for name in names
    ]


def partition_counts(
    *,
    bootstrap: str,
    topics: Sequence[str],
    timeout_s: float = BOOTSTRAP_TIMEOUT_S,
    login: KafkaLogin = NO_LOGIN,
) -> dict[str, int | None]:
    """How many partitions each topic has, None for one that does not exist. Raises KafkaUnreachable."""
    try:
        with closing(_admin(bootstrap, timeout_s, login)) as admin:
            return _partition_counts(admin, topics)
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "describe the topics", error) from error


def topic_ids(
    *,
    bootstrap: str,
    topics: Sequence[str],
    timeout_s: float = BOOTSTRAP_TIMEOUT_S,
    login: KafkaLogin = NO_LOGIN,
) -> dict[str, str]:
    """Kafka's own id of each topic that has one: made anew under the same name, a topic has another.

    Brokers before 2.8 tell none. Raises KafkaUnreachable.
    """
    try:
        with closing(_admin(bootstrap, timeout_s, login)) as admin:
            described = admin.describe_topics(list(topics))
    except KafkaError as error:
        raise KafkaUnreachable(bootstrap, "describe the topics", error) from error
    found = {topic["name"]: topic.get("topic_id") for topic in described if topic["partitions"]}
    return {name: str(topic_id) for name, topic_id in found.items() if topic_id and str(topic_id) != NO_TOPIC_ID}


def topic_config(retention_s: float, extra_bytes: int = 0) -> dict[str, str]:
    """What a topic is created with.

    compression.type=uncompressed makes the broker unpack each batch and judge its true length against
    max.message.bytes: a few kilobytes that unpack to gigabytes are refused there, and never reach a consumer, whose
    client would unpack them without a bound. The price is disk and network in plain JSON.
    message.timestamp.type=LogAppendTime makes the broker's clock say when an event arrived: an event dated ahead of
    its arrival is told as such however late it is read, and old events sent today are kept for the whole retention.
    """
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(int(retention_s * 1000)),
        "compression.type": "uncompressed",
        "max.message.bytes": str(MAX_MESSAGE_BYTES + extra_bytes),
    }


def reach(bootstrap: str, timeout_s: float) -> None:
    """Make sure that someone listens at one of the addresses. Raises KafkaUnreachable, at once where it can."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
        except (OSError, ValueError) as error:
            failure: Exception = error
        else:
            return
    raise KafkaUnreachable(bootstrap, "be reached", failure) from failure


def first_line(error: BaseException) -> str:
    """The error in one short line: its name, and its text where that is short enough to be of use."""
    text = str(error).splitlines()[0] if str(error) else ""
    return text[:300] or type(error).__name__


def _admin(bootstrap: str, timeout_s: float, login: KafkaLogin) -> KafkaAdminClient:
    """Connect, once a plain connection has shown that anyone listens: that fails at once, the client would wait."""
    reach(bootstrap, timeout_s)
    return KafkaAdminClient(
        bootstrap_servers=bootstrap.split(","),
        client_id="emberwatch-topics",
        bootstrap_timeout_ms=int(timeout_s * 1000),
        request_timeout_ms=int(max(timeout_s, 5.0) * 1000),
        **login.client_options(),
    )


def _create(admin: KafkaAdminClient, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
    wanted: dict[str, Any] = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(config)}
    try:
        admin.create_topics({name: wanted})
    except TopicAlreadyExistsError:
        return  # someone else made it in the meantime; the count is compared afterwards


def _partition_counts(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, int | None]:
    described = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(list(names))}
    return {name: described.get(name) or None for name in names}


def _state(created: bool, partitions: int, wanted: int) -> TopicState:
    if partitions != wanted:
        return TopicState.WRONG_PARTITIONS
    return TopicState.CREATED if created else TopicState.PRESENT
