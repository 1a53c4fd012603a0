"""What is told to a channel, and what a channel answers."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from alerts.incidents import Incident, Step
from alerts.reasons import Reason


class Notice(Struct, frozen=True, kw_only=True):
    """One thing to tell one channel: a row of the outbox.

    `notice_id` is deterministic, so that the same decision made twice is one row. `body` is the JSON of the
    subject as it stood when the decision was made (an Incident, a Digest or an Action).
    """

    notice_id: str
    channel: str  # name of the channel in the config
    subject: str  # "incident", "digest" or "action"
    subject_id: str
    transition: int  # order among the notices of one subject
    step: str  # a Step, or the step of an action, or "digest"
    reason: Reason
    title: str  # plain text that begins with money; all that a push notification shows
    at: datetime  # event time of the decision
    body: bytes = b"{}"


class Outcome(StrEnum):
    """What became of one attempt to send."""

    DELIVERED = "delivered"
    RETRY = "retry"  # certainly not delivered; try again
    AMBIGUOUS = "ambiguous"  # may have been delivered; look before sending again
    REFUSED = "refused"  # will never be accepted as it is


class Receipt(Struct, frozen=True, kw_only=True):
    """A channel's answer. `reference` finds the message again (Slack: `channel:ts`)."""

    outcome: Outcome
    reference: str | None = None
    retry_after_s: float | None = None
    detail: str = ""  # for operators; never a secret, never a payload


class Channel(Protocol):
    """A way to reach people. It keeps the vendor's rules, and never raises for what the vendor answers."""

    name: str

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Say it. `reference` is that of the subject's first message on this channel, None where there is none."""

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """After an ambiguous send: DELIVERED if it is there, RETRY if it is not, AMBIGUOUS if that can't be told."""


__all__ = ["Channel", "Incident", "Notice", "Outcome", "Reason", "Receipt", "Step"]
