"""Cold rows leave and come back, and no detector can tell."""

from functools import cache

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from detectors.anomaly import AnomalyDetector
from detectors.cold import SILENT_S, Cold, ColdKind, evict, restore
from detectors.data_gap import DataGapDetector
from detectors.findings import Finding
from detectors.idle import IdleDetector
from detectors.minute import Detector
from detectors.panel import FREE, OVERFLOW, Fleet, PanelError
from detectors.scale_out import ScaleOutDetector
from detectors.stuck import StuckDetector
from detectors.unpriced import UnpricedDetector
from tests.detectors.minutes import NOON_S, QUIET, Report, Use, Watch, minute_of
from tests.detectors.test_laws import NAMES, reports

LEAVING = NAMES[:-1]
BEAT = NAMES[-1]
DAY, BACK, LAST = 10 * 60, 10 * 60 + 62 * 60 + 7, 10 * 60 + 62 * 60 + 7 + 12 * 60
OTHER = Use(workload="prod/other/1", requests=5.0, tokens=900.0, usd=0.4)


def detectors() -> tuple[Detector, ...]:
    young = AnomalyDetector(min_history_h=3.0)
    return IdleDetector(), DataGapDetector(), UnpricedDetector(), young, StuckDetector(), ScaleOutDetector()


def shown(number: int) -> list[Report]:
    """An eventful day, two and a half days in which most are silent, and half a day in which they are back."""
    heard = NAMES if number <= DAY else (BEAT,) if number <= BACK else NAMES
    since = number if number <= DAY else number - BACK
    others = [OTHER] if number > DAY + 600 else []  # comes when the others are gone, and may get their rows
    return [*(one for name in heard for one in reports(name, since if name != BEAT else number)), *others]


def run(watch: Watch, last: int) -> list[Finding]:
    return [one for _ in range(watch.number, last) for one in watch.see(*shown(watch.number + 1))]


def now_s(watch: Watch) -> int:
    return NOON_S + watch.number * 60


@cache
def undisturbed() -> tuple[dict[int, bytes], dict[int, list[Finding]]]:
    """Snapshots by minute, and what was found from there to the end, when nobody ever leaves."""
    watch, held, found = Watch(*detectors()), {}, {}
    for stop in (DAY, DAY + 49 * 60, DAY + 49 * 60 + 25, DAY + 55 * 60, BACK, LAST):
        part = run(watch, stop)
        for earlier in found.values():
            earlier += part
        held[stop], found[stop] = watch.fleet.to_bytes(), []
    return held, found


def plain(findings: list[Finding], *, roughly: bool = False) -> list[dict[str, object]]:
    """In an order that does not depend on rows; figures to a millionth where asked."""
    ordered = sorted(findings, key=lambda one: (one.at, one.fingerprint, one.cleared))
    return [
        {
            name: pytest.approx(value, rel=1e-6, abs=2e-6) if roughly and isinstance(value, float | dict) else value
            for name, value in msgspec.structs.asdict(one).items()
        }
        for one in ordered
    ]


def at_minute(number: int) -> Watch:
    """The undisturbed fleet as it was."""
    watch = Watch(*detectors())
    for detector in watch.detectors:  # so that all columns are there to be filled
        detector.look(watch.fleet, minute_of(watch.fleet, 0))
    watch.fleet.load(undisturbed()[0][number])
    watch.number = number
    return watch


CUTS = (DAY + 49 * 60, DAY + 49 * 60 + 25, DAY + 55 * 60)


@pytest.mark.parametrize("cut", CUTS)
def test_who_left_and_came_back_is_judged_as_if_it_had_stayed(cut: int):
    expected = undisturbed()[1][cut]
    watch = at_minute(cut)

    rows = evict(watch.fleet, now_s(watch))
    found = run(watch, BACK)
    back = restore(watch.fleet, watch.detectors, rows, now_s(watch))
    found += run(watch, LAST)

    assert {one.key for one in rows if one.kind is ColdKind.WORKLOAD} == set(LEAVING)
    assert {one.key for one in rows if one.kind is ColdKind.DEVICE} == {
        f"GPU-{name}" for name in LEAVING if not name.endswith(("spiky", "unpriced"))
    }
    assert {one.key for one in back} == {one.key for one in rows}
    assert plain(found, roughly=True) == plain(expected)
    assert {one.workload for one in expected} >= {"prod/a/idle", "prod/f/stuck"}  # there was something to be found


def test_evicted_and_restored_at_once_nothing_has_changed_but_the_order_of_rows():
    watch = at_minute(CUTS[0])
    before = by_key(watch.fleet)
    restore(watch.fleet, watch.detectors, evict(watch.fleet, now_s(watch)), now_s(watch))
    assert by_key(watch.fleet) == before


def by_key(fleet: Fleet) -> dict[str, dict[str, object]]:
    """All that panels know, rows named by key."""
    panels = {"w": (fleet.workloads, fleet.teams), "d": (fleet.devices, fleet.models), "p": (fleet.pairs, None)}
    known: dict[str, dict[str, object]] = {}
    for prefix, (panel, extra) in panels.items():
        for row in np.flatnonzero(panel.own).tolist():
            held: dict[str, object] = {name: panel.column(name)[row].tobytes() for name in panel.names}
            for name in panel.owners:
                owner = int(panel.column(name)[row])
                held[name] = fleet.workloads.keys[owner] if owner >= 0 else None
            known[f"{prefix} {panel.keys[row]}"] = held | ({"extra": extra[row]} if extra else {})
    return known


def test_a_freed_row_goes_to_the_next_key_and_looks_new():
    watch = at_minute(CUTS[0])
    size = len(watch.fleet.workloads)
    evict(watch.fleet, now_s(watch))
    fresh = Fleet()
    for detector in detectors():
        detector.look(fresh, minute_of(fresh, 0))
    new, other = watch.fleet.workload("prod/new/1", None), fresh.workload("prod/new/1", None)

    assert (new, len(watch.fleet.workloads), watch.fleet.teams[new]) == (0, size, None)
    for name in fresh.workloads.names:
        np.testing.assert_array_equal(watch.fleet.workloads.column(name)[new], fresh.workloads.column(name)[other])


def test_free_rows_survive_a_trip_through_bytes():
    watch = at_minute(CUTS[0])
    evict(watch.fleet, now_s(watch))
    other = Fleet()
    other.load(watch.fleet.to_bytes())
    assert other.workloads.keys.count(FREE) == len(LEAVING)
    rows = [[fleet.workload(f"prod/new/{n}", None) for n in range(9)] for fleet in (watch.fleet, other)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", LEAVING)
def test_a_row_that_something_refers_to_stays(name: str):
    watch = at_minute(CUTS[0])
    row = watch.fleet.workloads.find(name)
    assert row is not None
    rows = evict(watch.fleet, now_s(watch), workloads={row})
    assert name in watch.fleet.workloads
    assert name not in {one.key for one in rows}


def test_a_workload_stays_while_an_accelerator_of_its_own_does():
    watch = at_minute(CUTS[0])
    device = watch.fleet.devices.find("GPU-prod/a/idle")
    assert device is not None
    rows = evict(watch.fleet, now_s(watch), devices={device})
    assert {"prod/a/idle", "GPU-prod/a/idle"}.isdisjoint({one.key for one in rows})


def test_an_open_condition_keeps_its_rows():
    watch = at_minute(CUTS[0])
    row = watch.fleet.workloads.find("prod/f/stuck")
    watch.fleet.workloads.column("stuck_open")[row] = True
    rows = evict(watch.fleet, now_s(watch))
    assert {"prod/f/stuck", "GPU-prod/f/stuck"}.isdisjoint({one.key for one in rows})


def test_nobody_is_cold_while_nobody_is_heard():
    watch = at_minute(CUTS[0])
    assert evict(watch.fleet, now_s(watch) + 7200) == []


def test_less_than_two_days_of_silence_is_not_cold():
    watch = Watch(*detectors())
    watch.see(replace(QUIET, workload="prod/a/gone", device="GPU-9"))
    for _ in range(47):
        watch.number += 59
        watch.see(QUIET)
    assert evict(watch.fleet, now_s(watch)) == []
    with pytest.raises(ValueError, match="172800 s before it is evicted, got 3600"):
        evict(watch.fleet, now_s(watch), silent_s=3600.0)


def test_the_overflow_row_stays():
    fleet = Fleet(max_workloads=3)
    watch = Watch(*detectors(), fleet=fleet)
    watch.see(*(Use(workload=f"prod/a/{n}", requests=1.0) for n in range(2)))
    watch.see(Use(workload="prod/a/9", requests=1.0))
    watch.number += int(SILENT_S) // 60 + 60
    watch.see(replace(OTHER, workload="prod/a/1"))
    fleet.workloads.column("gap_usage_deaf_s")[:] = 0.0  # others were heard of in between
    rows = evict(fleet, now_s(watch))
    assert [one.key for one in rows] == ["prod/a/0"]
    assert OVERFLOW in fleet.workloads
    assert not fleet.workloads.full


def test_who_finds_no_room_stays_cold():
    watch = at_minute(CUTS[0])
    rows = evict(watch.fleet, now_s(watch))
    watch.fleet.workloads.limit = len(watch.fleet.workloads.own.nonzero()[0])
    back = restore(watch.fleet, watch.detectors, rows, now_s(watch))
    assert {one.kind for one in back} == {ColdKind.DEVICE}


def test_other_bytes_are_no_row():
    for kind in ColdKind:
        with pytest.raises(PanelError):
            restore(Fleet(), (), [Cold(kind, "prod/a/b", b"nonsense")], NOON_S)
