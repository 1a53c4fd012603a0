"""How much a message of metrics holds, where some of it was set aside: is it a bad one, or a good one with a flaw?"""

from streams.formats.otlp_json import number_of_points
from streams.formats.points import Malformed
from streams.formats.sniff import Format, sniff
from streams.formats.wire import BYTES, fields

_KINDS = frozenset({5, 7, 9, 10, 11})  # gauge to summary, in a metric of OTLP


def points_in(message: bytes) -> int:
    """Points in a message of OTLP or remote_write; 1 of anything else, and of what can't be read."""
    try:
        if message[:1] == b"\n":
            return max(_in_protobuf(message), 1)
        return max(number_of_points(message), 1) if sniff(message) is Format.OTLP_JSON else 1
    except Malformed:
        return 1


def _in_protobuf(message: bytes) -> int:
    if sniff(message) is not Format.OTLP_PROTO:
        return len([1 for number, *_ in fields(message, 0, len(message)) if number == 1])
    regions = [(0, len(message))]
    for wanted in ((1,), (2,), (2,), _KINDS, (1,)):  # resource, scope, metric, its kind, its points
        regions = [
            (first, last)
            for begin, end in regions
            for number, wire, first, last in fields(message, begin, end)
            if wire == BYTES and number in wanted
        ]
    return len(regions)
