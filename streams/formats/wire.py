"""The protobuf wire format, read in place: fields of a message by number, without building objects."""

from collections.abc import Iterator
from struct import Struct

from streams.formats.points import Malformed

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DOUBLE, LONG, UNSIGNED = Struct("<d"), Struct("<q"), Struct("<Q")
MOST_VARINT_BYTES = 10


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number that ends before `end`, and where it ends. Raises Malformed."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift >= 7 * MOST_VARINT_BYTES:
            raise Malformed("no protobuf: a number of more than ten bytes")
    raise Malformed("no protobuf: it ends inside a number")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field's number, wire type, and where its content begins and ends; of a varint: its value, and its end.

    Raises Malformed.
    """
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(data, at - 1, end)
        wire = tag & 7
        if tag < 8:
            raise Malformed("no protobuf: a field without a number")
        if wire == BYTES:
            size, at = varint(data, at, end)
            if size > end - at:
                raise Malformed("no protobuf: a field is longer than what holds it")
            yield tag >> 3, wire, at, at + size
            at += size
        elif wire == VARINT:
            value, at = varint(data, at, end)
            yield tag >> 3, wire, value, at
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            if size > end - at:
                raise Malformed("no protobuf: it ends inside a field")
            yield tag >> 3, wire, at, at + size
            at += size
        else:
            raise Malformed(f"no protobuf: wire type {wire}")


def text(data: bytes, begin: int, end: int) -> str:
    """A string field. Raises Malformed where it is not UTF-8."""
    try:
        return data[begin:end].decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None
