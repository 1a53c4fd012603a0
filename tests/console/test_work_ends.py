import asyncio

import pytest
from structlog.testing import capture_logs

from console.work import ends_with


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
