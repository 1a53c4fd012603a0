import asyncio
from threading import Event

import pytest
from structlog.testing import capture_logs

from console.work import end_with, ends_with


@pytest.mark.parametrize(("fault", "stopped"), [(ValueError("broken"), ["stop"]), (None, []), ("cancel", [])])
def test_a_task_that_ends_by_a_fault_stops_the_process(fault, stopped):
    calls: list[str] = []

    async def scene() -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            if isinstance(fault, Exception):
                raise fault

        task = asyncio.ensure_future(work())
        ends_with(task, lambda: calls.append("stop"))
        if fault == "cancel":
            task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    with capture_logs() as logs:
        asyncio.run(scene())

    assert calls == stopped
    assert [entry["event"] for entry in logs] == ["task_failed"] * len(stopped)


def test_duties_end_when_a_stop_begins_not_when_it_is_done():
    stopping, ended = asyncio.Event(), Event()

    async def scene() -> list[bool]:
        task = asyncio.ensure_future(end_with(stopping.wait(), ended))
        await asyncio.sleep(0)
        before = ended.is_set()
        stopping.set()
        await task
        return [before, ended.is_set()]

    assert asyncio.run(scene()) == [False, True]
