"""Sites for the end-to-end tests, and what is made once for all of them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.logs import benchmark, benchmark_config
from tests.e2e.outcome import Outcome, of_replay
from tests.e2e.site import Site

MakeSite = Callable[..., Site]
BENCHMARK_KNOWN_UNTIL = datetime.fromisoformat("2026-02-01T23:58:00Z")  # its end less the allowed lateness


@pytest.fixture
def make_site(kafka_broker: str, postgres_database: str, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes the test's site on the shared servers; whatever it started is killed at the end."""
    made: list[Site] = []

    def make(**options: Any) -> Site:
        given = {"kafka": kafka_broker, "store_url": postgres_database, **options}
        made.append(Site(tmp_path, **given))
        return made[-1]

    yield make
    for site in made:
        site.close()


class Benchmark:
    """The benchmark's log on Kafka, and what `replay` makes of the same files."""

    def __init__(self, site: Site, config: dict[str, Any], replayed: Outcome) -> None:
        self.topics, self.config, self.replayed, self.ends = site.topics, config, replayed, site.ends()


@pytest.fixture(scope="session")
def bench(kafka_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Generated, published with `emberwatch produce`, and replayed, once."""
    folder = tmp_path_factory.mktemp("bench")
    events = benchmark(folder)
    config = benchmark_config(events)
    site = Site(folder, kafka=kafka_broker, store_url="sqlite://", config=config)
    files = sorted(events.glob("*.jsonl.gz"))
    site.ensure_topics()
    site.produce(*files)
    site.replay(folder / "out", *files)
    return Benchmark(site, config, of_replay(folder / "out", BENCHMARK_KNOWN_UNTIL))
