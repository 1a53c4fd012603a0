"""What usage costs, and which source said so (contract, section 2)."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class GpuPrice(Struct, frozen=True, kw_only=True):
    """A row of the book for accelerators: the first whose glob matches the model, and that is in force, wins."""

    model: str  # glob on gpu_model
    usd_per_hour: Decimal
    since: datetime  # `from` in the config


class TokenPrice(Struct, frozen=True, kw_only=True):
    """A row of the book for tokens: the latest in force at the event's time wins."""

    provider: str
    model: str
    since: datetime
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal | None = None  # absent: as input
    cache_write_usd_per_million: Decimal | None = None  # absent: as input


class PriceBook(Struct, frozen=True, kw_only=True):
    """The owner's prices."""

    gpu: tuple[GpuPrice, ...] = ()
    tokens: tuple[TokenPrice, ...] = ()
