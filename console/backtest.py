"""A policy on recorded events: the whole service on a store of its own that is thrown away afterwards."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from alerts.policy_comparison import Judged
from alerts.scale_down import ScaleDownPolicy
from console.assemble import forecast_duty, pipelines, router, scale_down_policy, severity
from console.settings import Settings
from store.store import Store
from streams.history import History
from streams.records import Record
from streams.replay import Replay, Summary
from streams.scale_down_duty import ScaleDownDuty

INSTALLED = Path("/etc/emberwatch/config.yaml")
WHAT_A_POLICY_IS = ("stream", "detection", "severity", "channels", "routes", "default_route", "scale_down")
NEED_EVENTS = ("detection", "prices", "attribution", "stream")
BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
END = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


class NothingKept(ValueError):
    """There is no history to judge."""


def built_in(like: Settings) -> Settings:
    """The built-in policy, with the prices, budgets and owners of another: dollars can be compared then."""
    defaults = Settings()
    return like.model_copy(update={name: getattr(defaults, name) for name in WHAT_A_POLICY_IS})


def observing(settings: Settings) -> ScaleDownPolicy:
    """The config's scale-down in mode observe, whatever it says: what it would stop is written down."""
    return replace(scale_down_policy(settings), enabled=False)


@contextmanager
def thrown_away() -> Iterator[Store]:
    """A store on disk, so that memory stays small; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="emberwatch-") as folder:
        store = Store.open(f"sqlite:///{folder}/backtest.db")
        try:
            yield store
        finally:
            store.close()


def replayed(
    settings: Settings,
    name: str,
    events: Iterable[Record],
    *,
    until: datetime | None = None,
    progress: Callable[[int, datetime], None] = lambda number, at: None,
) -> tuple[Judged, Summary]:
    """Run events through the service as the settings have it, and return what it would have said and stopped."""
    with thrown_away() as store:
        route = router(settings)
        run = Replay(
            store,
            pipelines(settings, route, store)(0),
            forecast_duty(settings, store, route, "backtest", None),
            ScaleDownDuty(store, observing(settings), route),
            keep=False,
        )
        summary = run.run(events, until=until, progress=progress)
        return judged(store, name), summary


def remembered(
    settings: Settings,
    name: str,
    source: Store,
    *,
    until: datetime | None = None,
    progress: Callable[[float, datetime], None] = lambda share, at: None,
) -> tuple[Judged, dict[str, object]]:
    """Judge what a store keeps of the past as the settings have it. Raises NothingKept where that is nothing."""
    first, last = source.first_hour(), source.high_watermark()
    end = last if until is None or last is None else min(until, last)
    if first is None or end is None or end <= first:
        raise NothingKept("the store keeps no history yet (or none before --until)")
    with thrown_away() as store:
        route = router(settings)
        history = History(
            source,
            store,
            severity=severity(settings),
            router=route,
            forecasts=forecast_duty(settings, store, route, "backtest", None),
            scale_down=ScaleDownDuty(store, observing(settings), route),
        )
        history.run(first, end, progress)
        return judged(store, name), {"first_at": first, "last_at": end, "hours": history.hours}


def beyond_history(new: Settings, current: Settings) -> list[str]:
    """What differs between two policies and can't be judged from what a store keeps."""
    return [
        f"{section} differs between the two, and needs events (--events)"
        for section in NEED_EVENTS
        if getattr(new, section) != getattr(current, section)
    ]


def judged(store: Store, name: str) -> Judged:
    """What a store holds at the end."""
    return Judged(
        name=name,
        incidents=store.incidents_between(BEGINNING, END),
        messages=store.messages(),
        stops=store.would_stops_between(BEGINNING, END),
    )
