"""Processes: the embedded service, a Kafka worker, and the console beside workers. Each ends cleanly on Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from threading import Event, Thread
from urllib.parse import urlsplit

import structlog
import uvicorn
from rich.console import Console as Terminal
from starlette.types import ASGIApp

from alerts.scale_down import Mode
from console import assemble
from console.auth import LOOPBACK_HOSTS, ConsoleAuth
from console.control import StoreControls
from console.settings import Settings
from console.settings_build import budgets
from console.slack_parts import slack_parts
from console.view import ConsoleView
from console.web import build_app
from store import failpoints
from store.errors import StoreUnavailable
from store.store import Store
from streams.back_pressure import BackPressure, Pressure
from streams.challenger import ProphetPool
from streams.duties import Duties
from streams.embedded import Embedded
from streams.health import Health
from streams.intake import Append
from streams.keeper import Keeper, process_owner
from streams.metrics import Metrics

log = structlog.get_logger()

Task = Callable[[asyncio.Event], Awaitable[None]]
Feed = Callable[[Embedded, asyncio.Event], Awaitable[None]]


class Parts:
    """What every process has: the store, the routes, metrics and health."""

    def __init__(self, settings: Settings, kind: str) -> None:
        """Opens the store. Raises StoreError."""
        self.settings = settings
        armed = failpoints.arm(os.environ.get(failpoints.VARIABLE))
        if armed is not None:
            log.warning("failpoint_armed", point=str(armed))
        self.store = Store.open(assemble.store_url(settings))
        self.router = assemble.router(settings)
        self.metrics = Metrics(assemble.version())
        self.health = Health()
        self.pressure = BackPressure()
        self.health.register("store", self.pressure.unwell)
        self.metrics.back_pressure(self.pressure.reasons, Pressure)
        self.owner = process_owner(kind)
        self.pool = ProphetPool()
        self.slack = slack_parts(settings, self.store, self.controls(), assemble.now_utc)

    def duties(self, terminal: Terminal) -> Duties:
        """What is done once in the whole service."""
        made = assemble.duties(
            self.settings, self.store, self.router, metrics=self.metrics, owner=self.owner, terminal=terminal,
            link_base=self.public_url(), pool=self.pool, pressure=self.pressure,
        )  # fmt: skip
        self.health.register("duties", made.unwell)
        return made

    def public_url(self) -> str:
        """Where people find the console."""
        wanted = self.settings.console
        return str(wanted.public_url or f"http://{wanted.host}:{wanted.port}").rstrip("/")

    def controls(self) -> StoreControls:
        """What people may change."""
        policy = assemble.scale_down_policy(self.settings)
        return StoreControls(self.store, self.router, policy, assemble.now_utc)

    def app(self, token: str, append: Append | None) -> ASGIApp:
        """The console."""
        policy = assemble.scale_down_policy(self.settings)
        hosts = {*LOOPBACK_HOSTS, self.settings.console.host, urlsplit(self.public_url()).hostname or ""} - {""}
        return build_app(
            ConsoleView(self.store, budgets(self.settings), clock=assemble.now_utc),
            ConsoleAuth(token, allowed_hosts=hosts, clock=lambda: assemble.now_utc().timestamp()),
            health=self.health,
            registry=self.metrics.registry,
            mode=Mode(policy.effective_mode),
            controls=self.controls(),
            append=append,
            slack=self.slack.door,
            unavailable=(StoreUnavailable,),
            version=assemble.version(),
        )

    def close(self) -> None:
        """Let everything go."""
        self.pool.close()
        self.store.close()


@contextlib.contextmanager
def opened(settings: Settings, kind: str) -> Iterator[Parts]:
    """The parts of a process, closed at the end. Raises StoreError."""
    parts = Parts(settings, kind)
    try:
        yield parts
    finally:
        parts.close()


async def run_embedded(parts: Parts, terminal: Terminal, token: str, ready: Callable[[], None]) -> None:
    """Everything in this process: HTTP in, pipeline, duties, console."""
    await run_embedded_with(parts, terminal, token, None, ready)


async def run_embedded_with(
    parts: Parts, terminal: Terminal, token: str, feed: Feed | None, ready: Callable[[], None]
) -> None:
    """The same, with something else in the process that feeds it."""
    embedded = embedded_of(parts)
    tasks: list[Task] = [embedded.run]
    if feed is not None:
        tasks.append(partial(feed, embedded))
    await _run_all(parts, terminal, app=parts.app(token, embedded.append), tasks=tasks, ready=ready)


def embedded_of(parts: Parts) -> Embedded:
    """The runner on the store's inbox."""
    keeper = assemble.keeper(
        parts.settings,
        parts.store,
        parts.router,
        owner=parts.owner,
        metrics=parts.metrics,
        pressure=parts.pressure,
    )
    parts.health.register("partitions", keeper.stopped_in_words, needed=False)
    return Embedded(parts.store, keeper, assemble.now_utc)


async def run_console(parts: Parts, terminal: Terminal, token: str, ready: Callable[[], None]) -> None:
    """The console and the duties, beside Kafka workers on the same store."""
    await _run_all(parts, terminal, app=parts.app(token, None), tasks=[], ready=ready)


async def _run_all(
    parts: Parts, terminal: Terminal, *, app: ASGIApp, tasks: list[Task], ready: Callable[[], None]
) -> None:
    """Run until a signal, or until a task ends by an error; then stop everything in order."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ended = Event()
    duties = Thread(target=parts.duties(terminal).run, args=(ended,), name="duties", daemon=True)
    wanted = parts.settings.console
    server = Server(app, wanted.host, wanted.port)
    running = [asyncio.ensure_future(task(stop)) for task in (*tasks, *(one.run for one in parts.slack.sockets))]
    serving = asyncio.ensure_future(server.serve())
    try:
        await server.wait_started(serving)
        duties.start()
        ready()
        await asyncio.wait([asyncio.ensure_future(stop.wait()), serving, *running], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        ended.set()
        server.should_exit = True
        results = await asyncio.gather(serving, *running, return_exceptions=True)
        if duties.is_alive():
            await asyncio.to_thread(duties.join, 10.0)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


class Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: this process has one way to end."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Serve an app at an address. The access log stays off: the first address bears the token."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=3,
                limit_concurrency=512,
                timeout_keep_alive=15,
                proxy_headers=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are not the server's."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and answer until told to end. Raises OSError where the address can't be had."""
        await super().serve(sockets or [listening(self.config.host, self.config.port)])

    async def wait_started(self, serving: "asyncio.Future[None]") -> None:
        """Until it listens. Raises what kept it from that."""
        while not self.started:
            if serving.done():
                serving.result()
                raise OSError(f"cannot listen on {self.config.host}:{self.config.port}")
            await asyncio.sleep(0.02)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError, in words."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}:{port}: {error.strerror}. Does emberwatch run already? Another port: --port, or "
            "console.port in the config (of a worker: metrics.port)"
        ) from None


async def tick_keeper(
    keeper: Keeper, stop: asyncio.Event, every_s: float = 0.5, also: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Let a keeper's partitions see the time pass; `also`: what is to be done each time after that."""
    while not stop.is_set():
        await keeper.tick()
        if also is not None:
            await also()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
