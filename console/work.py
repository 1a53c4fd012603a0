"""A Kafka worker as a process: consumes partitions, keeps them in the store, and shows its health and metrics."""

import asyncio
from collections.abc import Callable, Sequence
from threading import Event, Thread

import structlog
from msgspec import to_builtins
from rich.console import Console as Terminal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from console import assemble
from console.metrics_page import metrics_answer
from console.service import Parts, Server, tick_keeper
from store.facts import RejectRow
from streams.app import KafkaSettings
from streams.commits import DeadLetters
from streams.consumption import EXIT_CRASHED
from streams.dead_letters import DeadLetterProducer
from streams.topics import KafkaUnreachable
from streams.worker import Worker

log = structlog.get_logger()

LONGEST_WAIT_S = 15.0


async def run_worker(parts: Parts, terminal: Terminal, instance: str | None, *, duties: bool = True) -> int:
    """Consume until SIGTERM or Ctrl-C; returns the exit code."""
    settings = parts.settings
    login, topics = assemble.kafka_login(settings), assemble.kafka_topics(settings)
    dead = DeadLetterProducer(
        bootstrap=assemble.kafka_bootstrap(settings),
        topic=settings.kafka.dead_letter_topic,
        topics=topics,
        group=settings.kafka.group,
        login=login,
    )
    worker: Worker | None = None

    def behind(partition: int) -> frozenset[str]:
        """The inputs of a partition with messages that are not handled yet."""
        if worker is None:
            return frozenset(topics)
        return frozenset(topic for topic in topics if not worker.caught_up(topic, partition))

    keeper = assemble.keeper(
        settings,
        parts.store,
        parts.router,
        owner=parts.owner,
        metrics=parts.metrics,
        dead_letters=patiently(dead),
        behind=behind,
        pressure=parts.pressure,
    )
    worker = Worker(
        KafkaSettings(
            bootstrap=assemble.kafka_bootstrap(settings),
            group=settings.kafka.group,
            topics=topics,
            instance_id=instance,
            login=login,
            transport=settings.kafka.transport,
            batch_bytes=settings.kafka.max_batch_bytes,
        ),
        keeper,
        clock=assemble.now_utc,
    )
    parts.metrics.transport(worker.transport.scheme, worker.transport.reason)
    parts.health.register("kafka", lambda: worker.unready)
    parts.health.register("partitions", keeper.stopped_in_words, needed=False)
    parts.health.note("gaps", keeper.gaps_found)
    ended, stop = Event(), asyncio.Event()
    working = Thread(target=parts.duties(terminal).run, args=(ended,), name="duties", daemon=True)
    server = Server(probes(parts), settings.metrics.host, settings.metrics.port)
    serving = asyncio.ensure_future(server.serve())
    ticking = asyncio.ensure_future(tick_keeper(keeper, stop, also=worker.go_on))
    ends_with(ticking, worker.request_stop)
    try:
        await server.wait_started(serving)
        if duties:
            working.start()
        code = await worker.run()
        return EXIT_CRASHED if ticking.done() and not ticking.cancelled() and ticking.exception() else code
    finally:
        stop.set()
        ended.set()
        server.should_exit = True
        await asyncio.gather(ticking, serving, return_exceptions=True)
        await dead.close()
        if working.is_alive():
            await asyncio.to_thread(working.join, 5.0)


def ends_with(task: "asyncio.Future[None]", stop: Callable[[], None]) -> None:
    """Stop the process when a task of it ends by a fault: what it had in memory is read again by the next one."""

    def ended(done: "asyncio.Future[None]") -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            log.critical("task_failed", error=type(error).__name__, exc_info=error)
            stop()

    task.add_done_callback(ended)


def patiently(dead: DeadLetterProducer) -> DeadLetters:
    """Put dead letters, waiting for a broker that is away: the slice goes on only when they are written."""

    async def put(rejects: Sequence[RejectRow]) -> None:
        wait_s = 0.5
        while True:
            try:
                await dead.put(rejects)
            except KafkaUnreachable as error:
                log.warning("dead_letters_wait", reason=str(error), retry_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            else:
                return

    return put


def probes(parts: Parts) -> Starlette:
    """What a worker shows: alive, ready, metrics. Nothing in it is secret."""

    def live(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def ready(request: Request) -> Response:
        readiness = parts.health.readiness()
        return JSONResponse(to_builtins(readiness), 200 if readiness.ready else 503)

    def metrics(request: Request) -> Response:
        return metrics_answer(request, parts.metrics.registry)

    return Starlette(
        routes=[
            Route("/livez", live),
            Route("/healthz", live),
            Route("/readyz", ready),
            Route("/metrics", metrics),
        ]
    )
