"""Publishing files to a real broker: right topic, right key, in order, and nothing left out in silence."""

import contextlib
import gzip
import json
import uuid
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.produce import ProduceFailed, ProduceReport, Progress, Skip, produce
from streams.topics import INPUTS, ensure_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def topics(kafka_broker: str) -> dict[str, str]:
    mark = uuid.uuid4().hex[:12]
    names = {name: f"{name}.{mark}" for name in INPUTS}
    ensure_topics(bootstrap=kafka_broker, topics=list(names.values()), dead_letters=None, partitions=2)
    return names


def line(kind: str, at: str, workload: str | None = "c/n/w", **more: object) -> str:
    event = {"type": kind, "at": at, **({"workload": workload} if workload else {}), **more}
    return json.dumps(event)


def messages(bootstrap: str, topic: str) -> list[tuple[int, bytes | None, bytes]]:
    """Everything in a topic: partition, key and value, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    with contextlib.closing(consumer):
        places = [TopicPartition(topic, p) for p in range(2)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        found = []
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=500).values():
                found += [(r.partition, r.key, r.value) for r in records]
    return sorted(found, key=lambda message: message[0])


def test_each_line_goes_to_the_topic_of_its_type_with_the_workload_as_key(
    kafka_broker: str, topics: dict[str, str], tmp_path: Path
) -> None:
    lines = [
        line("gpu_sample", "2026-11-02T12:00:00Z", "c/n/a"),
        line("token_usage", "2026-11-02T12:00:01Z", "c/n/a"),
        "",
        "[" + line("charge", "2026-11-02T12:00:02Z", "c/n/a") + ', 7, {"type": "gpu_sample"}]',
        line("charge", "2026-11-02T12:00:03Z", None, resource_id="gpu-7"),
        line("change", "2026-11-02T12:00:04Z", "c/n/ä"),
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines) + "\n")
    seen: list[Progress] = []

    report = produce([path], bootstrap=kafka_broker, topics=topics, on_progress=seen.append)

    assert report == ProduceReport(
        sent={
            topics["gpu.samples"]: 1,
            topics["token.usage"]: 1,
            topics["billing.charges"]: 2,
            topics["ops.changes"]: 1,
        }
    )
    assert seen == [Progress(path, path.stat().st_size)]
    found = {name: [(key, value.decode()) for _, key, value in messages(kafka_broker, topics[name])] for name in INPUTS}
    assert {name: sorted(pairs) for name, pairs in found.items()} == {
        "gpu.samples": [(b"c/n/a", lines[0])],
        "token.usage": [(b"c/n/a", lines[1])],
        "billing.charges": [(b"c/n/a", lines[3]), (b"gpu-7", lines[4])],
        "ops.changes": [("c/n/ä".encode(), lines[5])],
    }


def test_a_workload_lies_in_the_same_partition_of_every_topic(
    kafka_broker: str, topics: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        "\n".join(
            line(kind, "2026-11-02T12:00:00Z", f"c/n/w{i}")
            for i in range(20)
            for kind in ("gpu_sample", "token_usage", "charge", "change")
        )
    )

    produce([path], bootstrap=kafka_broker, topics=topics)

    places = [{key: partition for partition, key, _ in messages(kafka_broker, topics[name])} for name in INPUTS]
    assert [len(place) for place in places] == [20] * 4
    assert places[1:] == [places[0]] * 3
    assert set(places[0].values()) == {0, 1}


def test_several_files_are_merged_by_arrival_and_each_keeps_its_own_order(
    kafka_broker: str, topics: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    first.write_text(
        "\n".join(
            [
                line("gpu_sample", "2026-11-02T12:00:01Z", n=1),
                line("gpu_sample", "2026-11-02T09:00:00Z", n=4, arrived_at="2026-11-02T12:00:04+00:00"),
                line("gpu_sample", "soon", n=5),
                line("gpu_sample", "2026-11-02T12:00:06Z", n=6),
            ]
        )
    )
    with gzip.open(second, "wt") as text:
        text.write(line("gpu_sample", "2026-11-02T13:00:02+01:00", n=2) + "\n")
        text.write(line("gpu_sample", "2026-11-02T12:00:03Z", n=3) + "\n")
        text.write(line("gpu_sample", "2026-11-02T12:00:07Z", n=7) + "\n")

    report = produce([first, second], bootstrap=kafka_broker, topics=topics)

    assert report == ProduceReport(sent={topics["gpu.samples"]: 7})
    assert [json.loads(value)["n"] for _, _, value in messages(kafka_broker, topics["gpu.samples"])] == [*range(1, 8)]


def test_lines_that_no_topic_can_take_are_skipped_and_reported_or_sent_to_the_raw_topic(
    kafka_broker: str, topics: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    bad = ["{half", "7", "[]", '[7, {"type": "gpu_sample"}]', '{"type": "weather"}', "{}", '{"type": 4}']
    path.write_text("\n".join([*bad, line("gpu_sample", "2026-11-02T12:00:00Z")]))

    report = produce([path], bootstrap=kafka_broker, topics=topics)
    raw = produce([path], bootstrap=kafka_broker, topics=topics, raw_topic=topics["ops.changes"])

    no_object = "neither a JSON object nor an array of objects: "
    kinds = "type must be one of gpu_sample, token_usage, charge, change, got "
    assert (report.sent, report.skipped) == ({topics["gpu.samples"]: 1}, 7)
    assert report.skips[2:] == [
        Skip(str(path), 3, "an empty envelope"),
        Skip(str(path), 4, no_object + "Expected `object`, got `int`"),
        Skip(str(path), 5, kinds + "'weather'"),
        Skip(str(path), 6, kinds + "'None'"),
        Skip(str(path), 7, kinds + "'4'"),
    ]
    assert [(skip.line, skip.reason.startswith(no_object)) for skip in report.skips[:2]] == [(1, True), (2, True)]
    assert raw == ProduceReport(sent={topics["gpu.samples"]: 1, topics["ops.changes"]: 7})
    assert sorted(value.decode() for _, _, value in messages(kafka_broker, topics["ops.changes"])) == sorted(bad)


def test_a_line_that_kafka_refuses_is_named_by_file_and_line(
    kafka_broker: str, topics: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    ordinary = line("gpu_sample", "2026-11-02T12:00:00Z")
    path.write_text("\n".join([ordinary, line("gpu_sample", "2026-11-02T12:00:01Z", pad="x" * 1_100_000), ordinary]))

    with pytest.raises(ProduceFailed, match=r"events\.jsonl, line 2: Kafka did not take it for topic gpu\.samples"):
        produce([path], bootstrap=kafka_broker, topics=topics)


def test_a_missing_topic_and_a_broken_file_are_named(kafka_broker: str, topics: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(line("gpu_sample", "2026-11-02T12:00:00Z").encode() * 50)[:-12])

    with pytest.raises(ProduceFailed, match=r"events\.jsonl\.gz, after line 0: cannot be read further: "):
        produce([path], bootstrap=kafka_broker, topics=topics)
    with pytest.raises(ProduceFailed, match=r"^topics missing: nowhere; make them with `emberwatch topics ensure`$"):
        produce([path], bootstrap=kafka_broker, topics={"gpu.samples": "nowhere"})
