import pytest

from streams.attribution import Attribution, TeamRule

RULES = (
    TeamRule(match={"label.owner": "ml-*"}, team="ml"),
    TeamRule(match={"cluster": "prod-*", "namespace": "search"}, team="search"),
    TeamRule(match={"name": "*notebook*"}, team="research"),
    TeamRule(match={"workload": "prod-eu/*"}, team="europe"),
)


@pytest.mark.parametrize(
    ("workload", "stated", "labels", "team"),
    [
        ("prod-eu/search/api", None, None, "search"),
        ("prod-eu/search/api", "own", None, "own"),
        ("prod-eu/search/api", None, {"owner": "ml-core"}, "ml"),
        ("prod-eu/search/api", None, {"owner": "someone"}, "search"),
        ("prod-eu/other/api", "", None, "europe"),
        ("lab/alice/notebook-7", None, None, "research"),
        ("lab//", None, None, None),
    ],
)
def test_the_event_decides_then_the_first_rule_that_fits(workload, stated, labels, team):
    assert Attribution(RULES).team(workload, stated, labels) == team


def test_labels_of_one_event_do_not_stick_to_the_workload():
    attribution = Attribution(RULES)

    teams = [attribution.team("prod-eu/x/y", None, labels) for labels in (None, {"owner": "ml-1"}, None, {})]

    assert teams == ["europe", "ml", "europe", "europe"]


def test_a_rule_that_asks_nothing_fits_all_and_one_that_asks_the_unknown_fits_nothing():
    assert TeamRule(match={}, team="all").fits("a/b/c", None)
    assert not TeamRule(match={"planet": "*"}, team="all").fits("a/b/c", None)
    assert Attribution(()).team("a/b/c", None, {"x": "y"}) is None
