"""Telling people: notices are claimed from the outbox, sent, and settled with what the channel answered.

A channel that is down holds up no other. Nothing is said twice: where an earlier attempt may have come through, the
channel is asked before it is sent again. Nothing here sleeps; what is not due yet waits for the next call.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from time import monotonic
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alerts.notices import Channel, Notice, Outcome, Receipt
from store.errors import StoreUnavailable
from store.failpoints import Point, reach

log = structlog.get_logger()

SENDING_TAKES_S = 60.0  # at most: a claim with less time left is not sent any more


class Claimed(Protocol):
    """A notice that is ours to send until the lease runs out."""

    @property
    def notice(self) -> Notice:
        """The notice."""

    @property
    def attempts(self) -> int:
        """How often it was claimed, this time included."""

    @property
    def was_ambiguous(self) -> bool:
        """Whether an earlier attempt may have delivered it."""

    @property
    def reference(self) -> str | None:
        """That of the subject's first delivered notice on the channel."""


class Outbox(Protocol):
    """What delivery needs of the store."""

    def claim_notices(self, channel: str, owner: str, now: datetime, lease_s: float, limit: int) -> Sequence[Claimed]:
        """Take up to `limit` notices that are due on the channel; no one else gets them while the lease lasts."""

    def settle_notice(
        self,
        notice_id: str,
        receipt: Receipt,
        now: datetime,
        retry_at: datetime | None = None,
        owner: str | None = None,
    ) -> bool:
        """Write what became of an attempt; a late answer of a lost lease does not count."""


class Speaking(Protocol):
    """Who decides whether a notice is said."""

    def hush(self, notice: Notice, now: datetime) -> object | None:
        """Hold it back, with a reason that is stored; None: say it."""

    def said(self, notice: Notice, now: datetime) -> None:
        """Take note that it was said."""

    def overtaken(self, notice: Notice, now: datetime) -> bool:
        """After an outage: settle it unsaid where a later one tells the same."""

    def collapse(self, channel: str, now: datetime) -> int:
        """Leave a storm to a summary."""

    def summarize(self, channel: str, now: datetime) -> int:
        """Write the summaries that are due."""


class DeliveryPolicy(Struct, frozen=True, kw_only=True):
    """How often it is tried, and for how long."""

    lease_s: float = 120.0  # longer than any channel takes to answer
    attempts_per_call: int = 20  # for each channel, so that one call ends soon
    turn_s: float = 5.0  # for each channel: then the others have their turn, however much it still has to say
    first_retry_s: float = 5.0  # doubles with each attempt
    longest_retry_s: float = 900.0
    jitter_ratio: float = 0.25  # 0 to 1: a wait is longer by up to this share
    longest_rest_s: float = 60.0  # of a channel that fails, beside each notice's own wait
    expires_s: float = 7 * 86400.0  # by event time: older news is refused, not sent
    unsure_s: float = 86400.0  # by event time: after this, what may have come through is not looked for any more
    min_interval_s: float = 0.0  # between two messages on a channel that `min_intervals_s` does not name


class _Pace(Struct):
    """When a channel may be used again."""

    next_at: datetime | None = None
    rest: timedelta = timedelta(0)  # up to then, from when it was last used
    failures: int = 0  # in a row
    behind: bool = False  # it was away, and has not been told everything since

    def rest_for(self, wait_s: float, now: datetime) -> None:
        """Leave the channel alone for so long."""
        self.rest = timedelta(seconds=wait_s)
        self.next_at = now + self.rest

    def rests(self, now: datetime) -> bool:
        """Whether it must wait still. Where more than the whole rest is left, the clock was set back: it need not."""
        return self.next_at is not None and now < self.next_at <= now + self.rest


class Delivery:
    """Sends what is due. Several may run at once: the claims keep them apart."""

    def __init__(
        self,
        store: Outbox,
        channels: Mapping[str, Channel],
        clock: Callable[[], datetime],
        owner: str,
        *,
        policy: DeliveryPolicy | None = None,
        min_intervals_s: Mapping[str, float] | None = None,
        resend_when_unsure: Collection[str] = (),
        speaking: Speaking | None = None,
        present: Callable[[Claimed], tuple[Notice, str | None]] | None = None,
    ) -> None:
        """`clock`: aware, UTC. `min_intervals_s`: by channel, where its vendor asks for one (Slack: 1).

        `resend_when_unsure`: channels that can't be read back and on which a repeat is better than a loss (mail, whose
        Message-ID is the same). On all others what can't be told is held, looked for again, and refused in the end.
        `speaking`: who holds notices back; None: all are said. `present`: what a claimed one is
        sent as (a notice and a reference), with what is true by now.
        """
        self._store = store
        self._channels = channels
        self._clock = clock
        self._owner = owner
        self._policy = policy or DeliveryPolicy()
        self._min_intervals_s = min_intervals_s or {}
        self._resend_when_unsure = frozenset(resend_when_unsure)
        self._speaking = speaking
        self._present = present or (lambda claimed: (claimed.notice, claimed.reference))
        self._paces = {name: _Pace() for name in channels}
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()  # by channel, since the start

    def deliver_due(self, may_send: Callable[[], bool] = lambda: True) -> int:
        """Try what is due on every channel; return how many attempts were made.

        `may_send` is asked before each claim and again right before each sending: a process that was stopped for a
        while says nothing that another has taken over. Raises what the store raises; what was claimed is then ambiguous
        once its lease runs out.
        """
        return sum(self._deliver_on(name, channel, may_send) for name, channel in self._channels.items())

    def _deliver_on(self, name: str, channel: Channel, may_send: Callable[[], bool]) -> int:
        pace, began, attempts = self._paces[name], self._clock(), 0
        if self._speaking is not None and may_send():
            self._speaking.collapse(name, began)
            self._speaking.summarize(name, began)
        while attempts < self._policy.attempts_per_call:
            now = self._clock()
            if pace.rests(now):
                return attempts
            if (now - began).total_seconds() > self._policy.turn_s:
                return attempts
            if not may_send():
                return attempts
            claimed_s = monotonic()
            claimed = self._store.claim_notices(name, self._owner, now, self._policy.lease_s, 1)
            if not claimed:
                pace.behind = False
                return attempts
            if self._held_back(pace, claimed[0], now):
                continue

            def mine(since_s: float = claimed_s) -> bool:
                return monotonic() - since_s < self._policy.lease_s - SENDING_TAKES_S and may_send()

            self._attempt(name, channel, pace, claimed[0], mine)
            attempts += 1
        return attempts

    def _held_back(self, pace: _Pace, claimed: Claimed, now: datetime) -> bool:
        """Whether it is settled without being said. What may have come through already is not held back any more."""
        if self._speaking is None or claimed.was_ambiguous:
            return False
        behind = pace.behind or claimed.attempts > 1
        if behind and self._speaking.overtaken(claimed.notice, now):
            return True
        return self._speaking.hush(claimed.notice, now) is not None

    def _attempt(self, name: str, channel: Channel, pace: _Pace, claimed: Claimed, mine: Callable[[], bool]) -> None:
        notice = claimed.notice
        reach(Point.NOTICE_CLAIMED)
        receipt = self._expired(notice)
        if receipt is None:
            receipt = _say(channel, claimed, self._present, name in self._resend_when_unsure, mine)
        reach(Point.NOTICE_SENT)
        now = self._clock()
        if claimed.was_ambiguous and receipt.outcome is Outcome.AMBIGUOUS and self._unsure_for_too_long(notice, now):
            receipt = replace(receipt, outcome=Outcome.REFUSED, detail=f"may have come through; {receipt.detail}")
        retry_at = None
        if receipt.outcome in (Outcome.RETRY, Outcome.AMBIGUOUS):
            pace.failures += 1
            pace.behind = True
            retry_at = now + timedelta(seconds=self._wait_s(notice, claimed.attempts, receipt))
            pace.rest_for(self._rest_s(name, pace, receipt), now)
        else:
            pace.failures = 0
            pace.rest_for(self._min_interval_s(name), now)
        self._store.settle_notice(notice.notice_id, receipt, now, retry_at, self._owner)
        self.outcomes[name, receipt.outcome] += 1
        if self._speaking is not None and receipt.outcome is Outcome.DELIVERED:
            self._speaking.said(notice, now)
        log.info(
            "notice_attempted",
            notice_id=notice.notice_id,
            channel=name,
            reason=str(notice.reason),
            outcome=str(receipt.outcome),
            attempt=claimed.attempts,
            retry_at=None if retry_at is None else retry_at.isoformat(),
            detail=receipt.detail,
        )

    def _expired(self, notice: Notice) -> Receipt | None:
        age_s = (self._clock() - notice.at).total_seconds()
        if age_s > self._policy.expires_s:
            return Receipt(outcome=Outcome.REFUSED, detail=f"too old to be news: {age_s / 86400:.1f} days")
        return None

    def _unsure_for_too_long(self, notice: Notice, now: datetime) -> bool:
        return (now - notice.at).total_seconds() > self._policy.unsure_s

    def _wait_s(self, notice: Notice, attempts: int, receipt: Receipt) -> float:
        """How long this notice waits: as the channel asks, else twice as long after each attempt."""
        if receipt.retry_after_s is not None:
            return receipt.retry_after_s
        policy = self._policy
        doublings = min(max(attempts - 1, 0), 30)
        wait_s = min(policy.first_retry_s * 2.0**doublings, policy.longest_retry_s)
        return wait_s * (1.0 + policy.jitter_ratio * _share(f"{notice.notice_id}|{attempts}"))

    def _rest_s(self, name: str, pace: _Pace, receipt: Receipt) -> float:
        """How long the whole channel rests: as it asks, else longer with each failure in a row."""
        if receipt.retry_after_s is not None:
            return max(receipt.retry_after_s, self._min_interval_s(name))
        return max(min(2.0 ** min(pace.failures - 1, 30), self._policy.longest_rest_s), self._min_interval_s(name))

    def _min_interval_s(self, name: str) -> float:
        return self._min_intervals_s.get(name, self._policy.min_interval_s)


def _say(
    channel: Channel,
    claimed: Claimed,
    present: Callable[[Claimed], tuple[Notice, str | None]],
    resend_when_unsure: bool,
    mine: Callable[[], bool],
) -> Receipt:
    """Send it, if it is still `mine`; but look first where an earlier attempt may have come through.

    This is the outermost loop of a channel. A channel answers and does not raise; one that does raise has a fault, may
    have sent before it did, and must not take the other channels down with it.
    """
    try:
        notice, reference = present(claimed)
        if claimed.was_ambiguous:
            found = channel.find(notice, reference)
            unsure = found.outcome is Outcome.AMBIGUOUS
            if found.outcome is not Outcome.RETRY and not (unsure and resend_when_unsure):
                return found
            if found.retry_after_s is not None:  # it could not be asked; nothing is known yet
                return replace(found, outcome=Outcome.AMBIGUOUS)
        if not mine():
            kept = Outcome.AMBIGUOUS if claimed.was_ambiguous else Outcome.RETRY
            return Receipt(outcome=kept, detail="not sent: the lease was lost before", retry_after_s=0.0)
        return channel.send(notice, reference)
    except StoreUnavailable:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]  # the error's own text may hold addresses and payloads
        log.error(
            "channel_fault", channel=channel.name, error=type(error).__name__, at=f"{place.filename}:{place.lineno}"
        )
        return Receipt(outcome=Outcome.AMBIGUOUS, detail=f"the channel raised {type(error).__name__}")


def _share(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) / 2**32
