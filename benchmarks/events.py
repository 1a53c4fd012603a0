"""The messages that are measured: samples of 500 accelerators, one workload each, in the contract's own format."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

KEYS = 500
SPAN_S = 30
PRICES = {"gpu": [{"model": "*H100*", "usd_per_hour": 4.0, "from": "2026-01-01"}]}

Message = tuple[str, bytes]
"""A Kafka key and a value."""


def workload(number: int) -> str:
    """The name of a workload by its number."""
    return f"prod/train/job-{number:04d}"


def sample(number: int, at: str, span_s: int, tick: int, device: int | None = None) -> str:
    """One sample of about 300 bytes: busy, with small changes that differ by accelerator."""
    device = number if device is None else device
    wave = (number * 7919 + tick * 104729) % 1000 / 1000.0
    return (
        f'{{"type":"gpu_sample","at":"{at}","span_s":{span_s},"workload":"{workload(number)}",'
        f'"team":"team-{number % 20:02d}","node":"node-{number // 8:05d}",'
        f'"device":"GPU-{device:012x}","gpu_model":"NVIDIA H100 80GB HBM3",'
        f'"util_ratio":{0.80 + 0.15 * wave:.3f},"memory_used_bytes":{68_000_000_000 + int(wave * 1e9)},'
        f'"memory_total_bytes":85899345920,"power_w":{560.0 + 90.0 * wave:.1f}}}'
    )


def stamp(at: datetime) -> str:
    """A moment as events bear it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def singles(messages: int, *, span_s: int = SPAN_S, keys: int = KEYS, until: datetime) -> Iterator[Message]:
    """One sample a message, all keys in turn, each `span_s` after its last; the latest one at `until`."""
    rounds = -(-messages // keys)
    for place in range(messages):
        tick, number = divmod(place, keys)
        if number == 0:
            at = stamp(until - timedelta(seconds=span_s * (rounds - 1 - tick)))
        yield workload(number), sample(number, at, span_s, tick).encode()


def envelopes(messages: int, size: int = 50, *, span_s: int = SPAN_S, until: datetime) -> Iterator[Message]:
    """Envelopes as a collector sends them: what the `size` accelerators of one workload say at one moment."""
    keys = KEYS // size
    rounds = -(-messages // keys)
    for place in range(messages):
        tick, number = divmod(place, keys)
        at = stamp(until - timedelta(seconds=span_s * (rounds - 1 - tick)))
        inside = (sample(number, at, span_s, tick, device=number * size + one) for one in range(size))
        yield workload(number), f"[{','.join(inside)}]".encode()
