"""Workers on Kafka under a steady load, and what is done to them."""

import signal
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from threading import Event, Thread

from confluent_kafka import KafkaException, Producer
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, create_engine, text

from tests.e2e.outcome import Outcome, of_replay, of_store
from tests.e2e.site import Process, Site
from tests.faults.checker import breaches
from tests.faults.embedded import LATENESS, STREAM
from tests.faults.load import PARTITIONS, PRICES, Load, Message
from tests.faults.recorders import Recorders
from tests.support.waiting import wait_until

READY_S = 180.0
WITHIN_S = 240.0
STOP_S = 60.0  # a worker that needs more than nine seconds of its own clock does not end with 0
INSTANCE = "a"  # comes back without waiting for its session to end


class Feed(Thread):
    """Produces one minute of the load after the other, each until Kafka has acknowledged all of it."""

    def __init__(self, site: Site, pieces: Sequence[Sequence[Message]], every_s: float) -> None:
        super().__init__(daemon=True)
        self.site, self.pieces, self.every_s = site, pieces, every_s
        self.sent = self.again = 0
        self.upto: int | None = None  # no more than so many minutes for now
        self.given_up = Event()
        self._producer = Producer(
            {"bootstrap.servers": site.kafka, "acks": "all", "delivery.timeout.ms": 8000, "log_level": 0}
        )

    def run(self) -> None:
        """Until all is sent."""
        for piece in self.pieces:
            while self.upto is not None and self.sent >= self.upto and not self.given_up.wait(0.02):
                pass
            while not self.given_up.is_set() and not self.send(piece):
                self.again += 1
            if self.given_up.is_set():
                return
            self.sent += 1
            self.given_up.wait(self.every_s)

    def send(self, piece: Sequence[Message]) -> bool:
        """Whether all of it was acknowledged; else the whole of it is sent again, and some of it lies there twice."""
        failed: list[object] = []

        def acknowledged(error: object, _message: object) -> None:
            if error is not None:
                failed.append(error)

        try:
            for message in piece:
                topic = self.site.topics[message.topic]
                self._producer.produce(topic, message.value, partition=message.partition, on_delivery=acknowledged)
            left = self._producer.flush(10.0)
        except (KafkaException, BufferError):
            return False
        return not failed and not left

    def stop(self) -> None:
        """Produce no more."""
        self.given_up.set()
        if self.is_alive():
            self.join(20.0)


class Streamed:
    """A site with workers; its store is PostgreSQL or SQLite."""

    def __init__(
        self,
        folder: Path,
        kafka: str,
        store_url: str,
        recorders: Recorders,
        load: Load,
        every_s: float = 0.1,
        at_once: bool = True,
    ) -> None:
        """`at_once`: the feed is of the whole load; else `feed_next` makes those that follow."""
        self.folder, self.load = folder, load
        settings = {"prices": PRICES, "stream": STREAM, **recorders.config(folder)}
        self.site = Site(folder, kafka=kafka, store_url=store_url, config=settings)
        self.engine: Engine = create_engine(store_url)
        self.site.ensure_topics()
        self.site.store()
        self.pieces = load.pieces()
        first = next(self.pieces)
        self.feed = Feed(self.site, list(self.pieces) if at_once else [], every_s)
        assert self.feed.send(first)  # every place has a message before anyone reads

    def ready(self, instance: str | None = INSTANCE, failpoint: str | None = None) -> Process:
        """A worker that reads."""
        worker = self.site.worker(instance, failpoint)
        assert wait_until(worker.ready, READY_S), self.site.tails()
        return worker

    def feed_next(self, minutes: int, every_s: float) -> None:
        """A feed of the next minutes of the load, which begins now."""
        self.feed = Feed(self.site, list(islice(self.pieces, minutes)), every_s)
        self.feed.start()

    def forget_leases(self) -> None:
        """As if the leases of dead processes had run out. Only while none lives."""
        assert not any(one.popen.poll() is None for one in self.site.started)
        with self.engine.begin() as connection:
            connection.execute(text("delete from leases"))
            connection.execute(text("update outbox set lease_until = at where lease_until is not null"))

    def finish(self, *, anew: bool = True) -> None:
        """All is sent, read and told; `anew`: by a last worker, after every other has ended."""
        self.feed.every_s, self.feed.upto = 0.0, None
        self.feed.join(WITHIN_S)
        assert self.feed.sent == len(self.feed.pieces), self.site.tails()
        if anew:
            for process in self.site.started:
                if process.popen.poll() is None:
                    process.popen.send_signal(signal.SIGCONT)
                    process.terminate(within_s=STOP_S)
            self.forget_leases()
            self.ready()
        self.site.wait_read(WITHIN_S)
        wait_until(lambda: not self.breaches(), WITHIN_S, every_s=0.3)

    def breaches(self) -> list[str]:
        """What does not hold."""
        return breaches(self.engine, self.load.produced, self.folder, dead_letters(self.site))

    def as_without_faults(self) -> tuple[Outcome, Outcome]:
        """What is here, and what `replay` makes of the same events in one run without a fault."""
        log = self.folder / "produced.jsonl"
        log.write_bytes(b"\n".join(message.value for message in self.load.messages) + b"\n")
        known = self.load.until - LATENESS - timedelta(minutes=1)
        self.site.replay(self.folder / "out", log)
        wanted = of_replay(self.folder / "out", known)
        wait_until(lambda: of_store(self.site.store(), known) == wanted, 60.0, every_s=0.5)
        return of_store(self.site.store(), known), wanted

    def assert_holds(self) -> None:
        """Every invariant, at the end."""
        assert self.breaches() == [], self.site.tails()
        here, wanted = self.as_without_faults()
        assert here == wanted
        assert {line["kind"] for line in here.identities.values()} == {"idle", "unpriced"}

    def close(self) -> None:
        """End all of it."""
        self.feed.stop()
        for process in self.site.started:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
        self.site.close()
        self.engine.dispose()


def dead_letters(site: Site) -> set[bytes]:
    """The payloads that lie in the topic of dead letters."""
    places = [TopicPartition(site.dead_letters, partition) for partition in range(PARTITIONS)]
    consumer = KafkaConsumer(bootstrap_servers=site.kafka, consumer_timeout_ms=60_000)
    try:
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        number = sum(consumer.end_offsets(places).values())
        return {next(consumer).value for _ in range(number)}
    finally:
        consumer.close()
