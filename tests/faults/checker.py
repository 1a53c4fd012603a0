"""The checker: holds what was produced and what was asked of people and machines against what the service has kept.

It adds up by itself, from the ledger of produced events, and reads the tables and the stand-ins' files as they are.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from store import tables
from store.upsert import table_of
from tests.faults.load import Produced, Sums, stamp
from tests.faults.recorders import lines

FIGURES = tuple(asdict(Sums()))


def breaches(engine: Engine, produced: Produced, folder: Path, set_aside: set[bytes]) -> list[str]:
    """Every invariant that does not hold, in words; `set_aside`: payloads that were, wherever they are kept."""
    return [
        *_nothing_lost(engine, produced, set_aside),
        *_nothing_told_twice(engine, folder),
        *_nothing_done_twice(engine, folder),
    ]


def _nothing_lost(engine: Engine, produced: Produced, set_aside: set[bytes]) -> Iterator[str]:
    """I1, and the costs of I5: produced is applied or set aside, each once and to the nano-dollar."""
    yield from _differences("I1 ledger", {k: asdict(v) for k, v in produced.sums.items()}, ledger(engine))
    yield from _differences("I1 charges", produced.charges, charges(engine))
    yield from _differences("I1 changes", dict.fromkeys(produced.changes), dict.fromkeys(changes(engine)))
    yield from _differences("I1 set aside", dict.fromkeys(produced.malformed), dict.fromkeys(set_aside))


def _differences(what: str, wanted: dict[Any, Any], found: dict[Any, Any]) -> Iterator[str]:
    for key in sorted(wanted.keys() | found.keys()):
        if key not in found:
            yield f"{what}: {key} is lost, {wanted[key]}"
        elif key not in wanted:
            yield f"{what}: {key} was never produced, {found[key]}"
        elif wanted[key] != found[key]:
            yield f"{what}: {key} should be {wanted[key]}, is {found[key]}"


def _nothing_told_twice(engine: Engine, folder: Path) -> Iterator[str]:
    """I2: one message for each incident, transition and channel, and whatever must be told first was told."""
    posts = slack_posts(folder)
    for notice_id, number in Counter(post["notice_id"] for post in posts).items():
        if number > 1:
            yield f"I2 slack: {notice_id} was posted {number} times"
    parents = Counter(post["notice_id"].rsplit(":", 2)[0] for post in posts if not post["in_thread"])
    for subject, number in parents.items():
        if number > 1:
            yield f"I2 slack: {subject} stands in the channel {number} times"
    triggered, resolved = pagerduty_events(folder)
    for key in sorted(set(triggered)):
        if key in resolved and triggered[key] > resolved[key]:
            yield f"I2 pagerduty: {key} was opened again after its end"
    outbox = select(table_of(tables.Outbox))
    with engine.connect() as connection:
        notices = connection.execute(outbox).mappings().all()
    told = Counter((one["channel"], one["subject_id"], one["transition"], one["step"]) for one in notices)
    for place, number in told.items():
        if number > 1:
            yield f"I2 outbox: {place} was decided {number} times"
    posted = {post["notice_id"] for post in posts}
    for one in notices:
        if one["settled_at"] is None:
            yield f"I2 outbox: {one['notice_id']} is still {one['state']}"
        first = one["reason"] == "first_time" and one["state"] == "delivered"
        if first and one["channel"] == "slack" and one["notice_id"] not in posted:
            yield f"I1 slack: {one['notice_id']} counts as told and was not posted"
        if first and one["channel"] == "pagerduty" and one["subject_id"] not in triggered:
            yield f"I1 pagerduty: {one['notice_id']} counts as told and was not sent"


def _nothing_done_twice(engine: Engine, folder: Path) -> Iterator[str]:
    """I3: one execution for each action at the most, and every delivery of it bears its id."""
    orders = [line for line in lines(folder / "receiver.jsonl") if line["body"]["type"] == "scale_down.execute"]
    for line in orders:
        if line["webhook_id"] != line["body"]["action_id"]:
            yield f"I3 receiver: {line['body']['action_id']} came under the id {line['webhook_id']}"
    done = Counter(line["body"]["action_id"] for line in orders if line["answer"] == {"status": "taken"})
    for action_id, number in done.items():
        if number > 1:
            yield f"I3 receiver: {action_id} was executed {number} times"
    with engine.connect() as connection:
        known = set(connection.scalars(select(table_of(tables.Action).c.action_id)))
    for action_id in sorted({line["body"]["action_id"] for line in orders} - known):
        yield f"I3 receiver: {action_id} is no action that the service knows"


def ledger(engine: Engine) -> dict[tuple[str, str], dict[str, int]]:
    """The figures of each hour and workload, over its lines."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    with engine.connect() as connection:
        for row in connection.execute(select(table_of(tables.Ledger))).mappings():
            into = sums.setdefault((stamp(row["hour"]), row["workload"]), dict.fromkeys(FIGURES, 0))
            for name in FIGURES:
                into[name] += row[name]
    return sums


def charges(engine: Engine) -> dict[str, Any]:
    """What each row of the bill came to in the end."""
    rows = table_of(tables.Charge).c
    with engine.connect() as connection:
        return {row.identity: row.billed_cost for row in connection.execute(select(rows.identity, rows.billed_cost))}


def changes(engine: Engine) -> set[str]:
    """The ids of what people did."""
    with engine.connect() as connection:
        return set(connection.scalars(select(table_of(tables.Change).c.event_id)))


def rejects(engine: Engine) -> set[bytes]:
    """What the store has set aside."""
    with engine.connect() as connection:
        return set(connection.scalars(select(table_of(tables.Reject).c.payload)))


def slack_posts(folder: Path) -> list[dict[str, Any]]:
    """Every message that people saw appear: its notice, and whether it stands in a thread."""
    return [
        {
            "notice_id": line["body"]["metadata"]["event_payload"]["notice_id"],
            "in_thread": "thread_ts" in line["body"],
        }
        for line in lines(folder / "slack.jsonl")
        if line["path"].endswith("chat.postMessage") and line["answer"]["ok"]
    ]


def pagerduty_events(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Of each key, the place of its latest trigger and of its first resolve among all that came."""
    triggered: dict[str, int] = {}
    resolved: dict[str, int] = {}
    for place, line in enumerate(lines(folder / "pagerduty.jsonl")):
        if line["status"] != 202 or "dedup_key" not in line["body"]:
            continue
        key = line["body"]["dedup_key"]
        if line["body"]["event_action"] == "trigger":
            triggered[key] = place
        elif line["body"]["event_action"] == "resolve":
            resolved.setdefault(key, place)
    return triggered, resolved
