from msgspec.structs import replace

from alerts.would_stop import Outcome, WouldStop
from store.store import Store
from tests.store.samples import CHAT, HOUR, NOON

FIRST = WouldStop(
    stop_id="act_a:1", action_id="act_a", incident_id="inc_a", workload=CHAT, team="search", at=NOON, usd_per_hour=8.0,
    evidence={"idle_s": 7200.0},
)  # fmt: skip


def test_what_would_have_been_stopped_comes_back_as_it_stands(store: Store) -> None:
    second = replace(FIRST, stop_id="act_b:1", incident_id="inc_b", at=NOON + HOUR, held_back="gpu_limit")
    judged = replace(FIRST, outcome=Outcome.BUSY_AGAIN, ended_at=NOON + HOUR, judged_at=NOON + HOUR)

    store.save_would_stops([second, FIRST])
    store.save_would_stops([judged])
    store.save_would_stops([])

    assert store.open_would_stops() == [second]
    assert store.would_stops_between(NOON, NOON + 2 * HOUR) == [judged, second]
    assert store.would_stops_between(NOON, NOON + HOUR) == [judged]
    assert store.would_stops_for("inc_b") == [second]
