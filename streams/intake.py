"""What stands behind the door for events by HTTP: an append that either keeps the values or says why it can't."""

from collections.abc import Sequence
from typing import Protocol


class IntakeRefused(Exception):
    """The values were not kept; the sender is to try again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        """Refused, for a reason in words that may be shown to the sender."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IntakeFull(IntakeRefused):
    """More comes in than can be worked off: slow down."""


class IntakeDown(IntakeRefused):
    """The log or the database behind the door can't be reached."""


class Append(Protocol):
    """Keeps values, each one event or an envelope, durably before it returns. Raises IntakeFull or IntakeDown."""

    def __call__(self, values: Sequence[bytes], /, topic: str | None = None) -> None:
        """Keep all of them, or none. `topic`: what they are, where they don't say it themselves."""
