"""A made-up fleet whose every figure follows from the seed and the time: what the demo shows.

Serving and training on accelerators, models by API, a forgotten notebook, accelerators given to nobody, a runaway
client and a model without a price. Nothing in it is recorded from anywhere.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import pi, sin
from random import Random
from typing import Any

from msgspec import Struct, json

HISTORY = timedelta(hours=60)
HANDED_BACK = timedelta(minutes=3)  # so long freed accelerators are still seen, given to nobody
POOL = "research-pool//"
FINE = timedelta(hours=3)  # so far back accelerators report as often as they do live
COARSE_S, LIVE_S, TOKENS_S = 600, 30, 60
GIB = 2**30


class Accelerators(Struct, frozen=True, kw_only=True):
    """A workload on accelerators of its own."""

    workload: str
    team: str | None
    model: str
    count: int
    util_ratio: float  # mean while busy
    busy_w: float
    idle_w: float
    idle_for_min: float | None = None  # idle since so many minutes before the demo began
    serves: str | None = None  # model that it serves, for its own token counters
    reports_power: bool = True


class Client(Struct, frozen=True, kw_only=True):
    """A workload that buys tokens."""

    workload: str
    team: str
    provider: str
    model: str
    requests_a_minute: float
    input_tokens: int
    output_tokens: int
    spike: float = 1.0  # times the usual requests, in the last 20 minutes before the demo began and since
    since_min: float | None = None  # began only so many minutes before the demo


ACCELERATORS = (
    Accelerators(workload="prod-eu/llm-serving/llama70b", team="search", model="NVIDIA H100 80GB HBM3", count=8,
                 util_ratio=0.62, busy_w=540, idle_w=72, serves="llama-3.3-70b"),
    Accelerators(workload="prod-us/llm-serving/mixtral", team="assistant", model="NVIDIA A100-SXM4-80GB", count=4,
                 util_ratio=0.48, busy_w=300, idle_w=64, serves="mixtral-8x22b"),
    Accelerators(workload="research/vision/train-sam3", team="vision", model="NVIDIA H100 80GB HBM3", count=16,
                 util_ratio=0.97, busy_w=640, idle_w=72),
    Accelerators(workload="research/vision/notebook-ana", team="vision", model="NVIDIA H100 80GB HBM3", count=8,
                 util_ratio=0.55, busy_w=380, idle_w=72, idle_for_min=47),
    Accelerators(workload="prod-eu/batch/embeddings", team="search", model="NVIDIA L40S", count=6,
                 util_ratio=0.71, busy_w=260, idle_w=33),
    Accelerators(workload="prod-us/llm-serving/whisper", team="assistant", model="NVIDIA L4", count=4,
                 util_ratio=0.0, busy_w=45, idle_w=16, reports_power=False),
    Accelerators(workload="research//", team=None, model="NVIDIA A100-SXM4-80GB", count=2,
                 util_ratio=0.0, busy_w=64, idle_w=64, idle_for_min=95),
)  # fmt: skip
CLIENTS = (
    Client(workload="prod-eu/support/agent", team="support", provider="openai", model="gpt-5-mini",
           requests_a_minute=90, input_tokens=2_600, output_tokens=420, spike=9.0),
    Client(workload="prod-us/assistant/chat", team="assistant", provider="anthropic", model="claude-sonnet-4-5",
           requests_a_minute=28, input_tokens=3_900, output_tokens=610),
    Client(workload="prod-eu/docs/summaries", team="docs", provider="google", model="gemini-2.5-flash",
           requests_a_minute=60, input_tokens=5_200, output_tokens=300),
    Client(workload="prod-us/agents/coding", team="platform", provider="openai", model="frontier-preview-02",
           requests_a_minute=6, input_tokens=21_000, output_tokens=1_800, since_min=50),
    Client(workload="prod-us/agents/coding", team="platform", provider="openai", model="gpt-5",
           requests_a_minute=14, input_tokens=18_000, output_tokens=1_500),
)  # fmt: skip


class DemoFleet:
    """Events of any stretch of time; the same stretch gives the same events."""

    def __init__(self, seed: int, began_at: datetime) -> None:
        """`began_at`: when the demo was started; its incidents are placed around it."""
        self.seed, self.began_at = seed, began_at
        fine_s = int((began_at - FINE).timestamp())
        self.fine_from_s = fine_s - fine_s % COARSE_S  # where a coarse span ends: what follows leaves no hole
        self.stopped: dict[str, datetime] = {}  # workloads that were scaled down

    def scale_down(self, workload: str, at: datetime) -> None:
        """From now on its accelerators are nobody's, and a few minutes later they are gone."""
        self.stopped.setdefault(workload, at)

    def events(self, start: datetime, end: datetime) -> Iterator[bytes]:
        """Envelopes of all that ends in [start, end), in order of time."""
        moment_s = -(-int(start.timestamp()) // LIVE_S) * LIVE_S
        while moment_s < end.timestamp():
            at = datetime.fromtimestamp(moment_s, UTC)
            fine = moment_s > self.fine_from_s
            gpu_s = LIVE_S if fine else COARSE_S
            if moment_s % gpu_s == 0:
                yield json.encode(self._samples(at, gpu_s))
            tokens_s = TOKENS_S if fine else COARSE_S
            if moment_s % tokens_s == 0:
                yield json.encode([*self._usage(at, tokens_s), *self._served(at, tokens_s)])
            moment_s += LIVE_S

    def _random(self, at: datetime, name: str) -> Random:
        return Random(f"{self.seed}|{name}|{int(at.timestamp())}")

    def _samples(self, at: datetime, span_s: int) -> list[dict[str, Any]]:
        samples = []
        for group in ACCELERATORS:
            stopped_at = self.stopped.get(group.workload)
            freed = stopped_at is not None and at > stopped_at
            if stopped_at is not None and at > stopped_at + HANDED_BACK:
                continue
            random = self._random(at, group.workload)
            idle = group.idle_for_min is not None and at > self.began_at - timedelta(minutes=group.idle_for_min)
            if group.workload == "research//" and not idle:
                continue
            for number in range(group.count):
                util = 0.0 if idle else min(max(random.gauss(group.util_ratio * _day(at), 0.05), 0.0), 1.0)
                power = group.idle_w + (group.busy_w - group.idle_w) * util + random.uniform(-1.5, 1.5)
                held = 0.0 if freed or group.workload == "research//" else 0.82
                sample: dict[str, Any] = {
                    "type": "gpu_sample", "at": _iso(at), "span_s": span_s,
                    "workload": POOL if freed else group.workload,
                    "device": f"GPU-{abs(hash_of(group.workload)):08x}-{number:02d}", "gpu_model": group.model,
                    "node": f"node-{abs(hash_of(group.workload)) % 90:02d}", "util_ratio": round(util, 3),
                    "sm_active_ratio": round(util * 0.7, 3), "memory_total_bytes": 80 * GIB,
                    "memory_used_bytes": int(80 * GIB * held),
                }  # fmt: skip
                if group.team and not freed:
                    sample["team"] = group.team
                if group.reports_power:
                    sample["power_w"] = round(power, 1)
                else:
                    del sample["sm_active_ratio"]
                samples.append(sample)
        return samples

    def _usage(self, at: datetime, span_s: int) -> list[dict[str, Any]]:
        rows = []
        for client in CLIENTS:
            if client.since_min is not None and at <= self.began_at - timedelta(minutes=client.since_min):
                continue
            random = self._random(at, client.workload + client.model)
            rate = client.requests_a_minute * _day(at) * random.uniform(0.9, 1.1)
            if at > self.began_at - timedelta(minutes=22):
                rate *= client.spike
            rows.append(self._row(at, span_s, client.workload, client.team, client.provider, client.model,
                                  round(rate * span_s / 60), client.input_tokens, client.output_tokens))  # fmt: skip
        return rows

    def _served(self, at: datetime, span_s: int) -> list[dict[str, Any]]:
        rows = []
        for group in ACCELERATORS:
            if group.serves is None or group.workload in self.stopped:
                continue
            random = self._random(at, group.workload + "served")
            requests = round(group.count * 11 * _day(at) * random.uniform(0.85, 1.15) * span_s / 60)
            row = self._row(
                at, span_s, group.workload, group.team or "", "self-hosted", group.serves, requests, 1_900, 350
            )
            rows.append(row | {"requests_running": round(requests / 14, 2), "requests_waiting": 0.0})
        return rows

    @staticmethod
    def _row(
        at: datetime, span_s: int, workload: str, team: str, provider: str, model: str, requests: int, tokens_in: int,
        tokens_out: int,
    ) -> dict[str, Any]:  # fmt: skip
        return {
            "type": "token_usage", "event_id": f"{workload}|{model}|{int(at.timestamp())}", "at": _iso(at),
            "span_s": span_s, "workload": workload, "team": team, "provider": provider, "model": model,
            "requests": requests, "input_tokens": requests * tokens_in, "output_tokens": requests * tokens_out,
        }  # fmt: skip


def _day(at: datetime) -> float:
    """More by day than by night: 0.75 to 1.25 times the mean."""
    return 1.0 + 0.25 * sin((at.hour + at.minute / 60 - 9) / 24 * 2 * pi)


def hash_of(text: str) -> int:
    """The same number for the same text, always."""
    return Random(text).getrandbits(32)


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
