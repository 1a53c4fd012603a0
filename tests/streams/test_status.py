"""Statuses: what each workload holds now."""

from datetime import timedelta

import numpy as np

from detectors.idle import IdleDetector
from detectors.panel import Fleet
from store.facts import WorkloadState
from streams.fold import OpenMinute
from streams.status import Statuses
from tests.streams.folding import add_devices

NAN = float("nan")
START_S = 1_767_600_000


def watch(fleet: Fleet, idle: IdleDetector, statuses: Statuses, minute: int, owner: int) -> None:
    """One accelerator, idle, held by `owner` in this minute."""
    folded = OpenMinute()
    row, end_s = fleet.device("GPU-1", "H100"), START_S + 60 * minute
    add_devices(folded, [(row, end_s * 1000, (owner, 60.0, 0.0, NAN, 0.0, NAN, 0.8, 70.0, 4.0))])
    closed = folded.close(end_s, 0, ())
    idle.look(fleet, closed)
    statuses.take(fleet, closed)


def test_a_workload_whose_accelerator_is_seen_elsewhere_holds_none():
    fleet, idle = Fleet(), IdleDetector(after_s=timedelta(minutes=30).total_seconds())
    statuses = Statuses(idle)
    book, pool = fleet.workload("c/n/notebook", "vision"), fleet.workload("c//", None)
    for minute in range(5):
        watch(fleet, idle, statuses, minute, book)
    (before,) = statuses.drain(fleet)

    again = Fleet()
    Statuses(idle).declare(again)
    idle.look(again, OpenMinute().close(0, 0, ()))
    again.load(fleet.to_bytes())
    watch(again, idle, statuses, 5, pool)
    nobodys, after = statuses.drain(again)

    assert (before.workload, before.devices, before.usd_per_hour) == ("c/n/notebook", 1, 4.0)
    assert (nobodys.workload, nobodys.devices) == ("c//", 1)
    assert (after.workload, after.devices, after.usd_per_hour) == ("c/n/notebook", 0, 0.0)
    assert after.state is WorkloadState.UNKNOWN
    assert after.at == before.at + timedelta(minutes=1)


def test_lost_telemetry_leaves_the_status_as_it_was():
    fleet, idle = Fleet(), IdleDetector()
    statuses = Statuses(idle)
    watch(fleet, idle, statuses, 0, fleet.workload("c/n/notebook", "vision"))
    statuses.drain(fleet)

    silent = OpenMinute().close(START_S + 60, 0, ())
    idle.look(fleet, silent)
    statuses.take(fleet, silent)

    assert np.array_equal(silent.devices.row, [])
    assert statuses.drain(fleet) == []
