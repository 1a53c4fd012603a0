from datetime import UTC, datetime

import pytest

from alerts.incidents import Incident, Severity
from alerts.matching import Matcher, MatcherError, Op, all_match, labels_of
from detectors.findings import Cause, Kind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_labels_come_from_the_incident_and_are_empty_where_they_do_not_apply():
    incident = Incident(
        incident_id="inc_a",
        fingerprint="f",
        kind=Kind.IDLE,
        cause=Cause.NO_TRAFFIC,
        severity=Severity.WARN,
        began_at=NOON,
        detected_at=NOON,
        updated_at=NOON,
        workload="prod-eu/llm/chat",
    )

    assert labels_of(incident) == {
        "kind": "idle",
        "cause": "no_traffic",
        "severity": "warn",
        "team": "",
        "workload": "prod-eu/llm/chat",
        "cluster": "prod-eu",
        "namespace": "llm",
        "name": "chat",
        "model": "",
        "budget": "",
    }


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ('team="search"', "search", True),
        ("team=search", "Search", False),
        ("team != search", "ads", True),
        ("team=~sea|ads", "search", False),
        ("team=~'sea.*|ads'", "search", True),
        ("team!~sea.*", "search", False),
        ("team=", "", True),
    ],
)
def test_operators_compare_the_whole_value(text, value, matches):
    assert Matcher.parse(text).matches(value) is matches


def test_a_matcher_writes_itself_as_it_is_read():
    matcher = Matcher("kind", Op.MATCHES, "idle|waste")

    assert Matcher.parse(str(matcher)) == matcher


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("squad=search", "a matcher's label is one of kind, cause"),
        ("team", "a matcher is written"),
        ("team=~(", "is not a regular expression"),
    ],
)
def test_a_matcher_that_cannot_be_meant_is_refused_in_words(text, said):
    with pytest.raises(MatcherError, match=said):
        Matcher.parse(text)


def test_no_matchers_are_satisfied_by_everything():
    assert all_match((), {})
