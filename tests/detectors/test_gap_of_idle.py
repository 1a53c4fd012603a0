"""Lost telemetry: silence of a workload that reported regularly."""

from detectors.data_gap import DataGapDetector
from detectors.findings import Kind
from detectors.idle import IdleDetector
from detectors.minute import Minute
from detectors.panel import Fleet
from tests.detectors.reports import Gpu, Watch, at


class Both:
    """The idle detector, then the one for gaps, as the service has them."""

    name = "both"

    def __init__(self) -> None:
        self.idle, self.gap = IdleDetector(), DataGapDetector()

    def look(self, fleet: Fleet, minute: Minute) -> list:  # type: ignore[type-arg]
        return [*self.idle.look(fleet, minute), *self.gap.look(fleet, minute)]


def clock() -> Gpu:
    """Another workload, so that time goes on."""
    return Gpu(device="GPU-9", workload="prod/llm/other", util_ratio=0.6, power_w=300.0)


def kinds(util_ratio: float, power_w: float) -> list[Kind]:
    """What is opened when a workload works like this for an hour and then falls silent."""
    watch = Watch(Both())
    for number in range(1, 61):
        watch.see(number, Gpu(util_ratio=util_ratio, power_w=power_w, sm_active_ratio=util_ratio), clock())
    for number in range(61, 120):
        watch.see(number, clock())
    return [finding.kind for finding in watch.told if not finding.cleared and finding.workload == "prod/llm/chat"]


def test_a_busy_workload_that_falls_silent_is_lost():
    assert kinds(util_ratio=0.6, power_w=300.0) == [Kind.DATA_GAP]


def test_an_idle_workload_that_falls_silent_was_stopped():
    assert kinds(util_ratio=0.0, power_w=60.0) == [Kind.IDLE]


def test_silence_is_told_after_a_quarter_of_an_hour():
    watch = Watch(Both())
    for number in range(1, 61):
        watch.see(number, Gpu(util_ratio=0.6), clock())
    for number in range(61, 90):
        watch.see(number, clock())

    (finding,) = watch.findings
    assert (finding.began_at, finding.at, finding.evidence) == (at(60), at(76), {"silent_s": 960.0})
