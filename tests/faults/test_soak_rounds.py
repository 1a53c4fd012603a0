"""A few rounds of `make soak`: workers that come and go, a broker that is slow, silent or killed, and kills in each."""

from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from tests.faults.load import Load
from tests.faults.soak import ROUND_MINUTES, Soak, fault_of, installed

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(1800)]

SEED, MINUTES = 20261125, 60
FAULTS = {
    "postgresql": ("storm", "half_open", "slow", "broker_stop"),
    "sqlite": ("storm", "reset", "freeze", "broker_kill"),
}


@pytest.mark.parametrize("store", [pytest.param("postgresql", marks=pytest.mark.postgres), "sqlite"])
def test_after_each_fault_and_a_kill_everything_is_there_once_and_the_end_is_the_same(
    store: str, kafka_programs: Path, postgres_programs: Path, tmp_path: Path, until: datetime
) -> None:
    load = Load(SEED, until, MINUTES, beat_minutes=ROUND_MINUTES)
    with installed(tmp_path, store, load) as (streamed, broker, proxy):
        soak = Soak(streamed, broker, proxy, Random(SEED))
        for number, fault in enumerate(FAULTS[store], start=1):
            assert soak.round(number, fault, 0.0, Random(f"{SEED}|{number}")).wrong == [], fault
        assert soak.kills == len(FAULTS[store])
        streamed.feed_next(MINUTES, 0.0)
        assert soak.wrong() == []
        here, wanted = streamed.as_without_faults()
        assert here == wanted


def test_what_a_round_does_depends_on_the_seed_and_its_number_and_each_fault_comes_in_its_turn() -> None:
    names = ["kill", "freeze", "storm"]
    faults = [fault_of(number, SEED, names) for number in range(1, 31)]

    assert faults == [fault_of(number, SEED, names[::-1]) for number in range(1, 31)]
    assert all(sorted(faults[place : place + 3]) == sorted(names) for place in range(0, 30, 3))
    assert faults != [fault_of(number, SEED + 1, names) for number in range(1, 31)]
