"""Messages in portions: by partition, by size, and less what has to be read again. Pure: values in, values out."""

from collections.abc import Iterable, Iterator

from streams.records import Messages, Record, Slice

BITE_BYTES = 4 * 1024 * 1024  # of messages that are decoded at a time


def by_partition(messages: Messages) -> dict[int, Messages]:
    """The messages of each partition, in order."""
    if isinstance(messages, Slice):
        return {messages.partition: messages}
    parts: dict[int, list[Record]] = {}
    for record in messages:
        parts.setdefault(record.partition, []).append(record)
    return dict(parts)


def bites(messages: Messages) -> Iterator[Messages]:
    """A slice in pieces of so many bytes that the events in them need little memory; single records stay together."""
    if not isinstance(messages, Slice) or sum(map(len, messages.values)) <= BITE_BYTES:
        yield messages
        return
    first, size = 0, 0
    for place, value in enumerate(messages.values):
        if size and size + len(value) > BITE_BYTES:
            yield messages.cut(first, place)
            first, size = place, 0
        size += len(value)
    yield messages.cut(first, len(messages))


def bitten(parts: Iterable[Messages]) -> Iterator[Messages]:
    """Each of the parts in such pieces."""
    for part in parts:
        yield from bites(part)


def leave_out(left_out: dict[str, int], messages: Messages) -> None:
    """Note the first message of each topic that has to be read again."""
    if isinstance(messages, Slice):
        if len(messages):
            left_out.setdefault(messages.topic, messages.offsets[0])
        return
    for record in messages:
        left_out.setdefault(record.topic, record.offset)


def after_seek(left_out: dict[str, int], messages: Messages) -> Messages:
    """The messages less those that lie beyond what was left out: the transport has not gone back to that yet."""
    if not left_out or not len(messages):
        return messages
    if isinstance(messages, Slice):
        if messages.offsets[0] > left_out.get(messages.topic, messages.offsets[0]):
            return messages.cut(0, 0)
        left_out.pop(messages.topic, None)
        return messages
    kept = []
    for record in messages:
        if record.offset <= left_out.get(record.topic, record.offset):
            left_out.pop(record.topic, None)
            kept.append(record)
    return kept
