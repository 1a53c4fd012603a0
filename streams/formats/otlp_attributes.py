"""Attributes of OTLP in protobuf: a key, and a value as text."""

from streams.formats.wire import BYTES, DOUBLE, FIXED64, VARINT, fields, text

ATTRIBUTE_TAG = 0x3A


def framed(part: bytes) -> bytes:
    """An attribute as a point of a gauge or a sum holds it, if its writer takes the shortest way."""
    size = len(part)
    head = bytearray((ATTRIBUTE_TAG,))
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + part


def attribute(data: bytes, begin: int, end: int) -> tuple[str, str | None]:
    """A key and its value as text; None for a value that is a list, a map or bytes."""
    key, value = "", None
    for number, wire, first, last in fields(data, begin, end):
        if number == 1 and wire == BYTES:
            key = text(data, first, last)
        elif number == 2 and wire == BYTES:
            for kind, form, content, after in fields(data, first, last):
                if kind == 1 and form == BYTES:
                    value = text(data, content, after)
                elif kind == 2 and form == VARINT:
                    value = "true" if content else "false"
                elif kind == 3 and form == VARINT:
                    value = str(content - (1 << 64) if content >= 1 << 63 else content)
                elif kind == 4 and form == FIXED64:
                    value = f"{DOUBLE.unpack_from(data, content)[0]:g}"
                else:
                    value = None
    return key, value
