"""What every peer shares: the event, the score of one key, and the meter that says how fast it went."""

import json
import os
import resource
import sys
import time
from collections import deque

import msgspec

WINDOW = 60
THRESHOLD = 6.0


class Sample(msgspec.Struct):
    """The fields of a message that are looked at."""

    device: str
    util_ratio: float
    memory_used_bytes: float
    power_w: float


decode = msgspec.json.Decoder(Sample).decode


class Rolling:
    """The last 60 values of three figures of one key, with running sums."""

    def __init__(self) -> None:
        self.values = deque(maxlen=WINDOW)
        self.sums, self.squares = [0.0] * 3, [0.0] * 3

    def odd(self, sample: Sample) -> bool:
        """Whether a figure is more than `THRESHOLD` deviations from its mean; then learns it."""
        new = (sample.util_ratio, sample.memory_used_bytes / 1e9, sample.power_w)
        count = len(self.values)
        odd = False
        for place in range(3):
            if count == WINDOW:
                mean = self.sums[place] / count
                variance = self.squares[place] / count - mean * mean
                odd = odd or (new[place] - mean) ** 2 > THRESHOLD**2 * max(variance, 1e-9)
        if count == WINDOW:
            for place, old in enumerate(self.values[0]):
                self.sums[place] -= old
                self.squares[place] -= old * old
        for place, value in enumerate(new):
            self.sums[place] += value
            self.squares[place] += value * value
        self.values.append(new)
        return odd


class Meter:
    """Counts messages from the first to the last; then says the figures as one line of JSON and ends the process."""

    def __init__(self, limit: int) -> None:
        self.limit, self.seen = limit, 0
        self.first_s = self.first_cpu_s = 0.0

    def count(self, messages: int = 1) -> None:
        """So many more messages are handled."""
        if not self.seen:
            self.first_s, self.first_cpu_s, self.skipped = time.monotonic(), cpu_s(), messages
        self.seen += messages
        if self.seen >= self.limit:
            self.say()

    def say(self) -> None:
        """Print the figures, and end on the spot: how a peer stops is not measured."""
        wall_s, spent_s = time.monotonic() - self.first_s, cpu_s() - self.first_cpu_s
        handled = self.seen - self.skipped  # what came with the first call was handled before the clock began
        figures = {
            "events_per_s": handled / wall_s,
            "events_per_cpu_s": handled / spent_s,
            "rss_mib": peak_rss_mib(),
            "seen": self.seen,
        }
        print("\n" + json.dumps(figures), flush=True)
        os._exit(0)


def cpu_s() -> float:
    """CPU seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss_mib() -> float:
    """The largest resident size of this process; `ru_maxrss` would be its parent's where that was larger."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def arguments() -> tuple[str, str, str, int, str]:
    """Broker, topic, group, how many messages, and a folder of its own."""
    bootstrap, topic, group, limit, folder = sys.argv[1:6]
    return bootstrap, topic, group, int(limit), folder
