from datetime import timedelta

import msgspec
import pytest

from console.overview import Accelerators, GapView, Outlook
from console.summary import commonest, period
from console.view import ConsoleView
from detectors.budget import Budget, matches
from store.facts import LedgerRow, WorkloadState
from tests.console.fleet import BUDGETS, CHAT, DECEMBER, HOUR, MONTH, NOW, SEARCH, SPARE, ListStore, fleet, status
from tests.store.samples import gap_row


def view_of(store: ListStore, budgets=BUDGETS) -> ConsoleView:
    return ConsoleView(store, budgets, clock=lambda: NOW)


def test_an_empty_store_is_no_data_and_not_zero_seconds_old():
    seen = view_of(ListStore(), ()).overview()
    assert (seen.data_at, seen.data_age_s, seen.month_forecast_usd) == (None, None, None)
    assert seen.accelerators == Accelerators(busy=0, idle=0, unknown=0)


def test_a_silent_workload_is_unknown_and_its_dollars_are_shown_apart():
    seen = view_of(fleet()).overview()

    assert seen.accelerators == Accelerators(busy=4, idle=9, unknown=4)
    assert (seen.usd_per_hour, seen.silent_usd_per_hour, seen.silent_workloads) == (88.4, 16.0, 1)
    assert {team.team: team.usd_per_hour for team in seen.teams}["research"] is None
    assert seen.data_age_s == 12.0


def test_unknown_is_never_listed_as_idle():
    store = ListStore(rows=[status("a/b/c", None, WorkloadState.UNKNOWN, 4.0, 2, idle_devices=2)])
    seen = view_of(store).overview()
    assert (seen.idle, seen.accelerators) == ((), Accelerators(busy=0, idle=0, unknown=2))


def test_half_a_workload_can_be_idle():
    store = ListStore(
        rows=[status("a/b/c", None, WorkloadState.BUSY, 8.0, 4, idle_devices=1, idle_since=NOW - 2 * HOUR)]
    )
    (row,) = view_of(store).overview().idle
    assert (row.idle_devices, row.devices, row.usd_per_hour, row.usd_so_far, row.idle_s) == (1, 4, 2.0, 4.0, 7200.0)


def test_idle_rows_are_sorted_by_waste_and_take_the_incidents_dollars():
    seen = view_of(fleet()).overview()
    assert [(row.workload, round(row.usd_so_far, 2)) for row in seen.idle] == [(CHAT, 106.4), (SPARE, 3.33)]


def test_sums_are_exact_in_nano_dollars():
    rows = [
        LedgerRow(hour=MONTH + n * HOUR, workload="a/b/c", line="gpu|x|book", team="t", nano_usd=100_000_000)
        for n in range(30)
    ]
    seen = view_of(ListStore(ledger=rows), (Budget(name="t", usd_per_month=3.0, match={"team": "t"}),)).overview()
    assert seen.month_to_date_usd == 3.0
    assert seen.budgets[0].spent_usd == 3.0


def test_budget_outlooks():
    assert [(budget.name, budget.outlook) for budget in view_of(fleet()).overview().budgets] == [
        ("team-search", Outlook.WILL_BREAK),
        ("prod-eu", Outlook.ON_COURSE),
    ]


@pytest.mark.parametrize(
    ("match", "yes"),
    [
        ({"team": "search"}, True),
        ({"workload": "prod-eu/*"}, True),
        ({"cluster": "prod-eu", "namespace": "search"}, True),
        ({"cluster": "prod-eu", "namespace": "chat"}, False),
        ({"team": "Search"}, False),
        ({"region": "eu"}, False),
    ],
)
def test_a_budget_matches_only_where_all_it_names_match(match, yes):
    assert matches(Budget(name="b", usd_per_month=1.0, match=match), SEARCH, "search") is yes


def test_reasons_beyond_a_screen_are_summed_up():
    counts = {f"dated {number} s ahead": 1 for number in range(300, 350)} | {"not JSON": 7}

    shown = commonest(counts)

    assert (len(shown), next(iter(shown)), shown["31 other reasons"]) == (21, "not JSON", 31)
    assert sum(shown.values()) == 57


def test_a_budgets_month_is_of_its_own_time_zone():
    berlin = Budget(name="b", usd_per_month=1.0, match={}, timezone="Europe/Berlin")
    assert period(berlin, NOW) == (MONTH - HOUR, DECEMBER - HOUR)


def test_the_running_hour_counts_by_the_part_that_has_passed():
    store = fleet()
    spike = store.incidents[0]
    series = view_of(store).incident_series(spike)
    assert series[-1][0] == NOW.replace(minute=0, second=0)
    assert series[-1][1] == pytest.approx(48.0, rel=0.05)


def test_a_budgets_line_begins_at_zero_and_ends_at_what_is_spent():
    view = view_of(fleet())
    line = view.budget_series(BUDGETS[0])
    assert line[0] == (MONTH, 0.0)
    assert line[-1][1] == view.overview().budgets[0].spent_usd
    assert len(line) <= 242


def test_a_reading_is_kept_for_its_time_and_forgotten_after_a_change():
    store, now = ListStore(), [NOW]
    view = ConsoleView(store, (), clock=lambda: now[0], fresh_s=3.0)
    assert view.overview().usd_per_hour == 0.0
    store.rows = [status("a/b/c", None, WorkloadState.BUSY, 4.0, 1)]
    assert view.overview().usd_per_hour == 0.0
    view.forget()
    assert view.overview().usd_per_hour == 4.0
    store.rows = []
    now[0] += timedelta(seconds=3)
    assert view.overview().usd_per_hour == 0.0


def test_no_day_is_missing_after_midnight():
    before = NOW.replace(hour=23, minute=59)
    now = [before]
    store = ListStore(
        ledger=[LedgerRow(hour=NOW.replace(minute=0, second=0), workload="a/b/c", line="x", team="t", nano_usd=10**9)]
    )
    view = ConsoleView(store, (), clock=lambda: now[0])
    assert (view.overview().today_usd, view.overview().month_to_date_usd) == (1.0, 1.0)
    now[0] = before + timedelta(minutes=2)
    assert (view.overview().today_usd, view.overview().month_to_date_usd) == (0.0, 1.0)


def test_the_overview_for_programs_says_what_it_always_said():
    store = ListStore(
        rows=[status("a/b/c", "t", WorkloadState.IDLE, 4.0, 1, idle_devices=1, idle_since=NOW - HOUR)],
        ledger=[
            LedgerRow(hour=NOW.replace(minute=0, second=0), workload="a/b/c", line="x", team="t", nano_usd=2 * 10**9)
        ],
        rejects={"future": 1, "not_json": 2},
    )
    view = view_of(store, (Budget(name="t", usd_per_month=100.0, match={"team": "t"}),))

    assert msgspec.json.decode(msgspec.json.encode(view.overview())) == {
        "as_of": "2026-11-24T21:30:12Z",
        "data_at": "2026-11-24T21:30:00Z",
        "data_age_s": 12.0,
        "usd_per_hour": 4.0,
        "silent_usd_per_hour": 0,
        "silent_workloads": 0,
        "today_usd": 2.0,
        "month_to_date_usd": 2.0,
        "month_forecast_usd": None,
        "accelerators": {"busy": 0, "idle": 1, "unknown": 0},
        "idle_usd_per_hour": 4.0,
        "idle": [
            {
                "workload": "a/b/c",
                "team": "t",
                "gpu_model": None,
                "idle_devices": 1,
                "devices": 1,
                "idle_since": "2026-11-24T20:30:12Z",
                "idle_s": 3600.0,
                "usd_per_hour": 4.0,
                "usd_so_far": 4.0,
                "util_ratio": None,
                "power_w": None,
                "incident_id": None,
            }
        ],
        "teams": [{"team": "t", "usd_per_hour": 4.0, "today_usd": 2.0, "month_to_date_usd": 2.0}],
        "incidents": [],
        "gaps": [],
        "budgets": [
            {
                "name": "t",
                "usd_per_month": 100.0,
                "spent_usd": 2.0,
                "period_start": "2026-11-01T00:00:00Z",
                "period_end": "2026-12-01T00:00:00Z",
                "p10_usd": None,
                "p50_usd": None,
                "p90_usd": None,
                "outlook": "no_forecast",
            }
        ],
        "notices": [],
        "rejects": {"not_json": 2, "future": 1},
        "stopped": [],
    }


def test_what_was_gone_from_kafka_unread_is_shown_for_a_week_with_its_dollars():
    recent = gap_row(found_at=NOW - HOUR, began_at=NOW - 3 * HOUR, ended_at=None)
    old = gap_row(gap_id="gap_b", found_at=NOW - timedelta(days=8), began_at=NOW - timedelta(days=9), ended_at=NOW)

    assert view_of(ListStore(gap_rows=[recent, old])).overview().gaps == (
        GapView(
            source="gpu.samples/3@60-90",
            cause="expired",
            most_events=30,
            began_at=NOW - 3 * HOUR,
            ended_at=None,
            may_be_missing_usd=12.0,
            incident_id="inc_a",
        ),
    )
