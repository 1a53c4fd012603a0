import pytest

from console.rules.expect import ExpectationError, agrees, differences

IDLE = {
    "kind": "idle",
    "workload": "a/b/c",
    "severity": "warn",
    "usd_per_hour": 32.0,
    "channels": ["a", "b"],
    "team": None,
}


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        ({}, True),
        ({"kind": "idle", "usd_per_hour": "32"}, True),
        ({"usd_per_hour": "32.3"}, True),
        ({"usd_per_hour": "33"}, False),
        ({"usd_per_hour": ">= 32"}, True),
        ({"usd_per_hour": "< 32"}, False),
        ({"usd_per_hour": "30..40"}, True),
        ({"usd_per_hour": "33 .. 40"}, False),
        ({"channels": ["b", "a"]}, True),
        ({"channels": ["a"]}, False),
        ({"team": "none"}, True),
        ({"team": ""}, True),
        ({"team": "search"}, False),
        ({"severity": "page"}, False),
    ],
)
def test_only_what_is_wanted_is_compared(wanted, same):
    assert agrees(wanted, IDLE) is same


def test_a_number_that_is_none_is_named():
    with pytest.raises(ExpectationError, match=r"'much' is no number such as 32, >= 30 or 30\.\.40"):
        agrees({"usd_per_hour": "much"}, IDLE)


def test_the_difference_says_what_is_missing_and_what_is_too_much():
    other = {**IDLE, "workload": "d/e/f", "severity": "page"}

    assert differences("alerts", [{"workload": "a/b/c"}, {"workload": "d/e/f"}], [other, IDLE]) == []
    assert differences("alerts", [{"workload": "a/b/c"}, {"severity": "info"}], [IDLE, other]) == [
        "  alerts:",
        "    - severity: info",
        "    + kind: idle, workload: d/e/f, severity: page",
        "      (1 as expected)",
    ]
    assert differences("alerts", [], [IDLE]) == [
        "  alerts:",
        "    + kind: idle, workload: a/b/c, severity: warn, usd_per_hour: 32",
    ]
    assert differences("alerts", [{"kind": "idle"}], []) == ["  alerts:", "    - kind: idle"]


def test_a_row_that_two_would_do_for_goes_to_the_one_that_needs_it():
    other = {**IDLE, "workload": "d/e/f"}

    assert differences("alerts", [{"kind": "idle"}, {"workload": "a/b/c"}], [IDLE, other]) == []


def test_a_field_that_there_is_none_of_is_named():
    with pytest.raises(ExpectationError, match="alerts: no such field: sevrity; known are channels, kind, "):
        differences("alerts", [{"sevrity": "warn"}], [IDLE])
