"""A message as a transport hands it over: bytes and their place. No transport is known here."""

from datetime import datetime

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """One message: one event, or an envelope of many."""

    topic: str  # the logical input: "gpu.samples", "token.usage", "billing.charges" or "ops.changes"
    partition: int
    offset: int
    arrived_at: datetime  # the clock against which "in the future" is judged
    value: bytes
    key: bytes | None = None
