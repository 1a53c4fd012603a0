"""Events that were set aside, wherever they lie: in the store (one process) or in the dead-letter topic (Kafka)."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from heapq import nlargest

from msgspec import Struct

from console import assemble
from console.settings import Settings
from store.facts import UNREADABLE
from store.rejects import Place
from store.store import Store
from streams.dead_letter_reader import MAX_REJECT_BYTES, Letter, put_back, read_letters

MOST_AT_ONCE = 500  # letters that are put back and noted together
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events are meant; what is None is any."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    index: int | None = None
    reason: str | None = None  # a fault, or a part of the reason in words
    since: datetime | None = None

    def __call__(self, letter: Letter) -> bool:
        """Whether this one is."""
        one = letter.reject
        pairs = ((self.topic, one.topic), (self.partition, one.partition), (self.offset, one.offset))
        if any(wanted is not None and wanted != had for wanted, had in (*pairs, (self.index, one.index))):
            return False
        if self.since is not None and one.at < self.since:
            return False
        return self.reason is None or self.reason == one.fault or self.reason.lower() in one.reason.lower()


class DeadLetters:
    """Reads what was set aside, and puts it back."""

    def __init__(self, settings: Settings, store: Store, *, in_kafka: bool, bootstrap: str | None = None) -> None:
        """`in_kafka`: they lie in the dead-letter topic, not in the store."""
        self._settings, self._store, self.in_kafka = settings, store, in_kafka
        self._bootstrap = bootstrap or assemble.kafka_bootstrap(settings)
        self._login = assemble.kafka_login(settings)

    def find(self, wanted: Wanted, limit: int) -> tuple[list[Letter], dict[str, int]]:
        """The newest `limit` of them, and how many there are of each fault in all. Raises KafkaUnreachable."""
        counts: dict[str, int] = {}
        seen: set[Place] = set()

        def first_time(letter: Letter) -> bool:
            if not wanted(letter) or letter.place in seen:
                return False
            seen.add(letter.place)
            counts[letter.reject.fault] = counts.get(letter.reject.fault, 0) + 1
            return True

        found = nlargest(limit, filter(first_time, self._all(wanted)), key=lambda one: (one.reject.at, one.place))
        return found, dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def put_back(self, letters: Sequence[Letter], by: str, now: Callable[[], datetime]) -> dict[str, int]:
        """Put them back where they came from, and note it; how many, by topic. Raises KafkaUnreachable."""
        sent: dict[str, int] = {}
        for first in range(0, len(letters), MOST_AT_ONCE):
            some = letters[first : first + MOST_AT_ONCE]
            if self.in_kafka:
                put_back(some, bootstrap=self._bootstrap, login=self._login)
                self._store.mark_replayed([letter.place for letter in some], by, now())
            else:
                self._store.replay_rejects([letter.reject for letter in some], by, now())
            for letter in some:
                sent[letter.reject.topic] = sent.get(letter.reject.topic, 0) + 1
        return sent

    def _all(self, wanted: Wanted) -> Iterator[Letter]:
        if self.in_kafka:
            return read_letters(
                bootstrap=self._bootstrap,
                topic=self._settings.kafka.dead_letter_topic,
                since=wanted.since,
                login=self._login,
            )
        rows = self._store.rejects(
            None, topic=wanted.topic, partition=wanted.partition, offset=wanted.offset, since=wanted.since
        )
        return (
            Letter(reject=row, whole=len(row.payload) < MAX_REJECT_BYTES and row.fault != UNREADABLE) for row in rows
        )


def place_of(text: str) -> Place:
    """A place as it is written, TOPIC/PARTITION/OFFSET[/INDEX]. Raises ValueError."""
    parts = text.rsplit("/", 3) if text.count("/") >= 3 else [*text.rsplit("/", 2), "0"]
    if len(parts) != 4 or not parts[0]:
        raise ValueError(f"{text!r} is no place: write TOPIC/PARTITION/OFFSET/INDEX, such as gpu.samples/3/1042/0")
    try:
        return Place(parts[0], *(int(part) for part in parts[1:]))
    except ValueError:
        raise ValueError(f"{text!r} is no place: partition, offset and index are whole numbers") from None


def escaped(payload: bytes, most: int) -> str:
    """At most `most` bytes as text that no terminal takes for an order: what can't be seen is escaped."""
    text = payload[:most].decode("utf-8", "backslashreplace")
    return "".join(c if c == "\n" or unicodedata.category(c) not in HIDDEN else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
