"""Influx line protocol, as Telegraf writes it by default: `measurement,tag=a field=1i,other=2.5 nanoseconds`."""

import re

from streams.formats.flat import Flat, epoch_ms
from streams.formats.points import Malformed, Points

MOST_LINES = 20_000
_LINE = re.compile(
    r"(?P<name>(?:[^,\\ ]|\\.)+)"
    r"(?P<tags>(?:,(?:[^=,\\ ]|\\.)+=(?:[^,\\ ]|\\.)+)*)"
    r" +(?P<fields>(?:[^ \"\\]|\\.|\"(?:[^\"\\]|\\.)*\")+)"
    r"(?: +(?P<at>-?\d{1,20}))? *"
)
_TAG = re.compile(r",((?:[^=,\\]|\\.)+)=((?:[^,\\]|\\.)+)")
_FIELD = re.compile(r"((?:[^=,\\]|\\.)+)=(\"(?:[^\"\\]|\\.)*\"|[^,\"]+)(?:,|$)")
_ESCAPED = re.compile(r"\\([,= \"\\])")


def read(flat: Flat, data: bytes) -> Points:
    """The points of one or many lines. Raises Malformed."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Malformed("no influx line protocol: it is not UTF-8") from None
    if len(lines) > MOST_LINES:
        raise Malformed(f"{len(lines)} lines in one message, the limit is {MOST_LINES}")
    found = Points([], [])
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            parts = _LINE.fullmatch(line)
            if parts is None:
                raise Malformed(f"no influx line protocol: line {number}")
            tags = {_plain(key): _plain(value) for key, value in _TAG.findall(parts["tags"])}
            fields = {_plain(key): _number(value) for key, value in _FIELD.findall(parts["fields"])}
            at_ms = 0 if parts["at"] is None else epoch_ms(float(parts["at"]))
            flat.measurement(found, _plain(parts["name"]), fields, tags, at_ms)
    return found


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _number(text: str) -> float | str:
    try:
        return float(text[:-1] if text[-1:] in "iu" else text)
    except ValueError:
        return text
