"""The event log and how to log in to it."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from console.settings_types import Count, Secret, Section, Text, fault, shown

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class KafkaTopics(Section):
    """Names of the topics, one for each kind of event."""

    gpu_samples: TopicName = Field(default="gpu.samples", description="Topic of accelerator samples.")
    token_usage: TopicName = Field(default="token.usage", description="Topic of token usage.")
    charges: TopicName = Field(default="billing.charges", description="Topic of rows of the bill.")
    changes: TopicName = Field(default="ops.changes", description="Topic of what people did: deploys, scale-outs.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        topics = (self.gpu_samples, self.token_usage, self.charges, self.changes)
        if len(set(topics)) < len(topics):
            raise fault("one topic for two kinds of event", "a topic of its own for each kind")
        return self


TopicFormat = Literal[
    "native",
    "auto",
    "otlp_proto",
    "otlp_json",
    "prometheus_json",
    "telegraf_json",
    "influx",
    "vector_json",
    "cloudevents",
]


class KafkaFormats(Section):
    """How the messages of each topic are written."""

    gpu_samples: TopicFormat = Field(default="native", description="Format of the topic of accelerator samples.")
    token_usage: TopicFormat = Field(default="native", description="Format of the topic of token usage.")
    charges: TopicFormat = Field(default="native", description="Format of the topic of rows of the bill.")
    changes: TopicFormat = Field(default="native", description="Format of the topic of what people did.")


class KafkaSecurity(Section):
    """How to log in to the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Encryption and login. SASL_PLAINTEXT sends the login unencrypted."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How the login is proved; used with the SASL protocols only."
    )
    username: Text | None = Field(default=None, description="User of the SASL login.")
    password: Secret | None = Field(default=None, description="Password of the SASL login, as a reference.")
    password_file: Path | None = Field(default=None, description="File that holds the password of the SASL login.")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; absent: the system's."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sasl = self.protocol.startswith("SASL")
        if sasl and (self.username is None or self.password is None):
            raise fault(f"{self.protocol} without a login", "username and password_file beside it", option="protocol")
        if not sasl and (self.username is not None or self.password is not None):
            raise fault(
                f"{self.protocol} with a login", "SASL_SSL (or SASL_PLAINTEXT), which sends one", option="protocol"
            )
        return self


def _servers(value: object) -> object:
    servers = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(servers, list | tuple) or not servers:
        raise fault(shown(value), "HOST:PORT, or a list of them")
    for server in servers:
        match = (
            re.fullmatch(r"[A-Za-z0-9._-]+:(\d{1,5})|\[[0-9A-Fa-f:.]+\]:(\d{1,5})", server)
            if isinstance(server, str)
            else None
        )
        if match is None or not 1 <= int(match[1] or match[2]) <= 65535:
            raise fault(shown(server), "HOST:PORT, such as kafka-1.internal:9092")
    return tuple(servers)


class Kafka(Section):
    """The event log. Used by `worker`, `produce` and `topics`; a single process needs none."""

    bootstrap_servers: Annotated[
        tuple[str, ...],
        BeforeValidator(_servers),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ] = Field(default=("localhost:9092",), description="Brokers to ask first: HOST:PORT, or a list of them.")
    group: Text = Field(default="emberwatch", description="Consumer group. All workers of one service share it.")
    topics: KafkaTopics = Field(default=KafkaTopics(), description="Names of the topics.")
    formats: KafkaFormats = Field(default=KafkaFormats(), description="How the messages of each topic are written.")
    partitions: Count = Field(
        default=12,
        ge=1,
        le=10_000,
        description="Partitions of each topic when it is made: the most workers that can share the work.",
    )
    replication: Count = Field(
        default=1, ge=1, le=15, description="Copies of each partition when a topic is made; 3 in production."
    )
    transport: Literal["slices", "stock"] = Field(
        default="slices",
        description="How messages are taken from Kafka: many at a time, or one by one as Faust does, which is slower.",
    )
    max_batch_bytes: Count = Field(
        default=64 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024 * 1024 * 1024,
        description="The most a compressed batch may unpack to; one beyond is set aside. Not with transport: stock.",
    )
    dead_letter_topic: TopicName = Field(
        default="emberwatch.dead-letters",
        description="Topic for events that were set aside, with the reason in headers.",
    )
    security: KafkaSecurity = Field(default=KafkaSecurity(), description="How to log in to the brokers.")
    retention_days: Count = Field(
        default=7,
        ge=1,
        le=3660,
        description="Days that a topic keeps its events when it is made: how long workers may be away.",
    )

    @model_validator(mode="after")
    def _dead_letters_apart(self) -> Self:
        topics = self.topics
        if self.dead_letter_topic in (topics.gpu_samples, topics.token_usage, topics.charges, topics.changes):
            raise fault("a topic that events are read from", "a topic of its own", option="dead_letter_topic")
        return self
