"""What is known now: statuses, forecasts, changes and what was set aside."""

from typing import Any

from store.facts import ChangeRow, Facts, ForecastRow, RejectRow, StatusRow, WorkloadState
from store.store import Store
from tests.store.samples import CHAT, HOUR, MINUTE, NOON, commit


def status(**fields: Any) -> StatusRow:
    values: dict[str, Any] = {
        "workload": CHAT,
        "team": "search",
        "at": NOON,
        "state": WorkloadState.IDLE,
        "usd_per_hour": 8.1,
        "devices": 2,
        "idle_devices": 1,
        "gpu_model": "H100",
        "util_ratio": 0.03,
        "idle_since": NOON - HOUR,
    }
    return StatusRow(**{**values, **fields})


def forecast(**fields: Any) -> ForecastRow:
    values: dict[str, Any] = {
        "issued_at": NOON,
        "workload": CHAT,
        "budget": None,
        "period_start": NOON - 24 * HOUR,
        "period_end": NOON + 600 * HOUR,
        "p10_usd": 90.1,
        "p50_usd": 100.2,
        "p90_usd": 120.3,
        "method": "seasonal",
    }
    return ForecastRow(**{**values, **fields})


def reject(offset: int, index: int, reason: str = "not JSON", **fields: Any) -> RejectRow:
    values = {"topic": "t", "partition": 0, "offset": offset, "index": index, "reason": reason, "payload": b"\x00{"}
    return RejectRow(**{**values, "at": NOON, **fields})


def change(event_id: str, **fields: Any) -> ChangeRow:
    return ChangeRow(
        **{"event_id": event_id, "at": NOON, "workload": CHAT, "kind": "deploy", "summary": "v2", **fields}
    )


def test_the_status_of_the_latest_minute_counts(store: Store) -> None:
    other = status(workload="prod/llm/embed", state=WorkloadState.UNKNOWN, util_ratio=None, idle_since=None)
    newer = status(at=NOON + MINUTE, state=WorkloadState.BUSY)
    commit(store, Facts(statuses=[newer, other]), Facts(statuses=[status()]))
    assert store.statuses() == [newer, other]


def test_the_latest_forecast_of_each_subject_and_period_counts(store: Store) -> None:
    budget = forecast(workload=None, budget="team-search")
    later = forecast(issued_at=NOON + HOUR, p50_usd=101.0)
    commit(store, Facts(forecasts=[forecast(), budget]))
    store.add_forecasts([later, later])

    assert store.latest_forecasts() == [budget, later]
    assert store.forecasts_between(NOON, NOON + HOUR) == [budget, forecast()]


def test_what_was_set_aside_is_counted_by_reason(store: Store) -> None:
    rows = [reject(1, 0), reject(1, 1, "from the future"), reject(2, 0, at=NOON + MINUTE)]
    commit(store, Facts(rejects=rows), Facts(rejects=[reject(1, 0, "said anew")]))

    assert store.reject_counts() == {"not JSON": 2, "from the future": 1}
    assert store.rejects(10) == [rows[2], rows[0], rows[1]]
    assert store.rejects(1) == [rows[2]]


def test_changes_are_found_by_time_and_workload(store: Store) -> None:
    rows = [change("a"), change("b", at=NOON + MINUTE, workload="prod/llm/embed", url="https://ci.example/7")]
    commit(store, Facts(changes=rows), Facts(changes=rows))

    assert store.changes_between(NOON, NOON + HOUR) == rows
    assert store.changes_between(NOON, NOON + HOUR, CHAT) == rows[:1]
    assert store.changes_between(NOON + 2 * MINUTE, NOON + HOUR) == []


def test_pruning_forgets_what_is_old(store: Store) -> None:
    commit(
        store,
        Facts(
            statuses=[status(), status(workload="prod/llm/embed", at=NOON + HOUR)],
            rejects=[reject(1, 0), reject(2, 0, at=NOON + HOUR)],
        ),
    )
    store.prune(NOON + HOUR)
    assert [one.workload for one in store.statuses()] == ["prod/llm/embed"]
    assert [one.offset for one in store.rejects(10)] == [2]
