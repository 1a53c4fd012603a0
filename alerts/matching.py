"""Matchers on the labels of an incident, as in Alertmanager: `team="search"`, `kind=~"idle|waste"`."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from alerts.incidents import Incident

LABELS = ("kind", "cause", "severity", "team", "workload", "cluster", "namespace", "name", "model", "budget")


class MatcherError(ValueError):
    """A matcher that can't be meant: an unknown label or operator, or a pattern that does not compile."""


class Op(StrEnum):
    """How a matcher compares; patterns must match the whole value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    MATCHES_NOT = "!~"


class Matcher(Struct, frozen=True):
    """One condition on one label. A label that an incident lacks is the empty text."""

    label: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        """Raises MatcherError for a label that no incident has and for a pattern that does not compile."""
        if self.label not in LABELS:
            raise MatcherError(f"a matcher's label is one of {', '.join(LABELS)}; got {self.label!r}")
        if self.op in (Op.MATCHES, Op.MATCHES_NOT):
            try:
                re.compile(self.value)
            except re.error as error:
                raise MatcherError(
                    f"{self.label}{self.op}{self.value!r} is not a regular expression: {error}"
                ) from error

    def __str__(self) -> str:
        return f'{self.label}{self.op}"{self.value}"'

    @classmethod
    def parse(cls, text: str) -> "Matcher":
        """Read `label op value`, the value quoted or not. Raises MatcherError."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise MatcherError(f'a matcher is written team="search" or kind=~"idle|waste"; got {text!r}')
        label, op, value = found.groups()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        return cls(label, Op(op), value[1:-1] if quoted else value)

    def matches(self, value: str) -> bool:
        """Whether this value of the label satisfies the condition."""
        match self.op:
            case Op.EQUAL:
                return value == self.value
            case Op.NOT_EQUAL:
                return value != self.value
            case Op.MATCHES:
                return re.fullmatch(self.value, value) is not None
            case Op.MATCHES_NOT:
                return re.fullmatch(self.value, value) is None


_WRITTEN = re.compile(r"([a-z_]+)\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)


def parse_all(text: str) -> tuple[Matcher, ...]:
    """Read matchers with commas between them; a comma within quotes belongs to its value. Raises MatcherError."""
    parts = re.findall(r"""(?:"[^"]*"|'[^']*'|[^,"'])+""", text)
    return tuple(Matcher.parse(part) for part in parts if part.strip())


def labels_of(incident: Incident) -> dict[str, str]:
    """Every label of `LABELS` with its value for this incident; empty where it does not apply."""
    cluster, _, rest = (incident.workload or "").partition("/")
    namespace, _, name = rest.partition("/")
    return {
        "kind": incident.kind,
        "cause": incident.cause,
        "severity": incident.severity,
        "team": incident.team or "",
        "workload": incident.workload or "",
        "cluster": cluster,
        "namespace": namespace,
        "name": name,
        "model": incident.model or "",
        "budget": incident.budget or "",
    }


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every matcher is satisfied; none at all is satisfied by everything."""
    return all(matcher.matches(labels[matcher.label]) for matcher in matchers)
