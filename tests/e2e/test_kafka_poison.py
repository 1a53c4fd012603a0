"""A poisoned partition on the real broker: it stops, one page goes out, others flow, and nothing is lost."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.e2e.conftest import MakeSite
from tests.e2e.site import Site
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

READY_S = 60.0
READ_S = 60.0
BAD = 300
GOOD = 200


def samples(device: str, count: int) -> list[bytes]:
    """Samples of the last minutes, one a second."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        json.dumps(
            {
                "type": "gpu_sample", "at": (now - timedelta(seconds=count - n)).isoformat(), "span_s": 1,
                "workload": f"c/n/{device}", "device": device, "gpu_model": "H100", "util_ratio": 0.9, "power_w": 500,
            }
        ).encode()
        for n in range(count)
    ]  # fmt: skip


def send(site: Site, partition: int, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=site.kafka)
    for value in values:
        producer.send(site.topics["gpu.samples"], value=value, key=b"k", partition=partition)
    producer.flush()
    producer.close()


def last(site: Site, partition: int) -> tuple[bytes, bytes]:
    """Key and value of the last message of a partition."""
    place = TopicPartition(site.topics["gpu.samples"], partition)
    with closing(KafkaConsumer(bootstrap_servers=site.kafka, consumer_timeout_ms=60_000)) as consumer:
        consumer.assign([place])
        consumer.seek(place, consumer.end_offsets([place])[place] - 1)
        message = next(consumer)
        return message.key, message.value


def gpu_s(site: Site, workload: str) -> float:
    now = datetime.now(UTC)
    rows = site.store().ledger_rows(now - timedelta(days=1), now + timedelta(hours=1))
    return round(sum(row.gpu_s for row in rows if row.workload == workload), 3)


def dlq(site: Site, *words: str) -> dict:
    done = site.command("dlq", *words, "--json", "--config", str(site.config()))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_poisoned_partition_stops_and_goes_on_without_loss(make_site: MakeSite) -> None:
    site = make_site(
        config={
            "stream": {"max_bad_in_a_row": 50},
            "channels": [{"type": "recorder", "name": "book"}],
            "prices": {"gpu": [{"model": "*", "usd_per_hour": 4.0, "from": "2026-01-01"}]},
        }
    )
    site.ensure_topics()
    worker = site.worker("a")
    assert wait_until(worker.ready, READY_S), site.tails()
    send(site, 0, [b"nonsense"])
    assert wait_until(lambda: site.read().get(("gpu.samples", 0)) == 1, READ_S), site.tails()

    send(site, 0, [b"{nonsense"] * BAD + samples("d0", GOOD))
    send(site, 1, samples("d1", GOOD))

    assert wait_until(lambda: worker.metric("emberwatch_partition_stopped", partition="0") == 1.0, READ_S), site.tails()
    assert wait_until(lambda: gpu_s(site, "c/n/d1") == GOOD, READ_S), site.tails()
    assert site.read()[("gpu.samples", 0)] == 51  # 50 in a row are borne, and one came before
    assert (worker.ready(), "partition 0 is stopped" in worker.checks()["partitions"]) == (True, True)
    (incident,) = [one for one in site.store().open_incidents() if one.cause == "poison"]
    assert gpu_s(site, "c/n/d0") == 0.0

    worker.kill()
    worker = site.worker("a")  # a restart drains nothing either
    assert wait_until(worker.ready, READY_S), site.tails()
    assert wait_until(lambda: worker.metric("emberwatch_partition_stopped", partition="0") == 1.0, READ_S), site.tails()
    listed = dlq(site, "list")
    assert listed["counts"] == {"malformed": 51}
    assert [one["partition"] for one in listed["stopped"]] == [0]
    assert site.store().reject_counts() == {"malformed": 51}

    assert dlq(site, "resume", "--partition", "0", "--skip-limit", str(BAD))["changed"]
    assert wait_until(lambda: gpu_s(site, "c/n/d0") == GOOD, READ_S), site.tails()
    site.wait_read(READ_S)
    told = [entry.notice.step for entry in site.store().notices(100, subject_id=incident.incident_id)]
    assert sorted(told) == ["opened", "resolved"]

    listed = dlq(site, "list", "--limit", "1")
    assert listed["counts"] == {"malformed": BAD + 1}
    place = listed["letters"][0]["place"]
    assert dlq(site, "replay", "--place", place, "--yes")["events"] == 1
    assert dlq(site, "replay", "--place", place, "--yes")["before"] == 1
    assert wait_until(lambda: site.store().reject_counts() == {"malformed": BAD + 2}, READ_S), site.tails()
    shown = dlq(site, "show", place)
    assert (shown["payload"], shown["headers"]["__connect.errors.partition"]) == ("{nonsense", "0")
    assert shown["key"] == "k"
    assert last(site, 0) == (b"k", b"{nonsense")
    assert worker.terminate(within_s=10.0) == 0
