"""Where an accelerator was seen last, whichever partition saw it."""

from datetime import datetime
from typing import Any

from store.devices import Heard
from store.facts import DeviceRow, Facts
from store.store import Store
from tests.store.samples import CHAT, HOUR, MINUTE, NOON, commit


def seen(device: str = "GPU-1", workload: str = CHAT, at: datetime = NOON, **fields: Any) -> DeviceRow:
    return DeviceRow(**{"device": device, "workload": workload, "at": at, "gpu_model": "H100", **fields})


def test_the_newest_sighting_names_the_owner(store: Store) -> None:
    freed = seen(workload="prod//", at=NOON + MINUTE, gpu_model=None)
    commit(store, Facts(devices=[seen(), seen("GPU-2")]), Facts(devices=[freed]), Facts(devices=[seen()]))

    assert store.devices(["GPU-2", "GPU-1", "GPU-9"]) == [freed, seen("GPU-2")]
    assert store.devices([]) == []


def test_of_two_partitions_that_saw_it_in_the_same_minute_the_first_stays(store: Store) -> None:
    commit(store, Facts(devices=[seen()]), Facts(devices=[seen(workload="prod//")]))

    assert store.devices(["GPU-1"]) == [seen()]


def test_accelerators_are_counted_by_their_latest_owner(store: Store) -> None:
    moved = seen("GPU-2", "prod/llm/embed", NOON + MINUTE)
    commit(store, Facts(devices=[seen(), seen("GPU-2"), seen("GPU-3", at=NOON - HOUR)]), Facts(devices=[moved]))

    assert store.devices_of(CHAT, NOON - MINUTE) == Heard(devices=1, latest_at=NOON)
    assert store.devices_of(CHAT, NOON - HOUR) == Heard(devices=2, latest_at=NOON)
    assert store.devices_of("prod/llm/none", NOON) == Heard(devices=0, latest_at=None)


def test_others_are_of_the_same_cluster_and_not_its_own(store: Store) -> None:
    others = [
        seen("GPU-2", "prod//", NOON + MINUTE),
        seen("GPU-3", "Prod/llm/chat"),
        seen("GPU-4", "prod-eu/llm/chat"),
        seen("GPU-5", "prod/llm/embed", NOON - HOUR),
    ]
    commit(store, Facts(devices=[seen(), *others]))

    assert store.devices_beside(CHAT, NOON) == Heard(devices=1, latest_at=NOON + MINUTE)


def test_pruning_forgets_accelerators_that_are_seen_no_more(store: Store) -> None:
    commit(store, Facts(devices=[seen(), seen("GPU-2", at=NOON + HOUR)]))
    store.prune(NOON + HOUR)

    assert [one.device for one in store.devices(["GPU-1", "GPU-2"])] == ["GPU-2"]
