"""YAML text to plain values that remember where they stand in the file.

Numbers keep their literal text, `${env:NAME}` and `${file:PATH}` are resolved, and every fault is noted with its
place instead of being raised: the rest of the file is read all the same.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)


class Place(NamedTuple):
    """Where something stands in the file; both count from 1."""

    line: int
    column: int


class WrittenFloat(float):
    """A number with a fraction, and the text that it was written as: money is read from the text."""

    text: str

    def __new__(cls, text: str) -> Self:
        """The number that the text says. Raises ValueError."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class Resolved(str):
    """Text that came from a reference, and so may be a secret: it is never shown."""

    __slots__ = ()


class ReferenceFault(Exception):
    """A reference that leads nowhere. The message names the reference, never its value."""


class YamlFault(NamedTuple):
    """Something wrong with the file as YAML."""

    place: Place | None
    option: str
    got: str
    meant: str


class Document:
    """A file as plain values (`root`), the places of its keys and values, and what is wrong with it."""

    def __init__(self, text: str, resolve: Callable[[str], str]) -> None:
        """Read the text. `resolve` gives the value of `env:NAME` or `file:PATH`, or raises ReferenceFault."""
        self.root: Any = None
        self.faults: list[YamlFault] = []
        self._resolve = resolve
        self._key_places: dict[tuple[int, str], Place] = {}
        self._value_places: dict[tuple[int, str | int], Place] = {}
        self._values: dict[int, Any] = {}  # node -> value, so that an alias is one value and not a copy
        self._open: set[int] = set()
        node = self._compose(text)
        if node is not None:
            self.root = self._value(node, "")
        del self._values

    def key_place(self, container: Any, key: str) -> Place | None:
        """Where a key of a mapping of this document stands."""
        return self._key_places.get((id(container), key))

    def value_place(self, container: Any, key: str | int) -> Place | None:
        """Where the value under a key or index stands."""
        return self._value_places.get((id(container), key))

    def _compose(self, text: str) -> Node | None:
        yaml = YAML(typ="safe", pure=True)
        try:
            node: Node | None = yaml.compose(text)
        except MarkedYAMLError as error:  # its own text quotes the line, which may hold a secret
            mark = error.problem_mark or error.context_mark
            begun = f" (begun on line {error.context_mark.line + 1})" if error.context_mark else ""
            got = f"YAML that can't be read: {error.problem or 'unknown'}, {error.context or 'somewhere'}{begun}"
            self._note(_place(mark) if mark else None, "", got, "valid YAML")
        except RecursionError:
            self._note(None, "", "YAML that is nested too deeply", "at most a few levels")
        except (YAMLError, ValueError, OverflowError, LookupError, TypeError, AttributeError, AssertionError) as error:
            self._note(None, "", f"YAML that can't be read ({type(error).__name__})", "valid YAML in UTF-8")
        else:
            return node
        return None

    def _note(self, place: Place | None, option: str, got: str, meant: str) -> None:
        self.faults.append(YamlFault(place, option, got, meant))

    def _value(self, node: Node, option: str) -> Any:
        known = id(node)
        if known in self._values:
            return self._values[known]
        if known in self._open:
            self._note(_place(node.start_mark), option, "an alias that contains itself", "a value")
            return None
        self._open.add(known)
        if str(node.tag) not in _PLAIN_TAGS:
            self._note(_place(node.start_mark), option, f"the tag {node.tag}", "plain YAML, without tags")
            value: Any = None
        elif isinstance(node, MappingNode):
            value = self._mapping(node, option)
        elif isinstance(node, SequenceNode):
            value = self._sequence(node, option)
        else:
            value = self._scalar(node, option)
        self._open.discard(known)
        self._values[known] = value
        return value

    def _mapping(self, node: MappingNode, option: str) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                self._note(place, option, "a key that is not text", "an option's name")
                continue
            key = str(key_node.value)
            inner = f"{option}.{key}" if option else key
            if key in mapping:
                first = self._key_places[id(mapping), key]
                self._note(place, inner, f"the option a second time (first on line {first.line})", "each option once")
                continue
            mapping[key] = self._value(value_node, inner)
            self._key_places[id(mapping), key] = place
            nothing = isinstance(value_node, ScalarNode) and not value_node.value
            self._value_places[id(mapping), key] = place if nothing else _place(value_node.start_mark)
        return mapping

    def _sequence(self, node: SequenceNode, option: str) -> list[Any]:
        sequence: list[Any] = []
        for index, item in enumerate(node.value):
            sequence.append(self._value(item, f"{option}[{index}]"))
            self._value_places[id(sequence), index] = _place(item.start_mark)
        return sequence

    def _scalar(self, node: Node, option: str) -> Any:
        text = str(node.value)
        if "${" in text:
            return self._referred(text, node, option)
        kind = str(node.tag).removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            return _number(text, kind)
        return text

    def _referred(self, text: str, node: Node, option: str) -> Resolved:
        def look_up(match: re.Match[str]) -> str:
            try:
                return self._resolve(match[1])
            except ReferenceFault as fault:
                self._note(_place(node.start_mark), option, str(fault), "a reference that can be resolved")
                return ""

        return Resolved(_REFERENCE.sub(look_up, text))


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _number(text: str, kind: str) -> int | float | str:
    digits = text.replace("_", "")
    try:
        if kind == "int":
            return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(digits)
        return WrittenFloat(re.sub(r"^([+-]?)\.(inf|nan)$", r"\1\2", digits, flags=re.IGNORECASE))
    except ValueError:  # thousands of digits
        return text
