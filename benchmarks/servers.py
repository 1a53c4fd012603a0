"""The servers of one measurement: a real Kafka and a real PostgreSQL that keeps what it is told."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from tests.support.kafka_broker import KafkaBroker
from tests.support.kafka_jars import kafka_jars
from tests.support.postgres import Databases, PostgresCluster, server_programs

DURABLE = ("shared_buffers=128MB",)  # and all else as it comes: each commit is on disk when it returns


class Servers(Struct):
    """Where they are, and a folder for what processes write."""

    bootstrap: str
    folder: Path
    databases: Databases | None

    def store_url(self, kind: str, name: str) -> str:
        """The address of an empty database: `postgres` or `sqlite`."""
        if kind == "sqlite":
            return f"sqlite:///{self.folder / name}.sqlite3"
        assert self.databases is not None
        return self.databases.create()


@contextmanager
def servers(*, postgres: bool = True) -> Iterator[Servers]:
    """Kafka, and PostgreSQL where asked for; both end with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberwatch-bench-")))
        bootstrap = os.environ.get("EMBERWATCH_TEST_KAFKA", "")
        if not bootstrap:
            broker = KafkaBroker(folder / "kafka", kafka_jars())
            stack.callback(broker.stop)
            broker.start()
            bootstrap = broker.bootstrap
        databases = None
        if postgres:
            cluster = PostgresCluster(server_programs(), settings=DURABLE)
            stack.callback(cluster.remove)
            cluster.start()
            databases = Databases(cluster.url.render_as_string(hide_password=False))
        yield Servers(bootstrap, folder, databases)
