"""Who hears of an incident, and why: matchers and routes as in Alertmanager. Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step, Transition
from alerts.matching import Matcher, Op, all_match, labels_of
from alerts.notices import Notice


class Why(StrEnum):
    """Why an incident went to a channel, or to none."""

    ROUTE = "route"  # a route matched
    DEFAULT = "default"  # no route matched: the default channels
    INFO_DIGEST_ONLY = "info_digest_only"  # info goes to the digest, unless a route names it
    NO_CHANNEL = "no_channel"  # no route matched and there is no default channel


class Route(Struct, frozen=True, kw_only=True):
    """Channels for the incidents that match. One without matchers is the catch-all."""

    match: tuple[Matcher, ...] = ()
    to: tuple[str, ...] = ()  # names of channels
    continue_: bool = False  # look at the routes below as well

    @property
    def names_info(self) -> bool:
        """Whether it asks for incidents of severity info in so many words."""
        return any(
            matcher.label == "severity" and matcher.op in (Op.EQUAL, Op.MATCHES) and matcher.matches(Severity.INFO)
            for matcher in self.match
        )


class Verdict(Struct, frozen=True):
    """One reason for an incident's way: the route's number (from 1) where a route is the reason."""

    why: Why
    channels: tuple[str, ...] = ()
    route: int | None = None
    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        where = f" {self.route} {{{', '.join(map(str, self.matchers))}}}" if self.route is not None else ""
        return f"{self.why}{where}: {', '.join(self.channels) or 'nobody is told'}"


class Router:
    """The routes in their order. The first that matches decides, unless it says to go on."""

    def __init__(self, routes: Sequence[Route], default: tuple[str, ...], title: Callable[[Incident], str]) -> None:
        """`default`: channels for what no route matches; `title`: the line that begins a message with money."""
        self._routes = tuple(routes)
        self._default = default
        self._title = title

    def decide(self, transition: Transition) -> list[Notice]:
        """Make a notice for each channel that hears of this change, in the order of the routes.

        Whoever was told of an incident hears of its changes, even if it would go elsewhere by now; and nobody else
        hears of its end. The same transition gives the same notices, always.
        """
        incident = transition.incident
        forms = [replace(incident, severity=s.severity, cause=s.cause, team=s.team) for s in transition.spoken]
        channels = _each_once(channel for form in (incident, *forms) for channel in self.channels(form))
        if transition.step is Step.RESOLVED and forms:
            told = {channel for form in forms for channel in self.channels(form)}
            channels = tuple(channel for channel in channels if channel in told)
        title, body = self._title(incident), json.encode(incident)
        return [
            Notice(
                notice_id=notice_id(incident, transition.step, channel),
                channel=channel,
                subject="incident",
                subject_id=incident.incident_id,
                transition=incident.transition,
                step=transition.step,
                reason=transition.reason,
                title=title,
                at=_moment(transition),
                body=body,
            )
            for channel in channels
        ]

    def channels(self, incident: Incident) -> tuple[str, ...]:
        """Name the channels that the incident goes to as it stands, each once."""
        return _each_once(channel for verdict in self.verdicts(incident) for channel in verdict.channels)

    def explain(self, incident: Incident) -> list[str]:
        """Say in words why the incident goes where it goes, one line for each reason."""
        return [str(verdict) for verdict in self.verdicts(incident)]

    def verdicts(self, incident: Incident) -> list[Verdict]:
        """Give the reasons for the incident's way, as values; there is always one."""
        found: list[Verdict] = []
        labels = labels_of(incident)
        quiet = incident.severity is Severity.INFO
        for number, route in enumerate(self._routes, start=1):
            if not all_match(route.match, labels) or (quiet and not route.names_info):
                continue
            found.append(Verdict(Why.ROUTE, route.to, number, route.match))
            if not route.continue_:
                break
        if found:
            return found
        if quiet:
            return [Verdict(Why.INFO_DIGEST_ONLY)]
        return [Verdict(Why.DEFAULT, self._default) if self._default else Verdict(Why.NO_CHANNEL)]


def notice_id(incident: Incident, step: Step, channel: str) -> str:
    """`<incident>:<transition>:<channel>`; what people set shares its transition and has a name of its own."""
    mark = _MARKS.get(step, "")
    if step is Step.SNOOZED and incident.snoozed_until is not None:
        mark += f"{incident.snoozed_until:%Y%m%d%H%M%S}"
    return f"{incident.incident_id}:{incident.transition}{mark}:{channel}"


_MARKS = {Step.ACKNOWLEDGED: "a", Step.SNOOZED: "s", Step.EXPECTED: "x"}


def _moment(transition: Transition) -> datetime:
    incident = transition.incident
    if transition.step is Step.ACKNOWLEDGED and incident.acknowledged_at is not None:
        return incident.acknowledged_at
    if transition.step is Step.EXPECTED and incident.expected_at is not None:
        return incident.expected_at
    return incident.updated_at


def _each_once(channels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(channels))


__all__ = ["Matcher", "Op", "Route", "Router", "Verdict", "Why", "notice_id"]
