"""Where accelerators are is put on record when that changes, and else now and then."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from store.facts import DeviceRow
from store.store import Store
from streams.pipeline import Limits, Pipeline
from tests.streams.events import H100, MINUTE, NOON, NOTEBOOK, Log, idle_gpu, pipeline

HALF_HOUR = range(30)


def minutes(number: Iterable[int], devices: int = 1, **fields: Any) -> list[list[dict[str, Any]]]:
    """Each minute one message with a sample of every accelerator."""
    return [
        [idle_gpu(NOON + n * MINUTE, device=f"GPU-{d}", span_s=60, **fields) for d in range(devices)] for n in number
    ]


def recorded(one: Pipeline, log: Log, messages: list[list[dict[str, Any]]]) -> list[DeviceRow]:
    """What is put on record, drained as often as something arrives."""
    rows = []
    for record in log.records(messages):
        one.observe([record])
        rows += one.drain().devices
    one.finish()
    return rows + one.drain().devices


def test_an_accelerator_is_on_record_with_its_first_minute():
    (row,) = recorded(pipeline(), Log(), minutes([1]))

    assert row == DeviceRow(device="GPU-0", workload=NOTEBOOK, at=NOON + MINUTE, gpu_model=H100)


def test_one_that_stays_is_written_once_in_five_minutes_and_not_all_at_the_same_time():
    rows = recorded(pipeline(), Log(), minutes(HALF_HOUR, devices=50))

    by_device, by_minute = Counter(row.device for row in rows), Counter(row.at for row in rows)
    assert set(by_device.values()) <= {6, 7}
    assert [by_minute[NOON + n * MINUTE] for n in range(7)] == [50, 10, 10, 10, 10, 10, 10]


def test_another_owner_is_on_record_at_once():
    rows = recorded(pipeline(), Log(), [*minutes(range(1, 3)), *minutes(range(3, 8), workload="lab//")])

    assert [(row.workload, row.at) for row in rows] == [(NOTEBOOK, NOON + MINUTE), ("lab//", NOON + 3 * MINUTE)]


def test_a_restart_writes_no_record_before_its_time():
    first, again, log = pipeline(), pipeline(), Log()
    recorded(first, log, minutes(range(2), devices=10))

    again.load(first.snapshot(), first.offsets)

    assert len(recorded(again, log, minutes([2], devices=10))) == 2


def test_accelerators_that_share_a_row_are_not_on_record():
    rows = recorded(pipeline(limits=Limits(max_devices=3)), Log(), minutes([1], devices=5))

    assert {row.device for row in rows} == {"GPU-0", "GPU-1"}


def test_the_owner_is_the_latest_of_all_partitions():
    store = Store.open("sqlite://")
    ours, theirs = pipeline(partition=0), pipeline(partition=1)
    epochs = [store.claim_partition(number, "me", NOON).epoch for number in (0, 1)]

    def go_on(one: Pipeline, log: Log, messages: list[list[dict[str, Any]]]) -> None:
        for record in log.records(messages):
            one.observe([record])
        one.finish()
        store.commit(one.partition, epochs[one.partition], one.drain(), snapshot=None, offsets={}, now=NOON)

    here, there = Log(), Log()
    go_on(ours, here, minutes(range(10), devices=2))
    before = store.devices_of(NOTEBOOK, NOON).devices
    go_on(theirs, there, minutes(range(10, 12), workload="lab//"))
    after = store.devices(["GPU-0", "GPU-1"])

    assert before == 2
    assert [(row.device, row.workload) for row in after] == [("GPU-0", "lab//"), ("GPU-1", NOTEBOOK)]
    assert after[0].at == NOON + 11 * MINUTE
    assert store.devices_of(NOTEBOOK, NOON).devices == 1
    store.close()
