"""The worker's life: wait for the topics, run the Faust app, stop within seconds."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from streams.app import App, KafkaSettings, build_app, transport_of
from streams.assignment import WATCH_EVERY_S
from streams.consumption import EXIT_CRASHED, Consumption
from streams.engine import Transport
from streams.handler import Handler
from streams.refusal import refusal
from streams.topics import topic_ids

log = structlog.get_logger(__name__)

LONGEST_RETRY_S = 10.0
PROBE_LIMIT_S = 5.0  # a stop waits for a probe in progress
FLUSH_LIMIT_S = 4.0  # of a stop: for the slice in progress and the last snapshot
STOP_LIMIT_S = 9.0  # of a stop: for everything


class Worker:
    """One member of the consumer group, from its start to a clean stop or a crash."""

    def __init__(
        self,
        settings: KafkaSettings,
        handler: Handler,
        *,
        clock: Callable[[], datetime],
        retry_s: float = 1.0,
        watch_every_s: float = WATCH_EVERY_S,
        die: Callable[[int], object] = os._exit,
        identify: Callable[..., dict[str, str]] = topic_ids,
    ) -> None:
        """`identify`: asks a broker for Kafka's own ids of topics."""
        self._settings = settings
        self._handler = handler
        self._clock = clock
        self._retry_s = retry_s
        self._watch_every_s = watch_every_s
        self._die, self._identify = die, identify
        self._stop = asyncio.Event()
        self._consumption: Consumption | None = None
        self._waiting_for: str | None = "not started"

    async def run(self, *, handle_signals: bool = True) -> int:
        """Work until SIGTERM, SIGINT or `request_stop`; returns the exit code, 0 or EXIT_CRASHED."""
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.request_stop)
        if self.transport.reason is not None:
            log.warning("kafka_transport_is_stock", reason=self.transport.reason)
        while await self._topics_exist():
            code = await self._member()
            if code is not None:
                return code
        return 0

    async def _member(self) -> int | None:
        """Be a member of the group; returns the exit code, or None where it is to be joined anew."""
        with tempfile.TemporaryDirectory(prefix="emberwatch-") as data_dir:
            app = build_app(self._settings, Path(data_dir))
            consumption = Consumption(
                app, self._settings, self._handler, clock=self._clock, die=self._die, identify=self._identify
            )
            self._consumption, self._waiting_for = consumption, None
            watching = asyncio.ensure_future(consumption.watch(self._watch_every_s))
            try:
                crashed = await self._run_app(app, consumption)
            finally:  # a cancellation of this task, too, has to end the threads of the Kafka client
                watching.cancel()
                stopped = await self._stop_app(app, consumption)
                if not stopped:
                    self._die(EXIT_CRASHED)  # those threads would keep the process alive
        if crashed or not stopped:
            return EXIT_CRASHED
        return None if consumption.outdated.is_set() and not self._stop.is_set() else 0

    def request_stop(self) -> None:
        """Begin a clean stop; asking again changes nothing."""
        log.info("worker_stopping")
        self._stop.set()

    async def go_on(self) -> None:
        """Read what was left out of partitions that were stopped, and no longer are. To be called now and then."""
        if self._consumption is not None:
            await self._consumption.go_on()

    @property
    def transport(self) -> Transport:
        """The transport that carries the messages, and why it is not ours, if it is not."""
        return transport_of(self._settings)

    @property
    def unready(self) -> str | None:
        """Why this worker consumes nothing at present; None when it is ready."""
        if self._stop.is_set():
            return "stopping"
        if self._waiting_for is not None:
            return self._waiting_for
        if self._consumption is not None and self._consumption.fault is not None:
            return self._consumption.fault
        if self._consumption is None or not self._consumption.has_assignment:
            return (
                "no partition is assigned: the group is still gathering, "
                "or it has more workers than the topics have partitions"
            )
        return None

    def ready(self) -> bool:
        """Whether partitions of all topics are assigned, loaded and being read."""
        return self.unready is None

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that this worker holds now."""
        return self._consumption.partitions if self._consumption is not None else frozenset()

    def lag_events(self, topic: str, partition: int) -> int | None:
        """How many messages of this logical topic and partition are still to be handled; None while that is unknown."""
        return self._consumption.lag_events(topic, partition) if self._consumption is not None else None

    def caught_up(self, topic: str, partition: int) -> bool:
        """Whether all is handled of this logical topic and partition; False when in doubt, as with a broker away."""
        return self._consumption is not None and self._consumption.caught_up(topic, partition)

    async def _topics_exist(self) -> bool:
        """Wait for the broker and the topics, saying what is missing; False when stopped meanwhile."""
        wait_s = self._retry_s
        while not self._stop.is_set():
            fault = await self._topics_fault()
            self._waiting_for = fault
            if fault is None:
                return True
            log.warning("worker_waiting_for_kafka", reason=fault, retry_in_s=wait_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)
            wait_s = min(2 * wait_s, LONGEST_RETRY_S)
        return False

    async def _topics_fault(self) -> str | None:
        names = list(self._settings.topics.values())
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                counts = await self._partition_counts(names)
        except (KafkaError, TimeoutError) as error:
            return await refusal(self._settings.bootstrap, self._settings.login, error)
        missing = [name for name, count in counts.items() if count == 0]
        if missing:
            return f"topics missing: {', '.join(missing)}; make them with `emberwatch topics ensure`"
        if len(set(counts.values())) > 1:
            return f"the topics' partition counts differ, got {counts}; all topics need the same number of partitions"
        return None

    async def _partition_counts(self, names: Sequence[str]) -> dict[str, int]:
        """How many partitions each topic has; all topics are asked for, since asking for one by name may create it."""
        client = AIOKafkaClient(
            bootstrap_servers=self._settings.bootstrap.split(","), **self._settings.login.client_options()
        )
        try:
            await client.bootstrap()
            found = await client.fetch_all_metadata()
            return {name: len(found.partitions_for_topic(name) or ()) for name in names}
        finally:
            await client.close()

    async def _run_app(self, app: App, consumption: Consumption) -> bool:
        """Run until a stop is asked for, a log is another one, or the app crashes; True when it crashed."""
        starting = asyncio.ensure_future(app.start())
        ended = asyncio.ensure_future(app.wait_until_stopped())
        asked = asyncio.ensure_future(self._stop.wait())
        outdated = asyncio.ensure_future(consumption.outdated.wait())
        await asyncio.wait({starting, ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and starting.exception() is None:
            await asyncio.wait({ended, asked, outdated}, return_when=asyncio.FIRST_COMPLETED)
        error = starting.exception() if starting.done() else app.crash_reason
        for task in (starting, ended, asked, outdated):
            task.cancel()
        await asyncio.gather(starting, ended, asked, outdated, return_exceptions=True)
        if error is None:
            error = app.crash_reason
        if error is not None:
            log.critical("worker_crashed", error=type(error).__name__, exc_info=error)
        return error is not None

    async def _stop_app(self, app: App, consumption: Consumption) -> bool:
        """Flush, leave the group, close; False when that took longer than a stop may take."""
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                try:
                    async with asyncio.timeout(FLUSH_LIMIT_S):
                        await consumption.close()
                except TimeoutError:
                    log.warning(
                        "worker_stopped_without_flush", reason="the store did not answer; events are read again"
                    )
                await app.stop()
        except TimeoutError:
            log.error("worker_stop_timed_out", limit_s=STOP_LIMIT_S)
            return False
        return True
