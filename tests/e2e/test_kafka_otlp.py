"""What the Collector's Kafka exporter writes, without keys or headers, through a real worker that dies midway."""

from datetime import UTC, datetime, timedelta

import pytest
from kafka import KafkaProducer

from tests.e2e.conftest import MakeSite
from tests.e2e.site import Site
from tests.support.telemetry import EXPORTER, GPU, VLLM, Metric, as_proto, request
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

READY_S = 60.0
READ_S = 60.0
SCRAPES = 40


def scrapes(begin_s: int) -> list[bytes]:
    """An accelerator and a server, each 15 s: of every second scrape the values come in two messages."""
    found = []
    for step in range(SCRAPES):
        at_s = begin_s + 15 * step
        gpu = [Metric(name, 40.0, GPU, at_s) for name in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE")]
        parts = [gpu] if step % 2 else [gpu[:1], gpu[1:]]
        found += [as_proto(request(part, EXPORTER)) for part in parts]
        names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total")
        counters = [Metric(name, 1000 + 10 * step, {"model_name": "llama"}, at_s, 2, begin_s - 600) for name in names]
        found.append(as_proto(request(counters, VLLM)))
    return found


def send(site: Site, values: list[bytes]) -> None:
    """To one partition, without keys."""
    producer = KafkaProducer(bootstrap_servers=site.kafka)
    for value in values:
        producer.send(site.topics["gpu.samples"], value=value, partition=0)
    producer.flush()
    producer.close()


def totals(site: Site) -> dict[str, tuple[float, int, int]]:
    """GPU seconds, tokens and requests of each workload."""
    now = datetime.now(UTC)
    found: dict[str, tuple[float, int, int]] = {}
    for row in site.store().ledger_rows(now - timedelta(days=1), now + timedelta(hours=1)):
        gpu_s, tokens, requests = found.get(row.workload, (0.0, 0, 0))
        found[row.workload] = (
            gpu_s + row.gpu_s, tokens + row.input_tokens + row.output_tokens, requests + row.requests,
        )  # fmt: skip
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_otlp_from_kafka_is_counted_once_over_a_death(make_site: MakeSite) -> None:
    site = make_site(config={"prices": {"gpu": [{"model": "*", "usd_per_hour": 4.0, "from": "2026-01-01"}]}})
    site.base["kafka"]["formats"] = {"gpu_samples": "otlp_proto"}
    site.ensure_topics()
    messages = scrapes(int(datetime.now(UTC).timestamp()) - 15 * SCRAPES)
    worker = site.worker("a")
    assert wait_until(worker.ready, READY_S), site.tails()

    send(site, messages[:50])
    site.wait_read(READ_S)
    worker.kill()
    send(site, messages[50:])
    worker = site.worker("a")
    assert wait_until(worker.ready, READY_S), site.tails()
    site.wait_read(READ_S)

    steps = SCRAPES - 1
    assert totals(site) == {
        "prod-eu/llm-serving/llama70b": (30.0 + 15 * steps, 0, 0),
        "prod-eu//vllm": (0.0, 2 * 10 * steps, 10 * steps),
    }
    assert site.store().reject_counts() == {}
    assert worker.terminate(within_s=60.0) == 0
