"""Runs tests of a policy through the whole service, each on a store of its own in memory."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from msgspec import Struct

from alerts.notices import Outcome, Receipt
from console.assemble import forecast_duty, pipelines, router, scale_down_policy
from console.rules.events import records_of
from console.rules.expect import ExpectationError, differences
from console.rules.found import Found, found_at
from console.rules.spec import Expectation, RulesError, Test, duration, policy_of, read_file
from console.settings import Settings
from store.store import Store
from streams.records import Record
from streams.replay import Replay
from streams.scale_down_duty import ScaleDownDuty

LISTS = ("alerts", "incidents", "resolved", "actions", "would_stop", "messages")
AT_ONCE = 100


class Result(Struct, frozen=True, kw_only=True):
    """How one test ended; no faults: as expected."""

    name: str
    faults: tuple[str, ...] = ()  # lines


def run_file(path: Path) -> Iterator[Result]:
    """Run the tests of a file one by one. Raises RulesError or SettingsError for a file that can't be used."""
    file = read_file(path)
    settings = policy_of(file, path)
    for test in file.tests:
        evaluation = duration(test.evaluation or file.evaluation, f"{path}: evaluation")
        if evaluation < timedelta(seconds=1) or evaluation > timedelta(days=1):
            raise RulesError(f"{path}: evaluation lies between 1s and 1d")
        try:
            yield Result(name=test.name, faults=tuple(_faults(test, settings, evaluation)))
        except (ExpectationError, RulesError) as error:
            raise RulesError(f"{path}: {error}") from None


def _faults(test: Test, settings: Settings, evaluation: timedelta) -> Iterator[str]:
    records = records_of(test, evaluation)
    for expectation in test.expect:
        now = test.start + duration(expectation.at, f"{test.name!r}, at")
        found = state_at(records, settings, now)
        lines = [line for name in LISTS for line in _list_faults(name, expectation, found)]
        if expectation.none:
            lines += [line for name in ("incidents", "resolved", "actions") for line in _list(name, [], found)]
        if lines:
            yield f"at {expectation.at}:"
            yield from lines


def _list_faults(name: str, expectation: Expectation, found: Found) -> list[str]:
    wanted = getattr(expectation, name)
    return [] if wanted is None else _list(name, wanted, found)


def _list(name: str, wanted: list[dict[str, object]], found: Found) -> list[str]:
    return differences(name, wanted, getattr(found, name))


def state_at(records: list[Record], settings: Settings, now: datetime) -> Found:
    """What the service has said when everything up to `now` is known. Its messages are accepted at once."""
    store = Store.open("sqlite://")
    try:
        route = router(settings)
        run = Replay(
            store,
            pipelines(settings, route, store)(0),
            forecast_duty(settings, store, route, "rules", None),
            ScaleDownDuty(store, scale_down_policy(settings), route),
            settle=accept_all,
        )
        run.run(takewhile(lambda record: record.arrived_at <= now, records), end=now)
        if run.rejects:
            raise RulesError(f"an event was set aside: {run.rejects[0].reason}")
        return found_at(store, route, now)
    finally:
        store.close()


def accept_all(store: Store, now: datetime) -> None:
    """Every channel, and whoever carries out scale-downs, takes what it is given."""
    for channel in store.pending_counts():
        while claimed := store.claim_notices(channel, "rules", now, 60.0, AT_ONCE):
            for one in claimed:
                store.settle_notice(one.notice.notice_id, Receipt(outcome=Outcome.DELIVERED), now)
