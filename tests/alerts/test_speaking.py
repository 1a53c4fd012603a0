"""Should the service speak? The table of rules, each alone, and which comes first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.incidents import Severity
from alerts.matching import Matcher
from alerts.reasons import Hush, Reason
from alerts.silences import silence
from alerts.speaking import RULES, Paged, Situation, SpeakingPolicy, first_hush
from tests.alerts.samples import DATA_GAP, IDLE, WASTE, resolved

NOW = datetime(2026, 11, 23, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUIET = silence(
    [Matcher.parse('team="search"')], starts_at=NOW, ends_at=NOW + HOUR, by="ana", now=NOW, comment="load test"
)
TWICE = (Paged("inc_1", NOW - HOUR), Paged("inc_2", NOW - 11 * HOUR))
WARN = replace(IDLE, severity=Severity.WARN)


def situation(**given: Any) -> Situation:
    usual = {"policy": SpeakingPolicy(), "incident": WARN, "step": "opened", "reason": Reason.FIRST_TIME, "now": NOW}
    return Situation(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "hush"),
    [
        ({}, None),
        ({"incident": replace(WARN, expected_at=NOW)}, Hush.EXPECTED),
        ({"incident": replace(WARN, snoozed_until=NOW + HOUR)}, Hush.SNOOZED),
        ({"incident": replace(WARN, snoozed_until=NOW)}, None),
        ({"incident": replace(IDLE, snoozed_until=NOW + HOUR), "step": "updated", "spoken": True,
          "reason": Reason.SEVERITY_RAISED}, None),
        ({"silences": (QUIET,)}, Hush.SILENCED),
        ({"silences": (QUIET,), "now": NOW + HOUR}, None),
        ({"lost": (DATA_GAP,)}, Hush.TELEMETRY_LOST),
        ({"lost": (replace(DATA_GAP, workload="prod/x/y"),)}, Hush.TELEMETRY_LOST),  # the same accelerators
        ({"lost": (replace(DATA_GAP, workload="prod/x/y", devices=("GPU-9",)),)}, None),
        ({"lost": (resolved(DATA_GAP),)}, None),
        ({"incident": DATA_GAP, "lost": (DATA_GAP,)}, None),
        ({"incident": replace(WARN, ended_before_at=NOW - HOUR / 2, reopens="inc_0")}, Hush.FLAPPING),
        ({"incident": replace(WARN, ended_before_at=NOW - HOUR, reopens="inc_0")}, None),
        ({"incident": replace(IDLE, ended_before_at=NOW - HOUR / 2, reopens="inc_0")}, None),  # a page
        ({"fleet": 10}, Hush.FLEET_CAUSE),
        ({"fleet": 9}, None),
        ({"fleet": 10, "spoken": True, "step": "updated"}, None),
        ({"group": 5}, Hush.GROUPED),
        ({"group": 4}, None),
        ({"group": 5, "incident": IDLE}, None),  # a page is told on its own
        ({"summed": Hush.GROUPED, "step": "updated", "reason": Reason.DOLLARS_DOUBLED}, Hush.GROUPED),
        ({"summed": Hush.GROUPED, "step": "updated", "incident": IDLE, "reason": Reason.SEVERITY_RAISED}, None),
        ({"incident": IDLE, "wakes": True, "paged": TWICE}, Hush.BUDGET_SPENT),
        ({"incident": IDLE, "wakes": True, "paged": TWICE[:1]}, None),
        ({"incident": IDLE, "wakes": True, "paged": TWICE, "now": NOW + HOUR}, None),  # one was long ago
        ({"incident": IDLE, "wakes": False, "paged": TWICE}, None),
        ({"incident": WARN, "wakes": True, "paged": TWICE}, None),
        ({"incident": replace(IDLE, usd_per_hour=1000.0), "wakes": True, "paged": TWICE}, None),
        ({"incident": replace(IDLE, incident_id="inc_1"), "wakes": True, "paged": TWICE}, None),  # it is one of the two
    ],
)  # fmt: skip
def test_each_rule_says_what_it_says(given: dict[str, Any], hush: Hush | None) -> None:
    assert first_hush(situation(**given)) is hush


@pytest.mark.parametrize("step", ["resolved", "acknowledged", "snoozed", "expected"])
def test_the_end_of_what_was_told_is_told_and_of_what_was_not_is_not(step: str) -> None:
    given: dict[str, Any] = {"step": step, "silences": (QUIET,), "incident": replace(IDLE, expected_at=NOW)}

    assert first_hush(situation(**given, spoken=True, hushed=True)) is None
    assert first_hush(situation(**given)) is None
    assert first_hush(situation(**given, hushed=True)) is Hush.NEVER_TOLD
    assert first_hush(situation(**given, hushed=True, summed=Hush.COLLAPSED)) is Hush.COLLAPSED


def test_what_people_asked_for_comes_before_what_the_service_holds_back() -> None:
    everything = situation(
        incident=replace(WASTE, expected_at=NOW, snoozed_until=NOW + HOUR), silences=(QUIET,), fleet=99, group=99
    )

    assert [rule(everything) for rule in RULES] == [
        Hush.EXPECTED,
        Hush.SNOOZED,
        Hush.SILENCED,
        None,
        None,
        None,
        Hush.FLEET_CAUSE,
        Hush.GROUPED,
        None,
    ]
    assert first_hush(everything) is Hush.EXPECTED
