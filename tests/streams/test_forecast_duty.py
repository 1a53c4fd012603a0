from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.incidents import SeverityPolicy
from detectors.budget import Budget
from detectors.findings import Cause, Kind
from store.errors import Fenced, StoreUnavailable
from store.facts import Facts
from store.progress import DUTIES_PARTITION
from store.store import Store
from streams.forecast_duty import EVERYTHING, ForecastDuty
from tests.store.samples import CHAT, incident, ledger_row
from tests.streams.events import HOUR, router

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
BUDGET = Budget(name="search", usd_per_month=200.0, match={"team": "search"})


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store.open("sqlite://")
    yield opened
    opened.close()


def spend(store: Store, hours: int, until: datetime | None = None) -> None:
    """A dollar an hour from the first of March on; the stream's clock stands at the end of it."""
    epoch = store.claim_partition(0, "me", FIRST).epoch
    rows = [ledger_row(hour=FIRST + number * HOUR, nano_usd=10**9) for number in range(hours)]
    store.commit(
        0, epoch, Facts(ledger=rows), snapshot=None, offsets={}, now=FIRST, watermark=until or FIRST + hours * HOUR
    )


def duty(store: Store, **how: Any) -> ForecastDuty:
    values = {"budgets": [BUDGET], "severity": SeverityPolicy(), "router": router(), "owner": "me"}
    made = ForecastDuty(store, **{**values, **how})
    made.take_over(FIRST)
    return made


def test_each_day_is_forecast_once_for_workloads_budgets_and_the_whole(store):
    spend(store, 60)

    issued = duty(store).run(FIRST)

    daily = sorted({row.issued_at for row in issued if row.workload == CHAT})
    assert daily == [FIRST + timedelta(days=1), FIRST + timedelta(days=2)]
    assert sorted({row.issued_at for row in issued}) == [FIRST + number * 6 * HOUR for number in range(1, 11)]
    assert {(row.workload, row.budget) for row in issued} == {(CHAT, None), (None, "search"), (None, EVERYTHING.name)}
    assert all(row.p10_usd <= row.p50_usd <= row.p90_usd for row in issued)
    assert len({(row.issued_at, row.workload, row.budget, row.period_start, row.period_end) for row in issued}) == len(
        issued
    )


def test_hours_that_are_done_are_not_done_again_by_whoever_comes_next(store):
    spend(store, 60)
    assert duty(store).run(FIRST)

    again = duty(store, owner="other")

    assert again.run(FIRST) == []
    spend(store, 80)
    assert sorted({row.issued_at for row in again.run(FIRST)}) == [
        FIRST + number * 6 * HOUR for number in range(11, 14)
    ]


def test_a_budget_that_breaks_is_told_once_over_restarts(store):
    spend(store, 24 * 12)
    for number in range(6):
        duty(store, owner=f"run-{number}").run(FIRST)

    (incident,) = store.open_incidents()
    assert (incident.kind, incident.budget) == (Kind.BUDGET, "search")
    openings = [entry.notice for entry in store.notices(100) if entry.notice.step == "opened"]
    assert len(openings) == 1
    assert incident.usd_so_far > 200.0


def test_a_budget_that_breaks_while_the_store_is_away_is_told_once_it_is_back(store, monkeypatch):
    spend(store, 24 * 14)
    one = duty(store)
    with monkeypatch.context() as away:
        away.setattr(store, "commit", refuse)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                one.run(FIRST)

    issued = one.run(FIRST)

    assert min(row.issued_at for row in issued) == FIRST + 6 * HOUR
    assert [incident.kind for incident in store.open_incidents()] == [Kind.BUDGET]
    assert sorted(entry.notice.transition for entry in store.notices(10)) == [0, 1]


def test_a_workload_whose_growth_cant_be_fitted_holds_up_no_forecast(store):
    class Unsettled:
        max_days = 21

        def look(self, *given: Any) -> None:
            raise ValueError("HuberRegressor convergence failed")

    spend(store, 60)
    one = duty(store)
    one.growth = Unsettled()

    assert {row.workload for row in one.run(FIRST)} == {CHAT, None}


def refuse(*given: Any, **named: Any) -> None:
    raise StoreUnavailable("away")


def test_a_budget_of_everything_counts_everything(store):
    spend(store, 24 * 12)

    duty(store, budgets=[Budget(name="all", usd_per_month=100.0, match={})]).run(FIRST)

    assert [(one.kind, one.budget) for one in store.open_incidents()] == [(Kind.BUDGET, "all")]


def test_the_one_who_lost_the_duty_writes_nothing(store):
    spend(store, 30)
    old = duty(store)
    duty(store, owner="new")

    with pytest.raises(Fenced):
        old.run(FIRST)
    assert store.latest_forecasts() == []


def test_without_any_spend_there_is_nothing_to_do(store):
    assert duty(store).run(FIRST) == []


def test_a_state_of_another_version_is_refused(store):
    epoch = store.claim_partition(DUTIES_PARTITION, "me", FIRST).epoch
    body = b"\x83\xa7version\x09\xa9done_hour\x00\xa4book\xc4\x00"
    store.commit(DUTIES_PARTITION, epoch, Facts(), snapshot={"core": body}, offsets={}, now=FIRST)

    with pytest.raises(ValueError, match="duty state has version 9, this release reads 1"):
        duty(store)


@pytest.mark.parametrize(
    ("cause", "lasts_h", "expected"),
    [(Cause.REQUEST_RATE, 8, True), (Cause.LEVEL_STEP, 8, False), (Cause.REQUEST_RATE, None, False)],
)
def test_an_outburst_that_is_over_is_not_expected_again_and_what_lasts_is_learnt(
    store, cause: Cause, lasts_h: int | None, expected: bool
):
    epoch = store.claim_partition(0, "me", FIRST).epoch
    usd = [3.0 if n >= 120 else 1.0 for n in range(144)]  # dear for the whole of the last day
    rows = [ledger_row(hour=FIRST + n * HOUR, nano_usd=int(usd[n] * 1e9)) for n in range(144)]
    told = incident(
        kind=Kind.ANOMALY,
        cause=cause,
        began_at=FIRST + 120 * HOUR,
        detected_at=FIRST + 121 * HOUR,
        updated_at=FIRST + 121 * HOUR,
        resolved_at=lasts_h and FIRST + 144 * HOUR,
    )
    facts = Facts(ledger=rows, incidents=[told])
    store.commit(0, epoch, facts, snapshot=None, offsets={}, now=FIRST, watermark=FIRST + 144 * HOUR)

    issued = duty(store, budgets=[]).run(FIRST)

    tomorrow = next(
        row for row in issued if row.workload == CHAT and row.period_start == FIRST + 144 * HOUR == row.issued_at
    )
    assert (tomorrow.p90_usd < 48.0) is expected
