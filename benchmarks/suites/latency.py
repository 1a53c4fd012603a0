"""From an event in Kafka to the request at Slack, at 5,000 events a second.

The detector's own waiting is no latency: unpriced usage is found when its minute is complete, which event time says
once a message dated after the minute and the allowed lateness is there. The clock starts when the producer hands that
very message to Kafka, and stops at the request that a Slack with the vendor's rules receives. Event time runs 20 times
as fast as the wall, so that thirty minutes, one incident each, pass in a minute and a half.
"""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from threading import Event, Lock

from confluent_kafka import Producer

from benchmarks.events import KEYS, sample, stamp, workload
from benchmarks.figures import Result, Row, Run, Verdict, percentiles
from benchmarks.installation import START_S, Installation
from benchmarks.kafka_load import PARTITIONS, make_topics, producer
from benchmarks.servers import Servers, servers
from console.fakes.slack import FakeSlack, Posted
from tests.e2e.site import usage_of
from tests.support.waiting import wait_until

PER_S = 5_000
SPEED = 20.0  # event seconds a second
TICK_S = 0.1
LATENESS_S = 120.0  # as the service's default
LEAD_MINUTES = 6  # of event time, before the first incident: the worker has its partitions and a rhythm
CHANNEL = "C0BENCH"
TOKEN = "xoxb-for-the-benchmark"
TAIL_S = 30.0


class Heard:
    """When Slack was first told of each minute's incident (monotonic)."""

    def __init__(self) -> None:
        self._lock, self.at = Lock(), dict[int, float]()

    def take(self, posted: Posted) -> None:
        """Note the moment of a message that names an incident of ours."""
        now_s = time.monotonic()
        found = re.search(r"unknown-model-(\d+)", posted.text + json.dumps(posted.blocks))
        if found:
            with self._lock:
                self.at.setdefault(int(found[1]), now_s)


def run(quick: bool) -> Result:
    """One stretch with at least thirty incidents."""
    heard, incidents = Heard(), 6 if quick else 36
    with servers() as where, FakeSlack(token=TOKEN, channels={CHANNEL: "costs"}, on_message=heard.take) as slack:
        topics = {name: f"latency.{name}" for name in ("gpu.samples", "token.usage")}
        make_topics(where.bootstrap, topics.values())
        due, sent_per_s, rss_mib = _drive(where, topics, slack.base_url, incidents, heard)
    waits = [heard.at[minute] - due[minute] for minute in sorted(due) if minute in heard.at]
    if not waits:
        raise RuntimeError(f"Slack heard of none of {len(due)} incidents")
    figures: Run = {"incidents": float(len(waits)), **percentiles(waits, {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99})}
    row = Row(name="event to Slack", figures={**figures, "sent_per_s": sent_per_s, "rss_mib": rss_mib})
    row.runs = [{"wait_s": wait} for wait in waits]
    verdicts = [
        Verdict(aim="p99 from the due moment to Slack, s", wanted=2.0, got=figures["p99_s"], at_most=True),
        Verdict(aim="share of the incidents that Slack heard of", wanted=1.0, got=len(waits) / len(due)),
    ]
    notes = [
        f"Not in it: the end of the minute and the allowed lateness of {LATENESS_S:.0f} s, which event time has to "
        "pass first, whatever the machine. The kind of incident is unpriced usage, which waits for nothing else.",
        f"Event time runs {SPEED:.0f} times as fast as the wall, so minutes close so much more often than in service.",
        f"With {len(waits)} incidents, p99 is the slowest of them.",
    ]
    return Result(suite="latency", quick=quick, rounds=1, rows=[row], verdicts=verdicts, notes=notes)


def _drive(
    where: Servers, topics: dict[str, str], slack_url: str, incidents: int, heard: Heard
) -> tuple[dict[int, float], float, float]:
    """Produce in step; return the due moment by minute, the rate, and the worker's memory."""
    secret = where.folder / "slack_token"
    secret.write_text(TOKEN)
    slack = {"type": "slack", "name": "slack", "channel": CHANNEL, "token_file": str(secret), "base_url": slack_url}
    config = {
        "channels": [slack],
        "default_route": ["slack"],
        "stream": {"allowed_lateness": f"{LATENESS_S:.0f}s"},
    }
    store_url = where.store_url("postgres", "latency")
    with Installation(where.folder, where.bootstrap, store_url, topics, config) as installation:
        worker = installation.start()
        if not wait_until(worker.ready, within_s=START_S):
            raise TimeoutError(f"the worker is not ready: {worker.checks()}")
        minutes = LEAD_MINUTES + incidents + 4  # the last ones' lateness
        begin = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)
        due, sent, took_s = _send(producer(where.bootstrap), topics, begin, minutes, incidents)
        wait_until(lambda: len(heard.at) >= len(due), within_s=TAIL_S)
        return due, sent / took_s, usage_of(worker)[1]


def _send(
    out: Producer, topics: dict[str, str], begin: datetime, minutes: int, incidents: int
) -> tuple[dict[int, float], int, float]:
    began_s, pause = time.monotonic(), Event()
    due: dict[int, float] = {}
    wanted = range(LEAD_MINUTES, LEAD_MINUTES + incidents)
    per_tick, place, sent = int(PER_S * TICK_S), 0, 0
    for tick in range(int(minutes * 60 / SPEED / TICK_S)):
        event_s = (tick + 1) * TICK_S * SPEED
        at = begin + timedelta(seconds=event_s)
        moment, minute = stamp(at), int(event_s // 60)
        if minute in wanted and (event_s - TICK_S * SPEED) % 60 < 30 <= event_s % 60:  # in the middle of the minute
            out.produce(topics["token.usage"], _usage(f"odd-{minute}", moment, f"unknown-model-{minute}", 50_000))
            sent += 1
        for partition in range(PARTITIONS):
            beat = _usage(f"beat-{tick}-{partition}", moment, "gpt-5-mini", 1_000)
            out.produce(topics["token.usage"], beat, partition=partition)
        for _ in range(per_tick - PARTITIONS):
            number = place % KEYS
            value = sample(number, moment, int(TICK_S * SPEED), tick).encode()
            out.produce(topics["gpu.samples"], value, workload(number))
            place += 1
        sent += per_tick
        handed_s = time.monotonic()
        for closed in wanted:
            if closed not in due and event_s >= (closed + 1) * 60 + LATENESS_S:
                due[closed] = handed_s
        out.poll(0)
        pause.wait(max(began_s + (tick + 1) * TICK_S - time.monotonic(), 0.0))
    took_s = time.monotonic() - began_s
    out.flush(30)
    return due, sent, took_s


def _usage(event_id: str, at: str, model: str, tokens: int) -> bytes:
    provider = "openai" if model.startswith("gpt") else "nobody"
    return json.dumps(
        {
            "type": "token_usage",
            "event_id": event_id,
            "at": at,
            "span_s": 2,
            "workload": f"prod/chat/{event_id.rpartition('-')[0] if model.startswith('gpt') else event_id}",
            "team": "chat",
            "provider": provider,
            "model": model,
            "requests": 10,
            "input_tokens": tokens,
            "output_tokens": tokens // 10,
        }
    ).encode()
