from datetime import UTC, datetime, timedelta

from msgspec import json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Spoken, Step, Transition
from alerts.matching import Matcher
from alerts.notices import Notice, Reason
from alerts.routing import Route, Router
from detectors.findings import Cause, Kind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
INCIDENT = Incident(
    incident_id="inc_a",
    fingerprint="idle|prod/llm/chat||",
    kind=Kind.IDLE,
    cause=Cause.NO_TRAFFIC,
    severity=Severity.WARN,
    began_at=NOON - timedelta(hours=1),
    detected_at=NOON,
    updated_at=NOON,
    workload="prod/llm/chat",
    team="search",
    usd_per_hour=16.0,
)
OPENED = Transition(incident=INCIDENT, step=Step.OPENED, reason=Reason.FIRST_TIME)


def route(*matchers: str, to: str, continue_: bool = False) -> Route:
    return Route(match=tuple(map(Matcher.parse, matchers)), to=tuple(to.split()), continue_=continue_)


def router(*routes: Route, default: tuple[str, ...] = ("slack",)) -> Router:
    return Router(routes, default, lambda incident: f"${incident.usd_per_hour:.2f}/h: {incident.workload}")


def heard(by: Router, transition: Transition) -> list[str]:
    return [notice.channel for notice in by.decide(transition)]


def test_a_notice_carries_the_incident_as_it_stood():
    assert router().decide(OPENED) == [
        Notice(
            notice_id="inc_a:0:slack",
            channel="slack",
            subject="incident",
            subject_id="inc_a",
            transition=0,
            step="opened",
            reason=Reason.FIRST_TIME,
            title="$16.00/h: prod/llm/chat",
            at=NOON,
            body=json.encode(INCIDENT),
        )
    ]


def test_the_first_route_that_matches_decides_unless_it_says_to_go_on():
    stopping = router(route("team=search", to="search-slack"), route(to="all"))
    going_on = router(route("team=search", to="search-slack", continue_=True), route(to="all search-slack"))

    assert heard(stopping, OPENED) == ["search-slack"]
    assert heard(going_on, OPENED) == ["search-slack", "all"]


def test_a_route_without_matchers_takes_all_and_the_default_what_is_left():
    assert heard(router(route("team=ads", to="ads"), route(to="rest")), OPENED) == ["rest"]
    assert heard(router(route("team=ads", to="ads")), OPENED) == ["slack"]
    assert heard(router(default=()), OPENED) == []


def test_info_is_told_only_where_a_route_names_it():
    quiet = replace(OPENED, incident=replace(INCIDENT, severity=Severity.INFO))

    assert heard(router(route(to="all")), quiet) == []
    assert heard(router(route("severity!=page", to="all")), quiet) == []
    assert heard(router(route("severity=info", to="log")), quiet) == ["log"]
    assert heard(router(route("severity=~info|warn", to="log")), quiet) == ["log"]


def test_whoever_was_told_hears_the_end_even_if_it_would_go_elsewhere_now():
    by = router(route("severity=page", to="pagerduty"), route("cause=no_traffic", to="serving"))
    ended = replace(INCIDENT, severity=Severity.PAGE, resolved_at=NOON, transition=2, cause=Cause.MEMORY_HELD)
    spoken = (
        Spoken(Severity.WARN, Cause.NO_TRAFFIC, "search"),
        Spoken(Severity.PAGE, Cause.NO_TRAFFIC, "search"),
    )

    notices = by.decide(Transition(incident=ended, step=Step.RESOLVED, reason=Reason.RESOLVED, spoken=spoken))

    assert [notice.notice_id for notice in notices] == ["inc_a:2:pagerduty", "inc_a:2:serving"]


def test_who_was_never_told_of_it_does_not_hear_of_its_end():
    by = router(route("cause=no_traffic", to="serving", continue_=True), route(to="all"))
    ended = replace(INCIDENT, resolved_at=NOON, transition=1, cause=Cause.NO_TRAFFIC)
    spoken = (Spoken(Severity.WARN, Cause.UNKNOWN, "search"),)

    notices = by.decide(Transition(incident=ended, step=Step.RESOLVED, reason=Reason.RESOLVED, spoken=spoken))

    assert [notice.notice_id for notice in notices] == ["inc_a:1:all"]


def test_an_acknowledgement_has_an_id_and_a_moment_of_its_own():
    taken = replace(INCIDENT, acknowledged_at=NOON + timedelta(minutes=3), acknowledged_by="slack:U1")

    (notice,) = router().decide(Transition(incident=taken, step=Step.ACKNOWLEDGED, reason=Reason.ACKNOWLEDGED))

    assert (notice.notice_id, notice.at) == ("inc_a:0a:slack", NOON + timedelta(minutes=3))


def test_every_way_has_its_reason():
    by = router(route("kind=idle", "team=search", to="a b", continue_=True), route(to="c"))
    quiet = replace(INCIDENT, severity=Severity.INFO)

    assert by.explain(INCIDENT) == ['route 1 {kind="idle", team="search"}: a, b', "route 2 {}: c"]
    assert by.explain(quiet) == ["info_digest_only: nobody is told"]
    assert router().explain(INCIDENT) == ["default: slack"]
    assert router(default=()).explain(INCIDENT) == ["no_channel: nobody is told"]
