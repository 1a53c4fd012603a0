"""The checker itself: what is lost, doubled, or done twice is told; an empty service is no success."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert

from store import tables
from store.store import Store
from store.upsert import table_of
from tests.faults.checker import breaches
from tests.faults.load import Load, Produced

UNTIL = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path}/emberwatch.db"
    Store.open(url).close()
    for name in ("slack", "pagerduty", "receiver"):
        (tmp_path / f"{name}.jsonl").touch()
    return create_engine(url)


def note(file: Path, *lines: dict[str, object]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_service_that_has_kept_nothing_has_lost_all_of_it(engine: Engine, tmp_path: Path) -> None:
    load = Load(1, UNTIL, minutes=10)
    list(load.pieces())

    found = breaches(engine, load.produced, tmp_path, set())

    kinds = {line.split(":")[0] for line in found}
    assert kinds == {"I1 ledger", "I1 charges", "I1 changes", "I1 set aside"}
    assert sum(line.startswith("I1 ledger") for line in found) == len(load.produced.sums)


def test_one_nano_dollar_is_told(engine: Engine, tmp_path: Path) -> None:
    produced = Produced()
    produced.note_gpu({"at": "2026-03-02T12:00:00Z", "span_s": 30, "workload": "a/b/c"})
    figures = {"gpu_s": 30.0, "requests": 0, "input_tokens": 0, "output_tokens": 0, "unpriced_tokens": 0}
    row = {"hour": UNTIL.replace(hour=11), "workload": "a/b/c", "line": "x", "nano_usd": 30_000_001, **figures}
    with engine.begin() as connection:
        connection.execute(insert(table_of(tables.Ledger)), [row])

    (found,) = breaches(engine, produced, tmp_path, set())

    assert found.startswith("I1 ledger: ('2026-03-02T11:00:00Z', 'a/b/c') should be {'nano_usd': 30000000")


def test_what_is_told_or_done_twice_is_told(engine: Engine, tmp_path: Path) -> None:
    def post(notice_id: str) -> dict[str, object]:
        body = {"metadata": {"event_payload": {"notice_id": notice_id}}}
        return {"path": "/api/chat.postMessage", "body": body, "answer": {"ok": True}}

    order = {"webhook_id": "act_1", "body": {"type": "scale_down.execute", "action_id": "act_1"}}
    done = {**order, "answer": {"status": "taken"}}
    event = {"status": 202, "body": {"dedup_key": "inc_1", "event_action": "trigger"}}
    over = {"status": 202, "body": {"dedup_key": "inc_1", "event_action": "resolve"}}
    note(tmp_path / "slack.jsonl", post("inc_1:0:slack"), post("inc_1:0:slack"), post("inc_2:0:slack"))
    note(tmp_path / "pagerduty.jsonl", event, over, event)
    note(tmp_path / "receiver.jsonl", done, {**done, "webhook_id": "act_1b"})

    assert breaches(engine, Produced(), tmp_path, set()) == [
        "I2 slack: inc_1:0:slack was posted 2 times",
        "I2 slack: inc_1 stands in the channel 2 times",
        "I2 pagerduty: inc_1 was opened again after its end",
        "I3 receiver: act_1 came under the id act_1b",
        "I3 receiver: act_1 was executed 2 times",
        "I3 receiver: act_1 is no action that the service knows",
    ]
