"""A channel that misbehaves as told, and remembers what people saw."""

from collections.abc import Callable

from alerts.notices import Notice, Outcome, Receipt


class Died(BaseException):
    """The process is no more; nothing in it can catch this."""


MISDEEDS = (
    "retry",  # certainly not delivered
    "lost",  # timed out before it was accepted
    "answer lost",  # timed out after it was accepted
    "refused",
    "raises",
    "raises late",  # a fault after it was accepted
    "dies",  # the process, before it was accepted
    "dies late",  # the process, after it was accepted
)
RACES = (  # another process is about its delivery meanwhile
    "slow answer",  # accepted, answered when the lease had run out and another had its turn
    "another comes",  # and finds the notice taken, before it is accepted
    "late answer",  # of one whose lease had run out long before, comes before this is accepted; then a third comes
)
BLINDNESSES = ("can't be asked", "can't be told")
Meanwhile = Callable[[str, str], None]


class Misbehaving:
    """Does the next misdeed it was told, else what a channel should."""

    def __init__(self, name: str, meanwhile: Meanwhile) -> None:
        """`meanwhile` is told the channel and the race, for others to do what they do in it."""
        self.name, self._meanwhile = name, meanwhile
        self.seen: list[Notice] = []
        self.misdeeds: list[str] = []
        self.blind: list[str] = []
        self.refused: set[str] = set()

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        misdeed = self.misdeeds.pop(0) if self.misdeeds else ""
        if misdeed == "retry":
            return Receipt(outcome=Outcome.RETRY, retry_after_s=30.0)
        if misdeed == "lost":
            return Receipt(outcome=Outcome.AMBIGUOUS, detail="timed out")
        if misdeed == "refused":
            self.refused.add(notice.notice_id)
            return Receipt(outcome=Outcome.REFUSED, detail="channel_not_found")
        if misdeed == "raises":
            raise RuntimeError("a fault")
        if misdeed == "dies":
            raise Died
        if misdeed in ("another comes", "late answer"):
            self._meanwhile(self.name, misdeed)
        self.seen.append(notice)
        if misdeed == "answer lost":
            return Receipt(outcome=Outcome.AMBIGUOUS, detail="timed out")
        if misdeed == "slow answer":
            self._meanwhile(self.name, misdeed)
        if misdeed == "raises late":
            raise RuntimeError("a fault")
        if misdeed == "dies late":
            raise Died
        return Receipt(outcome=Outcome.DELIVERED, reference=f"{self.name}:{len(self.seen)}")

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        blindness = self.blind.pop(0) if self.blind else ""
        if blindness == "can't be asked":
            return Receipt(outcome=Outcome.RETRY, retry_after_s=20.0)
        if blindness == "can't be told":
            return Receipt(outcome=Outcome.AMBIGUOUS)
        if notice.notice_id in [one.notice_id for one in self.seen]:
            return Receipt(outcome=Outcome.DELIVERED, reference=f"{self.name}:found")
        return Receipt(outcome=Outcome.RETRY)

    def heal(self) -> None:
        self.misdeeds, self.blind = [], []
