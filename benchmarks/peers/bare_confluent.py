"""The bare loop: confluent-kafka's consume(5000), typed decode, a vectorised rolling z-score; nothing is kept.

With `envelopes` as a sixth argument each message is an array of samples, and samples are counted.
"""

import sys

import msgspec
import numpy as np
from confluent_kafka import Consumer
from meter import THRESHOLD, WINDOW, Meter, Sample, arguments, decode

BATCH = 5000
decode_many = msgspec.json.Decoder(list[Sample]).decode


class Rings:
    """Rings of 60 values of three figures for each key, as arrays."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.ring = np.zeros((1024, WINDOW, 3))
        self.sums, self.squares = np.zeros((1024, 3)), np.zeros((1024, 3))
        self.counts = np.zeros(1024, dtype=np.int64)

    def odd(self, samples: list[Sample]) -> int:
        """How many samples are odd; each key's own in order."""
        known = self.rows
        rows = np.array([known.setdefault(one.device, len(known)) for one in samples])
        values = np.array([(one.util_ratio, one.memory_used_bytes / 1e9, one.power_w) for one in samples])
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        turn = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
        found = 0
        for place in range(int(turn.max()) + 1):
            chosen = turn == place
            found += self._step(ordered[chosen], values[order[chosen]])
        return found

    def _step(self, rows: np.ndarray, new: np.ndarray) -> int:
        counts = self.counts[rows]
        full = counts >= WINDOW
        mean = self.sums[rows] / WINDOW
        variance = np.maximum(self.squares[rows] / WINDOW - mean * mean, 1e-9)
        odd = full & ((new - mean) ** 2 > THRESHOLD**2 * variance).any(axis=1)
        old = self.ring[rows, counts % WINDOW]
        self.sums[rows] += new - old
        self.squares[rows] += new * new - old * old
        self.ring[rows, counts % WINDOW] = new
        self.counts[rows] = counts + 1
        return int(odd.sum())


def main() -> None:
    bootstrap, topic, group, limit, _ = arguments()
    enveloped = "envelopes" in sys.argv
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,  # by itself it rests a second whenever 100,000 messages wait to be read
            "enable.auto.commit": True,
        }
    )
    consumer.subscribe([topic])
    meter, rings = Meter(limit), Rings()
    while True:
        messages = consumer.consume(BATCH if not enveloped else BATCH // 50, timeout=0.25)
        if not messages:
            continue
        if enveloped:
            samples = [one for message in messages for one in decode_many(message.value())]
        else:
            samples = [decode(message.value()) for message in messages]
        rings.odd(samples)
        meter.count(len(samples))


if __name__ == "__main__":
    main()
