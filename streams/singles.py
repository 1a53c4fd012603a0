"""Single messages, as Faust's own transport hands them over: withheld from its acknowledgement, and made pieces."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from streams.pieces import Piece


class Message(Protocol):
    """A message as Faust has it."""

    partition: int
    offset: int
    timestamp: float
    key: Any
    value: Any
    generation_id: Any
    acked: bool


def withhold(messages: Sequence[Message]) -> None:
    """Keep Faust from committing these: to it, they look acknowledged already."""
    for message in messages:
        message.acked = True


def give_free(messages: Sequence[Message]) -> None:
    """Let Faust acknowledge these when the slice ends, and so move Kafka's committed offset."""
    for message in messages:
        message.acked = False


def runs(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Messages of one partition each, by rising offset, in the order in which they came.

    Where the offsets fall back, the transport has gone back: what came before that is not followed by what comes after,
    and sorting the two into one would hide whatever lies between them.
    """
    parts: dict[int, list[list[Message]]] = {}
    for message in messages:
        own = parts.setdefault(message.partition, [])
        if own and own[-1][-1].offset < message.offset:
            own[-1].append(message)
        else:
            own.append([message])
    for partition in sorted(parts):
        yield from parts[partition]


def piece_of(messages: Sequence[Message]) -> Piece:
    """Messages that arrived one by one, as columns."""
    return Piece(
        first=messages[0].offset,
        after=messages[-1].offset + 1,
        offsets=[message.offset for message in messages],
        stamped_ms=[round((message.timestamp or 0.0) * 1000) for message in messages],
        values=[message.value or b"" for message in messages],
        keys=[message.key for message in messages],
    )
