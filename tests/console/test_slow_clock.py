"""A machine whose clock is slow takes what comes by HTTP for the future: set aside, and brought back by hand."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from console.cli import app
from console.ingest import Ingest
from store.store import Store
from streams.embedded import Embedded
from streams.keeper import Keeper
from streams.metrics import Metrics
from tests.console.commands.kept import opened
from tests.streams.events import HOUR, MINUTE, gpu, pipeline

SAMPLE_NANO_USD = 33_333_333


def embedded(store: Store, slow: timedelta) -> Embedded:
    """A process on a machine whose clock is slow by so much."""

    def clock() -> datetime:
        return datetime.now(UTC) - slow

    keeper = Keeper(store=store, build=lambda partition: pipeline(partition=partition), owner="me", clock=clock,
                    metrics=Metrics("test"))  # fmt: skip
    return Embedded(store, keeper, clock)


def post(runner: Embedded, *events: object) -> None:
    door = TestClient(Starlette(routes=[Ingest(runner.append).route()]))
    assert door.post("/api/v1/events", json=list(events)).json() == {"accepted": len(events)}


async def read_all(runner: Embedded) -> None:
    runner._next = max((await runner.keeper.assigned({0})).values(), default=0)
    await runner.drain()
    await runner.keeper.revoked({0})


@pytest.mark.parametrize("envelope", [False, True])
def test_what_a_slow_clock_took_for_the_future_counts_once_it_was_put_back(tmp_path: Path, envelope: bool) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("channels: [{type: recorder, name: book}]\nstore: {data_dir: %s}\n" % (tmp_path / "data"))
    store, now = opened(tmp_path), datetime.now(UTC)
    events = [gpu(now - number * MINUTE) for number in range(3, 0, -1)]

    def dlq(*words: str) -> dict[str, object]:
        result = CliRunner().invoke(app, ["dlq", *words, "--config", str(config), "--json"])
        assert result.exit_code == 0, result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    def spent() -> int:
        return sum(row.nano_usd for row in store.ledger_rows(now - 2 * HOUR, now + 2 * HOUR))

    slow = embedded(store, slow=timedelta(hours=1))
    for sent in [events] if envelope else [[event] for event in events]:
        post(slow, *sent)
    asyncio.run(read_all(slow))
    assert [row.fault for row in store.rejects(None)] == ["in_the_future"] * 3
    assert spent() == 0

    right = embedded(store, slow=timedelta())
    post(right, gpu(now))
    asyncio.run(read_all(right))
    assert spent() == SAMPLE_NANO_USD

    answer = dlq("replay", "--reason", "in_the_future", "--yes")
    assert (answer["events"], answer["put_back"]) == (3, {"gpu.samples": 3})
    asyncio.run(read_all(embedded(store, slow=timedelta())))

    assert spent() == 4 * SAMPLE_NANO_USD
    assert len(store.rejects(None)) == 3
    assert dlq("replay", "--reason", "in_the_future", "--yes")["events"] == 0
    store.close()
