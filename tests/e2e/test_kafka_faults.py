"""The Kafka door when things go wrong: what is away is waited for, nothing is lost, and nothing is said twice."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from alerts.reasons import Reason
from console.fakes.slack import FakeSlack, Posted
from tests.e2e.conftest import MakeSite
from tests.e2e.logs import fleet_config, fleet_files
from tests.e2e.outcome import Outcome, of_replay, of_store
from tests.e2e.site import Process, Site, listening_ports
from tests.support.kafka_broker import KafkaBroker
from tests.support.postgres import Databases, PostgresCluster
from tests.support.waiting import wait_until

READY_S = 180.0
READ_S = 240.0
TOLD_S = 360.0  # a notice that a killed worker was sending is free again after 120 s
TOKEN = "xoxb-end-to-end"


@pytest.fixture
def posted() -> list[str]:
    """The notices that were posted to Slack, as they came: edits of a message change no count."""
    return []


@pytest.fixture
def slack(posted: list[str]) -> Iterator[FakeSlack]:
    def note(message: Posted) -> None:
        posted.append(notice_of(message))

    with FakeSlack(token=TOKEN, channels={"C1": "ai-cost"}, on_message=note) as fake:
        yield fake


def notice_of(message: Posted) -> str:
    """The id of the notice that a message was posted or last edited for."""
    assert message.metadata is not None
    return str(message.metadata["event_payload"]["notice_id"])


@pytest.fixture
def until() -> datetime:
    """Where the fleet's log ends: now, so that its news is fresh."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


def settings(folder: Path, slack: FakeSlack) -> dict[str, object]:
    """The fleet's prices, and a stand-in for Slack as the only channel."""
    token = folder / "slack-token"
    token.write_text(TOKEN)
    channel = {
        "type": "slack", "name": "slack", "channel": "C1", "token_file": str(token), "base_url": slack.base_url,
    }  # fmt: skip
    return {**fleet_config(), "channels": [channel]}


def ready_worker(site: Site, instance: str | None = None) -> Process:
    worker = site.worker(instance)
    assert wait_until(worker.ready, READY_S), site.tails()
    return worker


def assert_as_replayed(site: Site, files: list[Path], until: datetime) -> Outcome:
    """Incidents, messages and dollars are those that `replay` makes of the same files."""
    known_until = until - timedelta(minutes=3)
    site.replay(site.folder / "out", *files)
    replayed = of_replay(site.folder / "out", known_until)
    wait_until(lambda: of_store(site.store(), known_until) == replayed, READ_S, every_s=0.5)
    here = of_store(site.store(), known_until)
    assert here == replayed
    assert {line["kind"] for line in here.identities.values()} >= {"idle", "unpriced"}
    return here


def assert_told_once(site: Site, posted: list[str]) -> None:
    """No notice was posted twice, and whatever people must hear of was posted: the first of each incident."""
    store = site.store()
    assert wait_until(lambda: not any(store.pending_counts().values()), TOLD_S), store.pending_counts()
    delivered = [entry.notice for entry in store.notices(10_000) if entry.state == "delivered"]
    firsts = {one.notice_id for one in delivered if one.reason is Reason.FIRST_TIME}
    assert max(Counter(posted).values()) == 1
    assert firsts <= set(posted) <= {one.notice_id for one in delivered}
    assert len(firsts) >= 3


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_store_and_a_broker_that_go_away_are_waited_for(
    tmp_path: Path, kafka_programs: Path, postgres_programs: Path, slack: FakeSlack, posted: list[str], until: datetime
) -> None:
    broker, database = KafkaBroker(tmp_path / "kafka", kafka_programs), PostgresCluster(postgres_programs)
    broker.start()
    database.start()
    url = Databases(database.url.render_as_string()).create()
    site = Site(tmp_path, kafka=broker.bootstrap, store_url=url, config=settings(tmp_path, slack))
    try:
        first, second, third = fleet_files(tmp_path, until, parts=3)
        site.ensure_topics()
        worker = ready_worker(site)
        site.produce(first)
        site.wait_read(READ_S)

        database.stop()
        site.produce(second)
        assert wait_until(lambda: "can't be reached" in worker.checks()["store"], READ_S), worker.checks()
        assert not worker.ready()
        database.start()
        site.wait_read(READ_S)
        assert wait_until(worker.ready, READ_S), worker.checks()
        assert "store_unavailable" in {line["event"] for line in worker.said()}

        broker.kill()
        broker.start()
        site.produce(third)
        site.wait_read(READ_S)
        assert_as_replayed(site, [first, second, third], until)
        assert_told_once(site, posted)
        assert worker.terminate() == 0
    finally:
        site.close()
        broker.stop()
        database.remove()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_workers_share_the_partitions_and_one_does_the_duties(
    make_site: MakeSite, tmp_path: Path, slack: FakeSlack, posted: list[str], until: datetime
) -> None:
    site = make_site(config=settings(tmp_path, slack))
    first, second = fleet_files(tmp_path, until, parts=2)
    site.ensure_topics()
    workers = [ready_worker(site), ready_worker(site)]
    assert wait_until(lambda: len(site.owners()) == 2, READ_S), site.owners()

    site.produce(first)
    site.wait_read(READ_S)
    assert sorted(site.owners().values()) == [1, 2]
    assert wait_until(lambda: any(worker.has_said("duties_taken") for worker in workers), READ_S), site.tails()
    holders = [worker for worker in workers if worker.has_said("duties_taken")]
    assert len(holders) == 1

    holders[0].kill()
    site.produce(second)
    site.wait_read(READ_S)
    (left,) = [worker for worker in workers if worker not in holders]
    assert wait_until(lambda: left.has_said("duties_taken"), READ_S)
    assert_as_replayed(site, [first, second], until)
    assert_told_once(site, posted)
    assert wait_until(lambda: list(site.owners().values()) == [3], READ_S), site.owners()
    assert left.terminate() == 0


@pytest.mark.slow
def test_what_is_malformed_goes_to_the_dead_letters_and_the_rest_goes_on(
    make_site: MakeSite, tmp_path: Path, slack: FakeSlack, until: datetime
) -> None:
    site = make_site(config=settings(tmp_path, slack))
    files = fleet_files(tmp_path, until)
    site.ensure_topics()
    half = b'{"type": "gpu_sample", "at": "2026-'
    negative = {"type": "token_usage", "event_id": "e", "at": until.isoformat(), "workload": "a/b/c", "requests": -1}
    site.send_raw("gpu.samples", half, partition=1)
    site.send_raw("token.usage", json.dumps(negative).encode(), partition=2)
    worker = ready_worker(site)
    site.produce(*files)
    site.wait_read(READ_S)

    letters = dead_letters(site)
    assert sorted((letter["topic"], letter["partition"], letter["offset"], letter["value"]) for letter in letters) == [
        (site.topics["gpu.samples"], "1", "0", half),
        (site.topics["token.usage"], "2", "0", json.dumps(negative).encode()),
    ]
    assert all(letter["message"] and letter["connector.name"] == site.group for letter in letters)
    assert worker.metric("emberwatch_records_rejected_total", reason="malformed") == 2.0
    assert_as_replayed(site, files, until)
    assert worker.terminate() == 0


def dead_letters(site: Site) -> list[dict[str, object]]:
    """The dead letters, with their headers as Kafka Connect names them."""
    places = [TopicPartition(site.dead_letters, partition) for partition in range(3)]
    consumer = KafkaConsumer(bootstrap_servers=site.kafka, consumer_timeout_ms=60_000)
    try:
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        number = sum(consumer.end_offsets(places).values())
        return [
            {name.removeprefix("__connect.errors."): value.decode() for name, value in record.headers}
            | {"message": dict(record.headers)["__connect.errors.exception.message"].decode(), "value": record.value}
            for record in (next(consumer) for _ in range(number))
        ]
    finally:
        consumer.close()


@pytest.mark.slow
def test_without_topics_a_worker_says_how_to_make_them_and_begins_when_they_are_there(
    make_site: MakeSite, tmp_path: Path, slack: FakeSlack
) -> None:
    site = make_site(config=settings(tmp_path, slack))
    worker = site.worker()
    assert wait_until(lambda: "emberwatch topics ensure" in worker.checks().get("kafka", ""), READY_S), site.tails()
    answer = worker.get("/readyz")
    assert answer is not None
    assert answer.status_code == 503
    assert answer.json()["checks"]["kafka"].startswith("topics missing: ")

    site.ensure_topics()
    assert wait_until(worker.ready, READY_S), worker.checks()
    assert listening_ports(worker.popen.pid) == {("127.0.0.1", worker.port)}
    assert worker.terminate() == 0


@pytest.mark.slow
def test_the_console_beside_a_worker_shows_what_is_spent(
    make_site: MakeSite, tmp_path: Path, slack: FakeSlack, until: datetime
) -> None:
    token = "c" * 40
    (tmp_path / "console-token-file").write_text(token)
    site = make_site(config=settings(tmp_path, slack))
    site.ensure_topics()
    worker = ready_worker(site)
    console = site.serve(token_file=str(tmp_path / "console-token-file"))
    site.produce(*fleet_files(tmp_path, until))
    site.wait_read(READ_S)
    assert wait_until(console.ready, READY_S), site.tails()

    def usd_per_hour() -> float:
        answer = console.get("/api/overview", headers={"Authorization": f"Bearer {token}"})
        assert answer is not None
        assert answer.status_code == 200
        return float(answer.json()["usd_per_hour"])

    assert wait_until(lambda: usd_per_hour() > 100.0, READ_S), usd_per_hour()
    refused = console.get("/api/overview")
    assert refused is not None
    assert refused.status_code == 401
    assert token not in console.log.read_text()
    assert console.terminate() == 0
    assert worker.terminate() == 0
