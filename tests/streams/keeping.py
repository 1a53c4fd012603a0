"""A keeper as the tests have it: an hour after noon, writing all that it knows after each call."""

from threading import Event
from typing import Any

from store.store import Store
from streams.keeper import Keeper
from streams.metrics import Metrics
from tests.streams.events import HOUR, NOON, nano_usd, pipeline

SAMPLE_NANO_USD = 33_333_333  # of one sample of half a minute


def keeper(store: Any, **how: Any) -> Keeper:
    values: dict[str, Any] = {
        "store": store,
        "build": lambda partition: pipeline(partition=partition),
        "owner": "me",
        "clock": lambda: NOON + HOUR,
        "metrics": Metrics("test"),
        "commit_every_s": 0.0,
        "beside_bytes": 0,
    }
    return Keeper(**{**values, **how})


def spent(store: Store) -> int:
    """All nano-dollars of the ledger."""
    return sum(nano_usd(store.ledger_rows(NOON - 10 * HOUR, NOON + 100 * HOUR)).values())


class SlowStore:
    """A store whose commits wait until they may be written; it notes the offsets of each."""

    def __init__(self, store: Store) -> None:
        self.store, self.may_write = store, Event()
        self.begun: list[dict[str, int]] = []
        self.ended: list[dict[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def commit(self, *given: Any, **how: Any) -> None:
        self.begun.append(how["offsets"])
        assert self.may_write.wait(60.0)
        self.store.commit(*given, **how)
        self.ended.append(how["offsets"])
