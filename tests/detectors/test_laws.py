"""Laws that hold for every detector, shown on one eventful day and on random reports."""

from dataclasses import fields
from functools import cache
from math import isfinite

import numpy as np
import pytest
from msgspec.structs import asdict, replace

from detectors.anomaly import AnomalyDetector
from detectors.data_gap import DataGapDetector
from detectors.findings import Cause, Finding, Kind
from detectors.idle import IdleDetector
from detectors.minute import Detector
from detectors.panel import Fleet
from detectors.peers import PeersDetector
from detectors.scale_out import ScaleOutDetector
from detectors.stuck import StuckDetector
from detectors.unpriced import UnpricedDetector
from detectors.unused_part import UnusedPartDetector
from tests.detectors.minutes import BUSY, QUIET, Gpu, Report, Unpriced, Use, Watch, minute_of, openings

NAMES = (
    "prod/a/idle",
    "prod/b/serving",
    "prod/c/silent",
    "prod/d/spiky",
    "prod/e/unpriced",
    "prod/f/stuck",
    "prod//",
    "prod/g/partly",
)
EVERYTHING = (
    IdleDetector, DataGapDetector, UnpricedDetector, AnomalyDetector, StuckDetector, ScaleOutDetector,
    UnusedPartDetector, PeersDetector,
)  # fmt: skip
YOUNG = AnomalyDetector(min_history_h=3.0)  # so that a day is enough
MINUTES = 10 * 60


def reports(name: str, number: int) -> list[Report]:
    """What one workload of the eventful day reports in a minute, whatever the others do."""
    device = f"GPU-{name}"
    quiet = replace(QUIET, device=device, workload=name)
    busy = replace(BUSY, device=device, workload=name)
    match name.rpartition("/")[2]:
        case "idle":
            return [busy if number % 200 < 20 else quiet]
        case "serving":
            return [quiet, Use(workload=name, requests=float(number % 90 < 10), tokens=100.0, usd=0.01)]
        case "silent":
            return [] if 100 <= number < 150 else [busy]
        case "spiky":
            usd = 3.0 if 420 <= number < 450 else 0.1 + 0.01 * (number % 3)
            return [Use(workload=name, requests=usd * 10, tokens=usd * 1e5, usd=usd)]
        case "unpriced":
            return [Unpriced(workload=name, tokens=50.0)] if number % 300 < 60 else []
        case "stuck":
            still = replace(busy, util_ratio=0.99, sm_active_ratio=0.02, power_w=QUIET.power_w)
            return [still if 200 <= number < 260 else replace(busy, sm_active_ratio=0.6)]
        case "partly":
            slow = replace(busy, util_ratio=0.4 if number >= 120 else 0.9, power_w=300.0)
            others = [replace(busy, device=f"GPU-{name}-{place}") for place in range(4)]
            unused = replace(quiet, device=f"GPU-{name}-5")
            return [*others, replace(slow, device=f"GPU-{name}-4"), unused]
        case _:
            return [quiet]


def day(watch: Watch, names: tuple[str, ...] = NAMES, *, first: int = 1, last: int = MINUTES) -> list[Finding]:
    """Minutes `first` to `last` of the eventful day."""
    return [
        finding
        for number in range(first, last + 1)
        for finding in watch.see(*(report for name in names for report in reports(name, number)))
    ]


def detectors() -> tuple[Detector, ...]:
    return tuple(YOUNG if kind is AnomalyDetector else kind() for kind in EVERYTHING)


def each(kind: type) -> tuple[Detector, ...]:
    """One detector alone; whose accelerators are whose is the idle detector's to keep."""
    own = YOUNG if kind is AnomalyDetector else kind()
    return (own,) if kind is IdleDetector else (IdleDetector(), own)


@cache
def whole_day(kind: type, names: tuple[str, ...] = NAMES) -> tuple[Finding, ...]:
    """The eventful day in one piece."""
    return tuple(day(Watch(*each(kind)), names))


def test_the_eventful_day_shows_every_kind():
    found = openings(day(Watch(*detectors())))
    assert {one.kind for one in found} == {Kind.IDLE, Kind.DATA_GAP, Kind.UNPRICED, Kind.ANOMALY, Kind.WASTE}
    assert {(one.kind, one.workload) for one in found} == {
        (Kind.IDLE, "prod/a/idle"),
        (Kind.IDLE, "prod/b/serving"),
        (Kind.IDLE, "prod//"),
        (Kind.DATA_GAP, "prod/c/silent"),
        (Kind.UNPRICED, "prod/e/unpriced"),
        (Kind.ANOMALY, "prod/d/spiky"),
        (Kind.WASTE, "prod/f/stuck"),
        (Kind.WASTE, "prod/g/partly"),
    }
    assert {one.cause for one in found if one.workload == "prod/g/partly"} == {Cause.UTILIZATION, Cause.UNLIKE_PEERS}


@pytest.mark.parametrize("kind", EVERYTHING)
def test_the_same_minutes_give_the_same_findings(kind: type):
    assert tuple(day(Watch(*each(kind)))) == whole_day(kind)


@pytest.mark.parametrize("kind", EVERYTHING)
@pytest.mark.parametrize("name", NAMES)
def test_a_workloads_findings_do_not_depend_on_its_neighbours(kind: type, name: str):
    beat = "prod/z/"  # somebody is always heard
    alone, among = whole_day(kind, (name, beat)), whole_day(kind, (*NAMES[::-1], beat))
    assert [one for one in among if one.workload == name] == [one for one in alone if one.workload == name]


@pytest.mark.parametrize("kind", EVERYTHING)
@pytest.mark.parametrize("cut", [35, 115, 430])
def test_state_survives_a_trip_through_bytes(kind: type, cut: int):
    watch = Watch(*each(kind))
    before = day(watch, last=cut)
    fleet = Fleet()  # in which no detector has declared anything yet
    fleet.load(watch.fleet.to_bytes())
    after = Watch(*each(kind), fleet=fleet)
    after.number = cut
    assert tuple(before + day(after, first=cut + 1)) == whole_day(kind)


def test_a_trip_through_bytes_after_each_hour_changes_no_state():
    watch, other = Watch(*detectors()), Watch(*detectors())
    for first in range(1, MINUTES, 60):
        day(watch, first=first, last=first + 59)
        day(other, first=first, last=first + 59)
        fleet = Fleet()
        fleet.load(other.fleet.to_bytes())
        number, other = other.number, Watch(*detectors(), fleet=fleet)
        other.number = number
    day(watch, first=1, last=1)
    day(other, first=1, last=1)
    assert other.fleet.to_bytes() == watch.fleet.to_bytes()


def numbers(finding: Finding) -> list[float]:
    figures = [value for value in asdict(finding).values() if isinstance(value, float)]
    return figures + list(finding.evidence.values())


@pytest.mark.parametrize("kind", EVERYTHING)
@pytest.mark.parametrize("seed", range(3))
def test_finite_in_finite_out(kind: type, seed: int):
    random = np.random.default_rng(seed)
    sizes = [0.0, 1e-9, 1.0, 1e3, 1e9]

    def gpu(number: int) -> Gpu:
        known = {
            name: float(random.random() ** 8) for name in ("util_ratio", "tensor_active_ratio", "memory_used_ratio")
            if random.random() < 0.7
        }  # fmt: skip
        return Gpu(
            device=f"GPU-{number}", workload=f"prod/a/{random.integers(3)}", span_s=float(random.choice([1, 60, 3600])),
            power_w=float(random.choice([np.nan, 0.0, 70.0, 5000.0])),
            usd_per_hour=float(random.choice([np.nan, *sizes])), **known,
        )  # fmt: skip

    def use(number: int) -> Use:
        usd, requests, tokens, reference_usd = (float(random.choice(sizes)) for _ in range(4))
        return Use(
            workload=f"prod/a/{number}", span_s=float(random.choice([0, 60, 7 * 86400])), requests=requests,
            tokens=tokens, usd=usd, reference_usd=reference_usd, running=float(random.choice([np.nan, *sizes])),
        )  # fmt: skip

    watch = Watch(*each(kind))
    found = []
    for _ in range(1500):
        shown: list[Report] = [gpu(number) for number in range(4) if random.random() < 0.8]
        shown += [use(number) for number in range(3) if random.random() < 0.5]
        shown += [Unpriced(workload="prod/a/1", tokens=float(random.choice(sizes)))] if random.random() < 0.1 else []
        found += watch.see(*shown)
    assert all(isfinite(value) for one in found for value in numbers(one))


@pytest.mark.parametrize("kind", EVERYTHING)
def test_an_hour_of_silence_of_everything_raises_nothing(kind: type):
    watch = Watch(*each(kind))
    settled = tuple(name for name in NAMES if name.rpartition("/")[2] in ("silent", "spiky"))
    assert day(watch, settled, last=90) == []
    assert watch.see(minutes=60) == []
    assert day(watch, settled, first=1, last=90) == []


def test_silence_of_one_workload_raises_only_a_data_gap():
    watch = Watch(*detectors())
    names = ("prod/c/silent", "prod/d/spiky")
    assert day(watch, names, last=90) == []
    found = day(watch, names[1:], first=91, last=150)
    assert [(one.kind, one.workload) for one in found] == [(Kind.DATA_GAP, "prod/c/silent")]


@pytest.mark.parametrize("kind", EVERYTHING)
def test_an_empty_fleet_has_nothing_to_say(kind: type):
    assert Watch(*each(kind)).see(minutes=120) == []


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_detector_holds_settings_and_no_state(kind: type):
    own = each(kind)[-1]
    settings = {field.name: getattr(own, field.name) for field in fields(own)}  # type: ignore[arg-type]
    day(Watch(*each(kind)), last=60)
    assert {field.name: getattr(own, field.name) for field in fields(own)} == settings  # type: ignore[arg-type]
    own.look(Fleet(), minute_of(Fleet(), 1))


def test_the_order_in_which_reports_come_changes_nothing():
    watch, other = Watch(*detectors()), Watch(*detectors())
    day(watch, last=1)
    day(other, last=1)  # rows are given in order of arrival
    assert day(watch, NAMES, first=2, last=200) == day(other, NAMES[::-1], first=2, last=200)
