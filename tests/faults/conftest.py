"""Stand-ins that write down all they are asked, and services under load."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.embedded import Embedded
from tests.faults.load import Load
from tests.faults.recorders import Recorders, recorders
from tests.faults.streamed import Streamed

MakeEmbedded = Callable[..., Embedded]
MakeStreamed = Callable[..., Streamed]


@pytest.fixture
def until() -> datetime:
    """Where a load ends: now, so that its news is fresh."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorders]:
    """Slack, PagerDuty and the receiver of scale-downs."""
    with recorders(tmp_path) as made:
        yield made


@pytest.fixture
def make_embedded(tmp_path: Path, recorded: Recorders, until: datetime) -> Iterator[MakeEmbedded]:
    """Makes services in one process."""
    made: list[Embedded] = []

    def make(store_url: str, load: Load | None = None, **config: Any) -> Embedded:
        made.append(Embedded(tmp_path, store_url, recorded, load or Load(7, until), **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def make_streamed(tmp_path: Path, recorded: Recorders, until: datetime) -> Iterator[MakeStreamed]:
    """Makes workers' sites under a steady load."""
    made: list[Streamed] = []

    def make(kafka: str, store_url: str, load: Load | None = None, **options: Any) -> Streamed:
        made.append(Streamed(tmp_path, kafka, store_url, recorded, load or Load(7, until, minutes=50), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
