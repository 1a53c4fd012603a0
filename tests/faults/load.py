"""A load whose every dollar is known beforehand: events with ids, and a ledger of what was produced, in integers.

The arithmetic here is the tests' own. Prices are whole nano-dollars for a token and for an accelerator's second, so
that each sum can be checked to the last digit. Token counts are large random numbers: a sum stands for a set of ids.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

PARTITIONS = 3
NANO_PER_GPU_S = 1_000_000  # 3.60 dollars an hour
NANO_PER_INPUT_TOKEN, NANO_PER_OUTPUT_TOKEN = 250, 2_000  # 0.25 and 2 dollars a million
PRICES = {
    "gpu": [{"model": "*H100*", "usd_per_hour": 3.60, "from": "2026-01-01"}],
    "tokens": [
        {
            "provider": "openai",
            "model": "gpt-5-mini",
            "from": "2026-01-01",
            "input_usd_per_million": 0.25,
            "output_usd_per_million": 2,
        }
    ],
}
SERVER, NOTEBOOK, CODING = "prod/llm/server", "lab/alice/notebook", "prod/agents/coding"
IDLE_FROM_MINUTE = 5
SPAN_S = 30


@dataclass
class Sums:
    """What one workload came to in one hour."""

    nano_usd: int = 0
    gpu_s: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced_tokens: int = 0


@dataclass
class Produced:
    """The ledger of what was produced."""

    sums: dict[tuple[str, str], Sums] = field(default_factory=lambda: defaultdict(Sums))  # by hour and workload
    charges: dict[str, Decimal] = field(default_factory=dict)  # billed cost of the latest version, by id
    changes: set[str] = field(default_factory=set)
    malformed: set[bytes] = field(default_factory=set)
    events: int = 0  # good ones, each counted once

    def note_gpu(self, event: dict[str, Any]) -> None:
        """A sample."""
        sums = self._of(event)
        sums.gpu_s += event["span_s"]
        sums.nano_usd += event["span_s"] * NANO_PER_GPU_S

    def note_tokens(self, event: dict[str, Any]) -> None:
        """Usage of tokens."""
        sums, priced = self._of(event), event["workload"] != CODING
        given, made = event["input_tokens"], event["output_tokens"]
        sums.requests += event["requests"]
        sums.input_tokens += given
        sums.output_tokens += made
        if priced:
            sums.nano_usd += given * NANO_PER_INPUT_TOKEN + made * NANO_PER_OUTPUT_TOKEN
        else:
            sums.unpriced_tokens += given + made

    def _of(self, event: dict[str, Any]) -> Sums:
        """Spans never straddle an hour here: one that ends with the hour belongs to it, one request to the next."""
        self.events += 1
        at = datetime.fromisoformat(event["at"])
        hour = (at - timedelta(microseconds=1 if event["span_s"] else 0)).replace(minute=0, second=0, microsecond=0)
        return self.sums[stamp(hour), event["workload"]]


@dataclass(frozen=True)
class Message:
    """What goes into one message of a topic's partition."""

    topic: str
    partition: int
    at: datetime
    value: bytes


def stamp(at: datetime) -> str:
    """A moment as events bear it."""
    return at.isoformat().replace("+00:00", "Z")


def partition_of(workload: str) -> int:
    """All events of a workload lie in one partition."""
    return zlib.crc32(workload.encode()) % PARTITIONS


class Load:
    """The messages of a stretch of minutes before `until`; the same seed gives the same ones."""

    def __init__(
        self,
        seed: int,
        until: datetime,
        minutes: int = 80,
        requests_a_minute: int = 12,
        *,
        since: timedelta | None = None,
        beat_minutes: int | None = None,
    ) -> None:
        """`since`: so long before `until` one workload was heard of for the first time.

        `beat_minutes`: every so many minutes each place has a message; else at the beginning and the end only.
        """
        self.seed, self.until, self.minutes, self.requests_a_minute = seed, until, minutes, requests_a_minute
        self.since, self.beat_minutes = since, beat_minutes or minutes
        self.produced = Produced()
        self.messages: list[Message] = []  # made so far
        self._random = Random(seed)

    def pieces(self) -> Iterator[list[Message]]:
        """Minute by minute, each noted in the ledger as it is made. The first holds a message for every place."""
        for piece in self._pieces():
            self.messages += piece
            yield piece

    def _pieces(self) -> Iterator[list[Message]]:
        begin = self.until - timedelta(minutes=self.minutes)
        if self.since is not None:
            yield [self._tokens(self.until - self.since, "prod/web/w0", "the first")]
        for minute in range(self.minutes + 1):
            at = begin + timedelta(minutes=minute)
            beat = minute % self.beat_minutes == 0
            yield [
                *(self._everywhere(at) if beat else ()),
                *(self._minute(at, minute) if minute % self.minutes else ()),
            ]

    def _everywhere(self, at: datetime) -> Iterator[Message]:
        """One message for each topic and partition: none of them is left to hold the clock, or not to be known yet."""
        for partition in range(PARTITIONS):
            name = next(one for one in (f"prod/web/beat{n}" for n in range(99)) if partition_of(one) == partition)
            yield self._gpu(at, name, [f"GPU-beat-{partition}"], 0.7)
            yield self._tokens(at, name, f"beat-{partition}-{stamp(at)}")
            yield self._charge(at, name, f"charge-beat-{partition}-{stamp(at)}")
            yield self._change(at, name, f"change-beat-{partition}-{stamp(at)}")

    def _minute(self, at: datetime, minute: int) -> Iterator[Message]:
        for second in (0, 30):
            moment = at + timedelta(seconds=second)
            yield self._gpu(moment, SERVER, [f"GPU-{n}" for n in range(8)], 0.8)
            yield self._gpu(moment, NOTEBOOK, ["GPU-ana"], 0.6 if minute < IDLE_FROM_MINUTE else 0.0)
        if minute % 4 == 1:
            yield self._tokens(at, CODING, f"coding-{minute}")
        for number in range(self.requests_a_minute):
            moment = at + timedelta(seconds=self._random.randrange(60))
            usage = self._tokens(moment, f"prod/web/w{number % 10}", f"r-{self.seed}-{minute}-{number}")
            yield usage
            if self._random.random() < 0.02:
                yield usage  # a producer that tries again
        if minute % 5 == 2:
            identity = f"charge-{self.seed}-{minute % 20}"  # the same id comes again: a row that is restated
            yield self._charge(at, SERVER, identity)
        if minute % 16 == 3:
            yield self._change(at, SERVER, f"deploy-{minute}")
        if minute % 7 == 4:
            yield self._malformed(at, minute)

    def _gpu(self, at: datetime, workload: str, devices: list[str], util: float) -> Message:
        samples = [
            {
                "type": "gpu_sample",
                "at": stamp(at),
                "span_s": SPAN_S,
                "workload": workload,
                "device": device,
                "gpu_model": "NVIDIA H100 80GB HBM3",
                "util_ratio": util,
                "sm_active_ratio": util / 2,
                "power_w": 70.0 + 500.0 * util,
                "memory_used_bytes": 60 * 2**30,
                "memory_total_bytes": 80 * 2**30,
            }
            for device in devices
        ]
        for sample in samples:
            self.produced.note_gpu(sample)
        return self._message("gpu.samples", workload, at, samples)

    def _tokens(self, at: datetime, workload: str, identity: str) -> Message:
        event = {
            "type": "token_usage",
            "event_id": identity,
            "at": stamp(at),
            "span_s": 0,
            "workload": workload,
            "provider": "openai",
            "model": "frontier-unheard-of" if workload == CODING else "gpt-5-mini",
            "requests": 1,
            "input_tokens": self._random.randrange(10**6),
            "output_tokens": self._random.randrange(10**5),
        }
        self.produced.note_tokens(event)
        return self._message("token.usage", workload, at, event)

    def _charge(self, at: datetime, workload: str, identity: str) -> Message:
        cost = Decimal(self._random.randrange(10**9)).scaleb(-7)
        day = at.replace(hour=0, minute=0, second=0)
        event = {
            "type": "charge",
            "event_id": identity,
            "at": stamp(at),
            "charge_period_start": stamp(day - timedelta(days=1)),
            "charge_period_end": stamp(day),
            "workload": workload,
            "service_provider_name": "Example Cloud",
            "charge_category": "Usage",
            "billed_cost": str(cost),
            "effective_cost": str(cost),
            "billing_currency": "USD",
        }
        self.produced.events += 1
        self.produced.charges[identity] = cost
        return self._message("billing.charges", workload, at, event)

    def _change(self, at: datetime, workload: str, identity: str) -> Message:
        event = {"type": "change", "event_id": identity, "at": stamp(at), "workload": workload}
        self.produced.events += 1
        self.produced.changes.add(identity)
        return self._message("ops.changes", workload, at, {**event, "kind": "deploy", "summary": identity})

    def _malformed(self, at: datetime, minute: int) -> Message:
        value = f'{{"type": "token_usage", "event_id": "half-{self.seed}-{minute}",'.encode()
        self.produced.malformed.add(value)
        return Message("token.usage", partition_of(SERVER), at, value)

    def _message(self, topic: str, workload: str, at: datetime, value: object) -> Message:
        return Message(topic, partition_of(workload), at, json.dumps(value).encode())
