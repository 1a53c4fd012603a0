"""The regret ledger on a real store, fed by the scale-down duty as it runs."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.scale_down import Mode, ScaleDownPolicy
from alerts.would_stop import Outcome
from store.facts import Facts, StatusRow, WorkloadState
from store.store import Store
from streams.scale_down_duty import ScaleDownDuty
from tests.store.samples import CHAT, incident
from tests.streams.events import HOUR, MINUTE, NOON, router


class Observed:
    """A store with one idle workload of two accelerators in a fleet of a hundred, in mode observe."""

    def __init__(self, **policy: Any) -> None:
        self.store = Store.open("sqlite://")
        self.policy = ScaleDownPolicy(**{"fresh_within_s": 600.0, **policy})
        self.duty = ScaleDownDuty(self.store, self.policy, router())
        self.epoch = self.store.claim_partition(0, "me", NOON).epoch
        self.now = NOON
        self.found = incident(began_at=NOON, evidence={"idle_s": 3600.0, "families": 3.0})
        self.write(incidents=[self.found])

    def write(self, **facts: Any) -> None:
        self.store.commit(0, self.epoch, Facts(**facts), snapshot=None, offsets={}, now=self.now, watermark=self.now)

    def go_on(self, until: datetime, state: WorkloadState = WorkloadState.IDLE) -> None:
        while self.now < until:
            self.now += 5 * MINUTE
            since = NOON if state is WorkloadState.IDLE else None
            chat = StatusRow(
                workload=CHAT, team="search", at=self.now, state=state, usd_per_hour=8.1, devices=2, idle_since=since,
                idle_devices=2, power_w=71.0,
            )  # fmt: skip
            rest = replace(chat, workload="prod/llm/rest", state=WorkloadState.BUSY, devices=98, idle_since=None)
            self.write(statuses=[chat, replace(rest, idle_devices=0)])
            self.duty.run(self.now)

    def works_again(self) -> None:
        over = replace(self.found, resolved_at=self.now, updated_at=self.now + 3 * MINUTE, transition=1)
        self.write(incidents=[over])
        self.go_on(self.now + 10 * MINUTE, WorkloadState.BUSY)

    def stops(self) -> list[Any]:
        return self.store.would_stops_between(NOON, NOON + 1000 * HOUR)


@pytest.fixture
def observed() -> Any:
    made: list[Observed] = []

    def make(**policy: Any) -> Observed:
        made.append(Observed(**policy))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_what_would_have_been_stopped_is_written_once_and_judged_after_half_an_hour(observed):
    here = observed()

    here.go_on(NOON + 2 * HOUR)
    (first,) = here.stops()
    here.go_on(NOON + 3 * HOUR)
    (judged,) = here.stops()

    assert (first.workload, first.at, first.outcome, first.held_back) == (CHAT, NOON + 2 * HOUR, Outcome.WATCHED, "")
    assert (judged.stop_id, judged.outcome) == (first.stop_id, Outcome.QUIET)
    assert judged.judged_at == NOON + 2.5 * HOUR
    assert judged.quiet_until == NOON + 3 * HOUR
    assert judged.evidence["then_power_w"] == 71.0
    assert judged.would_have_saved_usd == judged.usd_per_hour


def test_work_that_comes_back_is_regret_and_closes_the_row(observed):
    here = observed()
    here.go_on(NOON + 2 * HOUR + 10 * MINUTE)

    here.works_again()
    here.go_on(NOON + 6 * HOUR, WorkloadState.BUSY)

    (stop,) = here.stops()
    assert (stop.outcome, stop.ended_at) == (Outcome.BUSY_AGAIN, NOON + 2 * HOUR + 10 * MINUTE)
    assert here.store.open_would_stops() == []
    assert here.store.would_stops_for(here.found.incident_id) == [stop]


def test_what_a_limit_holds_back_is_a_stop_of_its_own_once_the_limit_lets_go(observed):
    here = observed(max_gpu_ratio_per_hour=0.01, max_gpu_ratio_per_day=0.01)

    here.go_on(NOON + 3 * HOUR)
    (held,) = here.stops()
    here.duty.regrets.policy = replace(here.policy, max_gpu_ratio_per_hour=0.05, max_gpu_ratio_per_day=0.1)
    here.go_on(NOON + 4 * HOUR)
    (free,) = here.stops()

    assert (held.held_back, held.outcome) == ("gpu_limit", Outcome.QUIET)
    assert (free.stop_id, free.held_back, free.at) == (held.stop_id, "", NOON + 3 * HOUR + 5 * MINUTE)


@pytest.mark.parametrize("mode", [Mode.PROPOSE, Mode.AUTO])
def test_a_mode_that_asks_or_acts_has_no_such_ledger(observed, mode):
    here = observed(mode=mode, enabled=True, target="webhook", selector=())
    assert here.policy.effective_mode is Mode.OBSERVE
    armed = here.duty.regrets.policy = replace(here.policy, selector=(object(),))  # type: ignore[arg-type]

    here.go_on(NOON + 4 * HOUR)

    assert armed.effective_mode is mode
    assert here.stops() == []
