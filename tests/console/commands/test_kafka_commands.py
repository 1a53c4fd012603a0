"""The Kafka commands as a person meets them: output, and exit codes."""

import json
import socket
import uuid
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console.commands.produce import produce_files, publish
from console.commands.topics import ensure
from streams.kafka_login import NO_LOGIN
from streams.topics import INPUTS, ensure_topics

app = typer.Typer()
app.command("ensure")(ensure)
app.command("produce")(produce_files)
runner = CliRunner()


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.kafka
def test_ensure_lists_what_it_made_and_ends_with_1_where_a_count_differs(kafka_broker: str) -> None:
    mark = uuid.uuid4().hex[:12]
    names = ["--topic", f"a.{mark}", "--topic", f"b.{mark}", "--dead-letters", f"d.{mark}", "--kafka", kafka_broker]

    made = runner.invoke(app, ["ensure", *names, "--partitions", "2"])
    again = runner.invoke(app, ["ensure", *names, "--partitions", "2", "--json"])
    other = runner.invoke(app, ["ensure", *names, "--partitions", "3"])

    assert made.exit_code == 0
    assert [row.split() for row in made.stdout.splitlines()] == [
        ["topic", "partitions", "state"],
        *([f"{name}.{mark}", "2", "created"] for name in "abd"),
    ]
    assert again.exit_code == 0
    assert json.loads(again.stdout) == [
        {"topic": f"{name}.{mark}", "state": "present", "partitions": 2, "wanted_partitions": 2} for name in "abd"
    ]
    assert other.exit_code == 1
    assert f"topic a.{mark} has 2 partitions, 3 are wanted" in other.stderr


@pytest.mark.kafka
def test_produce_tells_what_it_sent_and_what_it_skipped(
    kafka_broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"changes.{uuid.uuid4().hex[:12]}"
    ensure_topics(bootstrap=kafka_broker, topics=[topic], dead_letters=None, partitions=1)
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text('{"type": "change", "at": "2026-11-02T12:00:00Z", "workload": "c/n/w"}\n')
    bad.write_text(good.read_text() + "{half\n")

    def run(path: Path, as_json: bool = False) -> str:
        topics = {"ops.changes": topic}
        publish([path], bootstrap=kafka_broker, topics=topics, raw_topic=None, login=NO_LOGIN, as_json=as_json)
        return capsys.readouterr().out

    assert run(good).startswith(f"{topic}: 1 messages\n1 messages in ")
    assert json.loads(run(good, as_json=True)) == {"sent": {topic: 1}, "skipped": 0, "skips": []}
    with pytest.raises(typer.Exit) as end:
        run(bad)
    assert end.value.exit_code == 1
    said = capsys.readouterr().err
    assert f"{bad}, line 2: skipped: neither a JSON object" in said
    assert "1 lines skipped; --raw-topic sends them as they stand" in said


@pytest.mark.parametrize("command", [["ensure"], ["produce", __file__]])
def test_an_unreachable_broker_ends_with_4_and_its_address(command: list[str], nobody: str) -> None:
    result = runner.invoke(app, [*command, "--kafka", nobody])

    assert result.exit_code == 4
    assert result.stderr.strip().startswith(f"Kafka at {nobody} could not be reached: ")
    assert INPUTS[0] not in result.stdout
