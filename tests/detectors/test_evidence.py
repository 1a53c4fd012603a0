"""What a sample says, case by case: families of evidence that agree, and whether any contradicts."""

from math import nan

import pytest

from detectors.evidence import EvidenceRules
from detectors.panel import Fleet
from tests.detectors.minutes import Gpu, minute_of


def judged(*samples: Gpu) -> list[tuple[int, bool]]:
    """(families, busy) of one accelerator, sample after sample."""
    fleet = Fleet()
    fleet.devices.declare("lowest_power_w", "f8", float("inf"))
    said = []
    for number, sample in enumerate(samples):
        evidence = EvidenceRules().judge(fleet.devices, minute_of(fleet, number, sample).devices)
        said.append((int(evidence.families[0]), bool(evidence.busy[0])))
    return said


@pytest.mark.parametrize(
    ("sample", "families", "busy"),
    [
        (Gpu(), 0, False),
        (Gpu(util_ratio=0.0), 1, False),
        (Gpu(util_ratio=0.05), 1, False),
        (Gpu(util_ratio=0.051), 0, True),
        (Gpu(tensor_active_ratio=0.02), 1, False),
        (Gpu(tensor_active_ratio=0.03), 0, True),
        (Gpu(util_ratio=0.0, engine_active_ratio=0.0, sm_active_ratio=0.0, tensor_active_ratio=0.0), 1, False),
        (Gpu(util_ratio=0.0, sm_active_ratio=0.06), 0, True),
        (Gpu(power_w=70.0), 1, False),
        (Gpu(power_w=180.0), 1, False),
        (Gpu(power_w=180.1), 0, True),
        (Gpu(power_w=0.0), 0, False),
        (Gpu(memory_used_ratio=0.019), 1, False),
        (Gpu(memory_used_ratio=0.02), 0, False),
        (Gpu(memory_used_ratio=1.0), 0, False),
        (Gpu(util_ratio=0.0, power_w=70.0, memory_used_ratio=0.0), 3, False),
        (Gpu(util_ratio=1.0, power_w=70.0, memory_used_ratio=0.0), 0, True),
        (Gpu(util_ratio=nan, power_w=70.0, memory_used_ratio=nan), 1, False),
    ],
)
def test_families_are_counted_not_fields(sample: Gpu, families: int, busy: bool):
    assert judged(sample) == [(families, busy)]


def test_power_is_measured_against_the_lowest_seen_on_the_device():
    assert judged(Gpu(power_w=50.0), Gpu(power_w=90.0), Gpu(power_w=90.1)) == [(1, False), (1, False), (0, True)]


def test_a_lower_level_seen_later_counts_from_then_on():
    assert judged(Gpu(power_w=120.0), Gpu(power_w=40.0), Gpu(power_w=120.0)) == [(1, False), (1, False), (0, True)]


def test_a_missing_or_zero_reading_teaches_nothing():
    readings = [Gpu(power_w=70.0), Gpu(), Gpu(power_w=0.0), Gpu(power_w=100.0)]
    assert judged(*readings) == [(1, False), (0, False), (0, False), (1, False)]


def test_devices_learn_apart():
    fleet = Fleet()
    fleet.devices.declare("lowest_power_w", "f8", float("inf"))
    pair = [Gpu(device="a", power_w=30.0), Gpu(device="b", power_w=100.0)]
    EvidenceRules().judge(fleet.devices, minute_of(fleet, 1, *pair).devices)
    again = [Gpu(device="a", power_w=100.0), Gpu(device="b", power_w=100.0)]
    evidence = EvidenceRules().judge(fleet.devices, minute_of(fleet, 2, *again).devices)
    assert (evidence.busy.tolist(), evidence.families.tolist()) == ([True, False], [0, 1])
