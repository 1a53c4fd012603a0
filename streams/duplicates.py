"""What has been seen: a second delivery of an event changes nothing, as far back as late events are taken."""

from hashlib import blake2b

import msgspec
import numpy as np

HOUR_S = 3600


class Seen:
    """Identities of the events of the last hours, by the hour of their time; older hours are forgotten."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.hours: dict[int, set[int]] = {}

    def first(self, key: str, at_ms: int) -> bool:
        """Whether this identity at this time is met for the first time; remembers it."""
        hour = at_ms // (HOUR_S * 1000)
        held = self.hours.get(hour)
        if held is None:
            held = self.hours[hour] = set()
        mark = int.from_bytes(blake2b(f"{key}|{at_ms}".encode(), digest_size=8).digest(), "big", signed=True)
        if mark in held:
            return False
        held.add(mark)
        return True

    def forget(self, before_hour: int) -> None:
        """Let go of the hours (epoch hours) before this one; events that old are no longer taken."""
        for hour in [hour for hour in self.hours if hour < before_hour]:
            del self.hours[hour]

    def to_bytes(self) -> bytes:
        """Sorted 64-bit marks by hour."""
        packed = {hour: np.array(sorted(held), dtype="<i8").tobytes() for hour, held in sorted(self.hours.items())}
        return msgspec.msgpack.encode(packed)

    def load(self, data: bytes) -> None:
        """Take what `to_bytes` wrote."""
        packed = msgspec.msgpack.decode(data, type=dict[int, bytes])
        self.hours = {hour: set(np.frombuffer(raw, dtype="<i8").tolist()) for hour, raw in packed.items()}
