"""`emberwatch dlq` on the store of one process: finds, shows without harm, puts back once, and lets go on."""

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alerts.partition_stop import stopped
from console.cli import app
from console.dead_letters import escaped
from store.facts import Facts, RejectRow, StopRow
from store.store import Store
from tests.console.commands.kept import opened
from tests.store.samples import NOON, commit

HOSTILE = b'{"at": "\x1b]0;owned\x07\xe2\x80\xae\xff\x9b31m", "x": 1}'


def reject(offset: int, **fields) -> RejectRow:
    values = {
        "topic": "gpu.samples", "partition": 0, "offset": offset, "index": 0, "reason": "util_ratio must be <= 1",
        "payload": b'{"n": %d}' % offset, "at": NOON + timedelta(seconds=offset),
    }  # fmt: skip
    return RejectRow(**{**values, **fields})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text("channels: [{type: recorder, name: book}]\nstore: {data_dir: %s}\n" % (tmp_path / "data"))
    return path


@pytest.fixture
def store(tmp_path: Path, config: Path):
    made = opened(tmp_path)
    rejects = [
        reject(1),
        reject(2, fault="in_the_future", reason="dated 900 s ahead of its arrival"),
        reject(3, topic="token.usage", payload=HOSTILE, reason="odd \x1b[31m bytes"),
        reject(4, payload=b"x" * 65_536),
    ]
    commit(made, Facts(rejects=rejects))
    yield made
    made.close()


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *words, "--config", str(config)])


def run_json(config: Path, *words: str):
    result = run(config, *words, "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.isascii()
    return json.loads(result.stdout)


def test_the_list_shows_the_newest_first_and_counts_by_fault(store: Store, config: Path) -> None:
    result = run(config, "list", "--limit", "3")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.split()[3] for line in lines[1:4]] == ["gpu.samples/0/4/0", "token.usage/0/3/0", "gpu.samples/0/2/0"]
    assert lines[-1] == "4 in all: 3 malformed, 1 in_the_future; the newest 3 are shown"
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("filters", "offsets"),
    [
        (["--topic", "token.usage"], [3]),
        (["--reason", "in_the_future"], [2]),
        (["--reason", "UTIL_ratio"], [4, 1]),
        (["--since", "2026-03-02T12:00:03Z"], [4, 3]),
        (["--partition", "1"], []),
    ],
)
def test_the_list_is_filtered(store: Store, config: Path, filters: list[str], offsets: list[int]) -> None:
    assert [one["offset"] for one in run_json(config, "list", *filters)["letters"]] == offsets


def test_one_is_shown_with_its_bytes_escaped(store: Store, config: Path) -> None:
    result = run(config, "show", "token.usage/0/3/0")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == '{"at": "\\x1b]0;owned\\x07\\u202e\\xff\\x9b31m", "x": 1}'
    assert all(c == "\n" or c.isprintable() for c in result.stdout)
    shown = run_json(config, "show", "token.usage/0/3")
    assert base64.b64decode(shown["payload_base64"]) == HOSTILE
    long = run(config, "show", "gpu.samples/0/4/0", "--bytes", "10")
    assert long.stdout.splitlines()[-1] == "x" * 10
    assert "the first 10 of 65,536 bytes" in long.stderr


def test_what_is_not_there_or_no_place_is_said(store: Store, config: Path) -> None:
    assert run(config, "show", "gpu.samples/0/99/0").exit_code == 1
    assert run(config, "show", "99").exit_code == 2
    assert run(config, "replay").exit_code == 2
    assert run(config, "list", "--since", "yesterday").exit_code == 2


def test_nothing_is_put_back_without_yes_and_nothing_twice(store: Store, config: Path) -> None:
    dry = run_json(config, "replay", "--all")
    assert (dry["done"], dry["events"], dry["cut"], store.inbox_depth()) == (False, 3, 1, 0)

    done = run_json(config, "replay", "--all", "--yes", "--by", "ana")
    assert (done["done"], done["put_back"]) == (True, {"gpu.samples": 2, "token.usage": 1})
    assert [(row.topic, row.value) for row in store.inbox_read(0, 10)] == [
        ("gpu.samples", b'{"n": 1}'),
        ("gpu.samples", b'{"n": 2}'),
        ("token.usage", HOSTILE),
    ]
    second = run_json(config, "replay", "--all", "--yes")
    assert (second["events"], second["before"], store.inbox_depth()) == (0, 3, 3)
    once_more = run_json(config, "replay", "--place", "gpu.samples/0/1/0", "--yes", "--again")
    assert (once_more["places"], store.inbox_depth()) == (["gpu.samples/0/1/0"], 4)
    assert "(put back)" in run(config, "list").stdout


def test_a_batch_that_could_not_be_read_has_no_bytes_to_put_back(store: Store, config: Path) -> None:
    commit(store, Facts(rejects=[reject(5, payload=b"", fault="unreadable", reason="offsets 5 to 9: damaged")]))

    result = run_json(config, "replay", "--reason", "unreadable", "--yes")

    assert (result["events"], result["cut"]) == (0, 1)


def test_a_stopped_partition_is_listed_and_goes_on_once(store: Store, config: Path) -> None:
    begun = stopped(topic="gpu.samples", partition=0, offset=41, at=NOON, now=NOON, bad_messages=1001).incident
    row = StopRow(
        partition=0, topic="gpu.samples", offset=41, reason="1,001 in a row", at=NOON, incident_id=begun.incident_id
    )
    commit(store, Facts(stops=[row], incidents=[begun]))

    assert run(config, "list").stdout.startswith("Partition 0 is stopped since 2026-03-02 12:00 UTC: 1,001 in a row;")
    assert run_json(config, "resume", "--partition", "0", "--skip-limit", "500") == {
        "changed": True,
        "partition": 0,
        "skip_limit": 500,
    }
    assert store.take_up_resumed(0, NOON) == 500
    assert store.open_incidents() == []
    (entry,) = store.notices(10)
    assert entry.notice.title.startswith("Reading goes on: partition 0 of gpu.samples, stopped for ")
    assert "not stopped" in run(config, "resume", "--partition", "0").stdout


def test_an_empty_store_says_so(tmp_path: Path, config: Path) -> None:
    opened(tmp_path).close()

    assert run(config, "list").stdout == "No event was set aside.\n"
    assert run_json(config, "list") == {"counts": {}, "stopped": [], "letters": []}


def test_lines_are_kept_and_all_else_that_is_hidden_is_escaped() -> None:
    assert escaped("a\tb\nc\u200bd\U000e0041é".encode(), 100) == "a\\x09b\nc\\u200bd\\U000e0041é"
    assert escaped(b"\x00\x7f\x9b", 100) == "\\x00\\x7f\\x9b"
