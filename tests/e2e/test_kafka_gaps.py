"""Messages that Kafka forgot while no worker ran: one gap, one incident, one message, whatever is killed."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from store.facts import GapCause
from tests.e2e.conftest import MakeSite
from tests.e2e.logs import fleet_config, fleet_files
from tests.e2e.site import Site
from tests.support.waiting import wait_until

READY_S, READ_S = 180.0, 240.0


def forget(site: Site, topic: str, partition: int) -> int:
    """Let the log of a place begin at its end, as retention does; returns that offset."""
    end = site.ends()[topic, partition]
    admin = KafkaAdminClient(bootstrap_servers=site.kafka)
    with contextlib.closing(admin):
        admin.delete_records({TopicPartition(site.topics[topic], partition): end})
    return end


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_expired_while_no_worker_ran_is_told_once(make_site: MakeSite, tmp_path: Path) -> None:
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    site = make_site(config={**fleet_config(), "channels": [{"type": "recorder", "name": "record"}]})
    first, second = fleet_files(tmp_path, until, parts=2)
    site.ensure_topics()
    worker = site.worker()
    assert wait_until(worker.ready, READY_S), site.tails()
    site.produce(first)
    site.wait_read(READ_S)
    worker.kill()
    read = site.read()
    site.produce(second)
    places = [place for place, end in sorted(site.ends().items()) if place[0] == "gpu.samples" and end > read[place]]
    place = places[0]
    end = forget(site, *place)

    for _ in range(2):
        worker = site.worker()
        assert wait_until(worker.ready, READY_S), site.tails()
        site.wait_read(READ_S)
        worker.kill()

    store = site.store()
    (gap,) = store.gaps(10)
    assert (gap.topic, gap.partition) == place
    assert (gap.cause, gap.first_offset, gap.next_offset) == (GapCause.EXPIRED, read[place], end)
    assert gap.most_events == end - read[place]
    assert gap.usd_per_hour is not None
    assert gap.began_at <= until + timedelta(minutes=1)
    (incident,) = [one for one in store.list_incidents(100, kind="data_gap") if one.source == gap.source]
    assert incident.incident_id == gap.incident_id
    told = [row.notice.step for row in store.notices(1000, subject_id=incident.incident_id)]
    assert told == ["opened"]
