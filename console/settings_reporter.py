"""From what the readers of a config file found to problems that a person can mend."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from console.redaction import HIDDEN, redact
from console.settings_errors import Problem
from console.settings_sources import Note, Sources
from console.settings_types import Section, shown
from console.settings_yaml import Document, Place, Resolved, YamlFault

_KINDS = {
    "model_type": "a mapping of options",
    "model_attributes_type": "a mapping of options",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
}
_SHORTEST_SECRET = 4
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


class _Spot(NamedTuple):
    """Where an error lies: the option's path, the mapping or list around it, its last step, its place."""

    option: str
    container: Any
    step: str | int | None
    place: Place | None


class Reporter:
    """Turns what the readers found into problems of one file; one problem a place and option."""

    def __init__(self, file: str, document: Document, sources: Sources) -> None:
        """For this file, as read."""
        self._file = file
        self._document = document
        self._sources = sources
        self._found: dict[tuple[Place | None, str], Problem] = {}

    @property
    def problems(self) -> list[Problem]:
        """All that was reported."""
        return list(self._found.values())

    def add_yaml(self, fault: YamlFault) -> None:
        """A fault of the file as YAML."""
        self._add(fault.place, fault.option, fault.got, fault.meant)

    def add_invalid(self, error: ValidationError) -> None:
        """Every fault that the models found."""
        for details in error.errors(include_url=False):
            self._add_details(details)

    def add_note(self, note: Note) -> None:
        """A secret that could not be had."""
        for path, container in _containers(self._document.root):
            if container is note.container:
                place = self._document.value_place(container, note.option) or self._place_of(path)
                self._add(place, _join((*path, note.option)), note.got, note.meant)
                return

    def add_at(
        self, path: tuple[str | int, ...], got: str, meant: str, known: Iterable[str] = (), word: str = ""
    ) -> None:
        """A fault at an option of the file, with the words among which `word` was probably meant."""
        self._add(self._place_of(path), _join(path), got, meant, _nearest(word, known))

    def _add(self, place: Place | None, option: str, got: str, meant: str, nearest: str | None = None) -> None:
        key = (place, option)
        if key in self._found:
            return
        line, column = place or (None, None)
        if nearest is not None and nearest != self._hidden(nearest):
            nearest = None
        self._found[key] = Problem(
            file=self._file,
            line=line,
            column=column,
            option=self._hidden(option),
            got=self._hidden(got),
            meant=self._hidden(meant),
            nearest=nearest,
        )

    def _hidden(self, text: str) -> str:
        """Text as it may be shown: one line, without secrets, without anything that a terminal would obey."""
        for value in sorted(self._sources.revealed, key=len, reverse=True):
            if len(value) >= _SHORTEST_SECRET:
                text = text.replace(value, HIDDEN)
        visible = "".join(letter if letter.isprintable() else "?" for letter in redact(text))
        return visible if len(visible) <= 300 else visible[:297] + "..."

    def _place_of(self, path: tuple[str | int, ...]) -> Place | None:
        return self._walk(path).place

    def _walk(self, steps: Iterable[str | int]) -> _Spot:
        """Follow an error's location through the file; steps that are not in it (tags of unions) are skipped."""
        node: Any = self._document.root
        container: Any = None
        last: str | int | None = None
        path: list[str | int] = []
        place: Place | None = Place(1, 1)
        for step in steps:
            inside = step in node if isinstance(node, dict) else isinstance(node, list) and step in range(len(node))
            if inside:
                container, last = node, step
                place = self._document.value_place(node, step)
                node = node[step]
                path.append(step)
        return _Spot(_join(path), container, last, place)

    def _node(self, steps: Iterable[str | int]) -> Any:
        spot = self._walk(steps)
        return self._document.root if spot.step is None else spot.container[spot.step]

    def _add_details(self, details: ErrorDetails) -> None:
        kind, context, steps = details["type"], details.get("ctx", {}), details["loc"]
        if kind == "emberwatch":
            self._add_own(steps, context, details["input"])
        elif kind == "extra_forbidden":
            self._add_unknown(steps)
        elif kind == "missing":
            self._add_missing(steps)
        elif kind in ("union_tag_not_found", "union_tag_invalid"):
            self._add_tag(steps, context, details["input"])
        else:
            spot = self._walk(steps)
            known = _quoted(str(context.get("expected", ""))) if kind == "literal_error" else ()
            word = details["input"] if isinstance(details["input"], str) else ""
            self._add(spot.place, spot.option, shown(details["input"]), _meant(details), _nearest(word, known))

    def _add_own(self, steps: tuple[str | int, ...], context: Mapping[str, Any], value: object) -> None:
        spot = self._walk((*steps, context["option"]) if context["option"] else steps)
        known = [word for word in context["known"].split("\n") if word]
        option = context["option"]
        word = option or (re.sub(r"^.*?'(.*)'$", r"\1", context["got"]) if known else "")
        place, path = spot.place, spot.option
        if option and spot.step != option:  # an option that is not written: its default is at fault
            path = f"{path}.{option}" if path else option
        elif option and known and isinstance(spot.container, dict):  # it is the key itself that is unknown
            place = self._document.key_place(spot.container, option)
        if spot.step is not None and isinstance(spot.container[spot.step], Resolved) and path == spot.option:
            self._add(place, path, shown(spot.container[spot.step]), context["meant"])
        else:
            self._add(place, path, context["got"], context["meant"], _nearest(word, known))

    def _add_unknown(self, steps: tuple[str | int, ...]) -> None:
        spot = self._walk(steps)
        model = self._sources.models.get(id(spot.container))
        known = model.option_names() if model is not None and issubclass(model, Section) else ()
        place = self._document.key_place(spot.container, str(spot.step))
        self._add(
            place, spot.option, "an unknown option", f"one of {', '.join(known)}", _nearest(str(spot.step), known)
        )

    def _add_missing(self, steps: tuple[str | int, ...]) -> None:
        around, option = steps[:-1], str(steps[-1])
        spot = self._walk(around)
        model = self._sources.models.get(id(self._node(around)))
        meant = "a value"
        for name, field in (model.model_fields if model is not None else {}).items():
            if option in (name, field.alias):
                meant = field.description or meant
        self._add(spot.place, f"{spot.option}.{option}" if spot.option else option, "nothing: it is missing", meant)

    def _add_tag(self, steps: tuple[str | int, ...], context: Mapping[str, Any], value: object) -> None:
        known = _quoted(str(context.get("expected_tags", "")))
        tag = value.get("type") if isinstance(value, dict) else None
        spot = self._walk((*steps, "type"))
        path = spot.option if spot.step == "type" else f"{spot.option}.type"
        meant = (
            f"one of {', '.join(known)}"
            if known
            else "the kind of channel: recorder, terminal, slack, pagerduty or email"
        )
        got = "nothing: it is missing" if tag is None else shown(tag)
        self._add(spot.place, path, got, meant, _nearest(tag if isinstance(tag, str) else "", known))


def _containers(root: Any) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    """Every mapping of the file, with the path that leads to it; an aliased one once."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            yield path, node
        inner = node.items() if isinstance(node, dict) else enumerate(node)
        waiting.extend(((*path, step), value) for step, value in inner)


def _join(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _quoted(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"'([^']*)'", text))


def _nearest(word: str, known: Iterable[str]) -> str | None:
    lower = {name.lower(): name for name in known}
    close = get_close_matches(word[:100].lower(), lower, n=1, cutoff=0.5) if word else []
    return lower[close[0]] if close else None


def _meant(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    for limit, words in _LIMITS.items():
        if limit in context:
            return f"{words} {_bound(context[limit])}"
    if kind == "literal_error":
        return f"one of {', '.join(_quoted(str(context['expected'])))}"
    if kind == "string_pattern_mismatch":
        return f"text that matches {context['pattern']}"
    if "min_length" in context:
        return f"at least {context['min_length']} of them" if kind == "too_short" else "text that is not empty"
    if "max_length" in context:
        return f"at most {context['max_length']} characters"
    return details["msg"].removeprefix("Input should be ")


def _bound(value: object) -> str:
    return f"{value:,.15g}" if isinstance(value, int | float) else str(value)
