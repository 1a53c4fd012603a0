"""Random logs of all kinds of events, from alphabets so small that things collide.

A log is a backbone, which is what a fleet reports minute by minute, and extras thrown into it: late, early, twice, in
contradiction, across hours, broken. Everything derives from a few small integers, so that a failing log shrinks.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from streams.records import Record

START = datetime(2026, 3, 2, 11, 48, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
CHAT, NOTEBOOK, SPARE, BATCH = "prod/llm/chat", "lab/alice/notebook", "prod//", "prod/batch/train"
WORKLOADS = (NOTEBOOK, CHAT, SPARE, BATCH)
DEVICES = ("GPU-1", "GPU-2", "GPU-2/gi-1", "GPU-3")
OWNERS = {"GPU-1": NOTEBOOK, "GPU-2": CHAT, "GPU-2/gi-1": SPARE, "GPU-3": BATCH}
H100, A100, ABACUS = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "Abacus"
MODELS = {"GPU-1": H100, "GPU-2": H100, "GPU-2/gi-1": A100, "GPU-3": ABACUS}
TOPICS = {
    "gpu_sample": "gpu.samples",
    "token_usage": "token.usage",
    "charge": "billing.charges",
    "change": "ops.changes",
}
PRICE_CHANGE = datetime(2026, 3, 2, 12, tzinfo=UTC)  # dearer from this hour on
TEAMS = {NOTEBOOK: "alice", CHAT: "search", SPARE: None, BATCH: "science"}

HABITS = ("idle", "busy", "held", "stuck", "blind", "gone")  # what an accelerator does
GPU_EXTRAS = (
    "again",  # the same sample once more
    "contradiction",  # another sample of the same accelerator and time
    "between",  # one more inside the minute
    "moved",  # the accelerator works for someone else
    "nameless",  # of no model that is named
    "short",  # a span of a millisecond, with the largest figures there are
    "long",  # a span of three hours and a bit
    "day",  # a span of a whole day
)
TOKEN_EXTRAS = ("again", "contradiction", "between", "unknown", "reported", "cached", "long", "huge", "none")
CHARGE_EXTRAS = ("teaches", "restated", "correction", "euro", "tax")
CHANGE_EXTRAS = ("deploy", "same", "late")
TIMES = ("in time", "edge", "late", "hours late", "days late", "ahead", "far ahead")
BAD = (b"", b"{", b"[1, 2", b"\xff\xfe", b'{"type":"gpu_sample"}', b"[]", b'[{"type":"charge"}]')


class Message(NamedTuple):
    """What one message holds, its topic, and when it arrives."""

    topic: str
    arrived_at: datetime
    content: bytes | dict[str, Any] | list[Any]

    @property
    def value(self) -> bytes:
        """Its bytes."""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()

    @property
    def events(self) -> list[Any]:
        """What was put into it, right or wrong; nothing where it is no JSON."""
        if isinstance(self.content, bytes):
            return []
        return self.content if isinstance(self.content, list) else [self.content]


class Log(NamedTuple):
    """Messages by minute, in order of arrival."""

    minutes: list[list[Message]]

    @property
    def messages(self) -> list[Message]:
        """All of them."""
        return [message for minute in self.minutes for message in minute]

    @property
    def records(self) -> list[Record]:
        """All of them, as a partition numbers them."""
        return numbered(self.messages)


def numbered(messages: Sequence[Message]) -> list[Record]:
    """Give each message the next offset of its topic."""
    offsets: dict[str, int] = {}
    records = []
    for message in messages:
        offset = offsets.get(message.topic, 0)
        offsets[message.topic] = offset + 1
        records.append(Record(message.topic, 0, offset, message.arrived_at, message.value))
    return records


def stamp(at: datetime) -> str:
    """A moment as events bear it."""
    return at.isoformat().replace("+00:00", "Z")


def sample(device: str, at: datetime, habit: str, /, **fields: Any) -> dict[str, Any]:
    """A sample of an accelerator with a habit."""
    figures: dict[str, dict[str, Any]] = {
        "idle": {"util_ratio": 0.0, "sm_active_ratio": 0.0, "power_w": 70.0, "memory_used_bytes": 0},
        "held": {"util_ratio": 0.01, "sm_active_ratio": 0.0, "power_w": 70.3, "memory_used_bytes": 60_000_000_000},
        "busy": {"util_ratio": 0.83, "sm_active_ratio": 0.61, "power_w": 517.7, "memory_used_bytes": 70_000_000_001},
        "stuck": {"util_ratio": 1.0, "sm_active_ratio": 0.01, "power_w": 90.1},
        "blind": {},
    }
    values = {
        "type": "gpu_sample",
        "at": stamp(at),
        "span_s": 60,
        "workload": OWNERS[device],
        "device": device,
        "gpu_model": MODELS[device],
        "team": TEAMS[OWNERS[device]],
        "memory_total_bytes": 80_000_000_000,
        **figures[habit],
        **fields,
    }
    return {name: value for name, value in values.items() if value is not None}


def usage(at: datetime, event_id: str, /, **fields: Any) -> dict[str, Any]:
    """Requests of the chat."""
    values = {
        "type": "token_usage",
        "event_id": event_id,
        "at": stamp(at),
        "span_s": 60,
        "workload": CHAT,
        "team": TEAMS[CHAT],
        "provider": "openai",
        "model": "gpt-5-mini",
        "requests": 10,
        "input_tokens": 10_007,
        "output_tokens": 2_003,
        "requests_running": 2.0,
        **fields,
    }
    return {name: value for name, value in values.items() if value is not None}


def charge(at: datetime, flavour: int, kind: str, /) -> dict[str, Any]:
    """A row of the bill; some say what an hour of an accelerator cost."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    workload = WORKLOADS[flavour % 4]
    values: dict[str, Any] = {
        "type": "charge",
        "at": stamp(at),
        "charge_period_start": stamp(day - timedelta(days=1 + flavour % 2)),
        "charge_period_end": stamp(day - timedelta(days=flavour % 2)),
        "workload": workload,
        "service_provider_name": "Example Cloud",
        "resource_id": f"i-{flavour % 3}",
        "sku_id": "gpu",
        "charge_category": "Usage",
        "billed_cost": "48",
        "effective_cost": str(37 + flavour % 5),
        "billing_currency": "USD",
        "consumed_quantity": "23" if flavour % 2 else "7",
        "consumed_unit": "Hours",
    }
    if kind == "restated":
        values["event_id"] = f"row-{flavour % 2}"
    elif kind == "correction":
        values["charge_class"] = "Correction"
    elif kind == "euro":
        values["billing_currency"] = "EUR"
    elif kind == "tax":
        values["charge_category"] = "Tax"
    return values


class Extra(NamedTuple):
    """Something thrown in: at which minute, what, when it is dated, and a number that decides the rest."""

    minute: int
    topic: int
    kind: int
    time: int
    flavour: int


class Plan(NamedTuple):
    """The small integers that a log derives from."""

    minutes: int
    habits: list[tuple[int, int, int]]  # by accelerator: before, after, and the minute of the change
    hole: tuple[int, int]  # nothing is reported for so many minutes, from this one on
    packing: int
    extras: list[Extra]


MOST_MINUTES = 22


def plans(*, extras: int = 16, times: int = len(TIMES), holes: bool = True) -> st.SearchStrategy[Plan]:
    """Plans of logs; `times` says how many of TIMES may be used."""
    habit = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, MOST_MINUTES))
    extra = st.builds(
        Extra,
        st.integers(0, MOST_MINUTES - 1),
        st.integers(0, 4),
        st.integers(0, 8),
        st.integers(0, times - 1),
        st.integers(0, 59),
    )
    return st.builds(
        Plan,
        st.integers(3, MOST_MINUTES),
        st.lists(habit, min_size=4, max_size=4),
        st.tuples(st.integers(1, MOST_MINUTES), st.sampled_from([0, 0, 0, 3, 17])) if holes else st.just((0, 0)),
        st.integers(0, 5),
        st.lists(extra, max_size=extras),
    )


def logs(**how: Any) -> st.SearchStrategy[Log]:
    """Random logs."""
    return plans(**how).map(log_of)


def log_of(plan: Plan) -> Log:
    """The log that a plan describes."""
    shift, minutes = 0, []
    for number in range(plan.minutes):
        if plan.hole[1] and number == plan.hole[0]:
            shift = plan.hole[1]
        begin = START + (number + shift) * MINUTE
        events = _backbone(plan, number, begin)
        for place, extra in enumerate(plan.extras):
            if extra.minute % plan.minutes == number:
                events.append(_extra(extra, place, begin, events))
        minutes.append(_packed(events, begin + MINUTE + SECOND, plan.packing))
    return Log(minutes)


def _backbone(plan: Plan, number: int, begin: datetime) -> list[Any]:
    events: list[Any] = []
    for device, (before, after, change) in zip(DEVICES, plan.habits, strict=True):
        habit = HABITS[before if number < change else after]
        if habit == "gone":
            continue
        if device == "GPU-1":  # two samples a minute, the second at its very end
            events.append(sample(device, begin + 30 * SECOND, habit, span_s=30))
            events.append(sample(device, begin + MINUTE, habit, span_s=30))
        else:
            events.append(sample(device, begin + 47.123 * SECOND, habit))
    events.append(usage(begin + MINUTE, f"chat-{stamp(begin)}"))
    events.append(
        usage(begin + 10 * SECOND, f"one-{stamp(begin)}", span_s=0, requests=1, workload=BATCH, team="science")
    )
    return events


def _dated(time: str, begin: datetime, flavour: int) -> datetime:
    """When an extra is dated, to the millisecond."""
    inside = begin + timedelta(milliseconds=1 + flavour * 1017)
    return {
        "in time": inside,
        "edge": begin + MINUTE - 2 * MINUTE,  # exactly as late as is allowed of what comes at the end of its minute
        "late": inside - (6 + flavour % 20) * MINUTE,
        "hours late": inside - (30 + flavour % 3) * HOUR,
        "days late": inside - (60 + flavour) * HOUR,
        "ahead": inside + 150 * SECOND,
        "far ahead": inside + 400 * SECOND,
    }[time]


def _extra(extra: Extra, place: int, begin: datetime, events: list[Any]) -> Any:
    topic = ("gpu_sample", "token_usage", "charge", "change", "bad")[extra.topic]
    at = _dated(TIMES[extra.time], begin, extra.flavour)
    if topic == "bad":
        return [BAD[extra.kind % len(BAD)], {"type": "gpu_sample", "at": stamp(at)}][extra.flavour % 2]
    if topic == "charge":
        return charge(at, extra.flavour, CHARGE_EXTRAS[extra.kind % len(CHARGE_EXTRAS)])
    if topic == "change":
        kind = CHANGE_EXTRAS[extra.kind % len(CHANGE_EXTRAS)]
        return {
            "type": "change",
            "event_id": "c-same" if kind == "same" else f"c-{place}",
            "at": stamp(START if kind == "same" else at),
            "workload": WORKLOADS[extra.flavour % 4],
            "kind": "deploy",
            "summary": f"v{extra.flavour % 3}" if kind != "same" else "same",
        }
    known = [event for event in events if isinstance(event, dict) and event.get("type") == topic and "device" in event]
    if topic == "gpu_sample":
        kind = GPU_EXTRAS[extra.kind % len(GPU_EXTRAS)]
        if kind == "again" and known:
            return known[extra.flavour % len(known)]
        device = DEVICES[extra.flavour % 4]
        if kind == "contradiction":
            return sample("GPU-2", begin + 47.123 * SECOND, "busy", span_s=59.999)
        fields: dict[str, dict[str, Any]] = {
            "moved": {"workload": BATCH, "team": TEAMS[BATCH]},
            "nameless": {"device": "GPU-9", "gpu_model": None, "workload": BATCH, "team": TEAMS[BATCH]},
            "short": {"span_s": 0.001, "power_w": 5000, "memory_total_bytes": 0},
            "long": {"span_s": 10_799.999},
            "day": {"span_s": 86_400},
        }
        return sample(device, at, HABITS[extra.flavour % 5], **{"span_s": 13.7, **fields.get(kind, {})})
    kind = TOKEN_EXTRAS[extra.kind % len(TOKEN_EXTRAS)]
    if kind in ("again", "contradiction"):
        twice = usage(begin + MINUTE, f"chat-{stamp(begin)}")
        return twice if kind == "again" else {**twice, "input_tokens": 999_999}
    tokens: dict[str, dict[str, Any]] = {
        "unknown": {"model": "mystery"},
        "reported": {"cost_usd": f"0.{extra.flavour:02d}00000005"},
        "cached": {"cache_read_tokens": 9_001, "cache_write_tokens": 1_000},
        "long": {"span_s": 7201.5},
        "huge": {"input_tokens": 10**12, "output_tokens": 10**12, "requests": 10**15, "requests_waiting": 1e9},
        "none": {"requests": 0, "input_tokens": 0, "output_tokens": 0},
    }
    odd = {"input_tokens": 100_003 + 7 * extra.flavour, "span_s": (0, 29.3)[extra.flavour % 2]}
    return usage(at, f"x-{place}", **{**odd, **tokens.get(kind, {})})


def _packed(events: list[Any], arrived_at: datetime, packing: int) -> list[Message]:
    """Messages of a minute: single events, or envelopes of a topic's events; bad bytes are messages of their own."""
    if packing == 0:
        return [_message(event, arrived_at) for event in events]
    messages = []
    waiting: dict[str, list[Any]] = {}
    for event in events:
        if isinstance(event, bytes):
            messages.append(_message(event, arrived_at))
            continue
        topic = TOPICS[event["type"]]
        waiting.setdefault(topic, []).append(event)
        if len(waiting[topic]) >= packing:
            messages.append(Message(topic, arrived_at, waiting.pop(topic)))
    return messages + [Message(topic, arrived_at, rest) for topic, rest in waiting.items()]


def _message(event: Any, arrived_at: datetime) -> Message:
    topic = "gpu.samples" if isinstance(event, bytes) else TOPICS[event["type"]]
    return Message(topic, arrived_at, event)
