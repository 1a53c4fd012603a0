"""How much of a partition may be set aside before it stops: a producer that has gone wrong must not empty its log.

A message counts as bad when at least half of its events could not be used. The limit is on bad messages in a row, and
on their share of the latest ones. Pure counting: where it trips depends on the messages alone, not on how they are cut.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import DecodeError, Struct

from store.facts import RejectRow
from streams.formats.native import elements
from streams.records import Messages, Record, Refused, Slice


class PoisonLimit(Struct, frozen=True, kw_only=True):
    """How many bad messages are borne; one more stops the partition."""

    max_in_a_row: int = 1_000
    max_ratio: float = 0.5  # of the latest `window` messages
    window: int = 10_000  # messages; the first ones count as if good ones had come before


class Trip(Struct, frozen=True, kw_only=True):
    """The limit was passed: by the message at `topic` and `offset`, and why, in words."""

    topic: str
    offset: int
    arrived_ms: int
    bad_messages: int
    of_messages: int  # the latest so many; as many as are bad where they came in a row
    reason: str


class Poison:
    """Counts the bad messages of one input. Memory is bounded by the window."""

    def __init__(self, limit: PoisonLimit) -> None:
        """Nothing is counted yet."""
        self.limit = limit
        self._seen = 0  # messages
        self._in_a_row = 0
        self._last = -1  # number of the latest bad one
        self._recent: deque[int] = deque()  # numbers of the bad ones within the window

    @property
    def is_clean(self) -> bool:
        """Whether none of the latest messages was bad."""
        return not self._recent

    @property
    def room(self) -> int:
        """How many messages can come before the limit could be passed; at least 1."""
        in_a_row = self._in_a_row if self._last == self._seen - 1 else 0
        spare = min(self.limit.max_in_a_row - in_a_row, self._most - len(self._recent))
        return max(spare, 0) + 1

    def take(self, messages: int, bad: Sequence[int]) -> tuple[int, int, int] | None:
        """Count messages, of which those at the places `bad` (rising, from 0) could not be used.

        Returns None, or, where the limit was passed: at which place, by how many bad ones, and of how many messages.
        """
        passed = None
        for place in bad:
            number = self._seen + place
            self._in_a_row = self._in_a_row + 1 if number == self._last + 1 else 1
            self._last = number
            self._recent.append(number)
            self._forget(number)
            if passed is None and self._in_a_row > self.limit.max_in_a_row:
                passed = place, self._in_a_row, self._in_a_row
            elif passed is None and len(self._recent) > self._most:
                passed = place, len(self._recent), self.limit.window
        self._seen += messages
        self._forget(self._seen - 1)
        return passed

    @property
    def most_of_interest(self) -> int:
        """So many bad ones in a row count as much as any larger number of them."""
        return self.limit.window + self.limit.max_in_a_row + 1

    @property
    def _most(self) -> int:
        return int(self.limit.max_ratio * self.limit.window)

    def _forget(self, latest: int) -> None:
        while self._recent and self._recent[0] <= latest - self.limit.window:
            self._recent.popleft()


class PoisonGuard:
    """The counts of one partition: of each of its topics, or of all of them together."""

    def __init__(self, limit: PoisonLimit, *, together: bool = False, allowance: int = 0) -> None:
        """`together`: topics that share one log are counted as one.

        `allowance`: so many bad ones, of all topics, are let through, and not counted, before counting begins.
        """
        self.limit, self.together, self.allowance = limit, together, allowance
        self._counts: dict[str, Poison] = {}

    def parts(self, messages: Messages) -> Iterator[Messages]:
        """The messages in pieces to be observed and judged one after the other, in order.

        A healthy input is not cut. Once something of it was set aside, no piece is longer than what could pass the
        limit, so that it stops at the very message that does.
        """
        for run in _runs(messages, self.together):
            first, count = 0, self._count(run)
            while first < len(run):
                end = len(run) if count.is_clean else min(len(run), first + count.room + self.allowance)
                yield _cut(run, first, end)
                first = end

    def judge(self, part: Messages, rejects: Sequence[RejectRow]) -> Trip | None:
        """Count a piece, of which `rejects` were set aside; returns what passed the limit, or None."""
        passed = self._take(self._count(part), len(part), _bad_places(part, rejects) if rejects else ())
        if passed is None:
            return None
        offset, arrived_ms = _place(part, passed[0])
        topic = part.topic if isinstance(part, Slice) else part[passed[0]].topic
        return self._trip(topic, offset, arrived_ms, passed)

    def judge_refused(self, refused: Refused) -> Trip | None:
        """Count messages that can't be had, every one of them as a bad one; returns what passed the limit, or None."""
        count = self._count_of(refused.topic)
        most = self.allowance + count.most_of_interest
        number = min(refused.last - refused.first + 1, most)  # a damaged batch may claim to hold billions
        passed = self._take(count, number, range(number))
        if passed is None:
            return None
        arrived_ms = round(refused.at.timestamp() * 1000)
        return self._trip(refused.topic, refused.first + passed[0], arrived_ms, passed)

    def _take(self, count: Poison, messages: int, bad: Sequence[int]) -> tuple[int, int, int] | None:
        let_through = min(self.allowance, len(bad))
        self.allowance -= let_through
        return count.take(messages, bad[let_through:])

    def _trip(self, topic: str, offset: int, arrived_ms: int, passed: tuple[int, int, int]) -> Trip:
        _, bad, of = passed
        how = "messages in a row" if bad == of else f"of the latest {of:,} messages"
        most = f"{self.limit.max_in_a_row:,}" if bad == of else f"{100 * self.limit.max_ratio:g} %"
        return Trip(
            topic=topic,
            offset=offset,
            arrived_ms=arrived_ms,
            bad_messages=bad,
            of_messages=of,
            reason=f"{bad:,} {how} of {topic} could not be used, the limit is {most}",
        )

    def _count(self, run: Messages) -> Poison:
        return self._count_of(run.topic if isinstance(run, Slice) else run[0].topic)

    def _count_of(self, name: str) -> Poison:
        topic = "" if self.together else name
        if topic not in self._counts:
            self._counts[topic] = Poison(self.limit)
        return self._counts[topic]


def _runs(messages: Messages, together: bool) -> Iterator[Messages]:
    if not len(messages):
        return
    if isinstance(messages, Slice) or together:
        yield messages
    else:
        for _, run in groupby(messages, key=lambda record: record.topic):
            yield list(run)


def _cut(messages: Messages, first: int, end: int) -> Messages:
    if first == 0 and end == len(messages):
        return messages
    return messages.cut(first, end) if isinstance(messages, Slice) else messages[first:end]


def _bad_places(part: Messages, rejects: Sequence[RejectRow]) -> list[int]:
    faults: dict[tuple[str, int], int] = {}
    for reject in rejects:
        key = (reject.topic, reject.offset)
        faults[key] = faults.get(key, 0) + 1
    bad = []
    for place in range(len(part)):
        topic, offset, value = _message(part, place)
        number = faults.get((topic, offset), 0)
        if number and 2 * number >= _events(value):
            bad.append(place)
    return bad


def _message(part: Messages, place: int) -> tuple[str, int, bytes]:
    if isinstance(part, Slice):
        return part.topic, part.offsets[place], part.values[place]
    record: Record = part[place]
    return record.topic, record.offset, record.value


def _place(part: Messages, place: int) -> tuple[int, int]:
    if isinstance(part, Slice):
        return part.offsets[place], part.arrived_ms[place]
    return part[place].offset, round(part[place].arrived_at.timestamp() * 1000)


def _events(value: bytes) -> int:
    """How many events a message holds; one that can't be decoded counts as one."""
    try:
        return len(elements(value))
    except (DecodeError, RecursionError, ValueError):
        return 1
