"""Runs the demo: the embedded service on a made-up fleet, with a past of sixty hours and a present that goes on."""

import asyncio
import contextlib
import secrets
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console as Terminal

from alerts.targets.webhook import Request
from console import assemble
from console.demo.fleet import HISTORY, DemoFleet
from console.demo.settings import demo_settings
from console.fakes.receiver import FakeReceiver
from console.fakes.slack import FakeSlack
from console.service import Parts, run_embedded_with
from streams.embedded import Embedded
from streams.intake import IntakeRefused

BATCH = 200
STEP_S = 2.0


@contextlib.contextmanager
def demo(seed: int, port: int, data_dir: Path | None) -> Iterator["Demo"]:
    """Stand-ins, settings and a folder that last as long as the demo."""
    token, secret = "xoxb-" + secrets.token_hex(12), "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    with contextlib.ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberwatch-demo-")))
        fleet = DemoFleet(seed, assemble.now_utc())

        def scaled_down(request: Request) -> None:
            fleet.scale_down(request.workload, assemble.now_utc())

        slack = stack.enter_context(FakeSlack(token=token, channels={"C0DEMO": "ai-cost"}))
        receiver = stack.enter_context(FakeReceiver(secrets=(secret,), on_executed=scaled_down))
        settings = demo_settings(
            slack=slack.base_url, receiver=receiver.url, data_dir=folder, port=port, token=token, secret=secret
        )
        parts = Parts(settings, "demo")
        stack.callback(parts.close)
        yield Demo(parts, fleet)


class Demo:
    """The service and what feeds it."""

    def __init__(self, parts: Parts, fleet: DemoFleet) -> None:
        """Both ready to start."""
        self.parts, self.fleet = parts, fleet

    def run(self, terminal: Terminal, token: str, ready: Callable[[], None]) -> None:
        """Until Ctrl-C."""
        asyncio.run(run_embedded_with(self.parts, terminal, token, self._feed, ready))

    async def _feed(self, embedded: Embedded, stop: asyncio.Event) -> None:
        """First the past, as fast as it goes; then the present, as it comes."""
        done = await self._append(embedded, self.fleet.began_at - HISTORY, self.fleet.began_at, stop)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), STEP_S)
            now = assemble.now_utc()
            done = await self._append(embedded, done, now, stop)

    async def _put(self, embedded: Embedded, values: list[bytes], stop: asyncio.Event) -> None:
        """Until they are kept, as any sender would."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(embedded.append, values)
            except IntakeRefused as refused:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), refused.retry_after_s)
            else:
                return

    async def _append(self, embedded: Embedded, start: datetime, end: datetime, stop: asyncio.Event) -> datetime:
        step = timedelta(hours=1)
        while start < end and not stop.is_set():
            upto = min(start + step, end)
            values = list(self.fleet.events(start, upto))
            for place in range(0, len(values), BATCH):
                await self._put(embedded, values[place : place + BATCH], stop)
            start = upto
        return start
