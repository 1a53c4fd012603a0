"""What came of a log, through either door: incidents, messages and dollars, in one form that can be compared."""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from store.store import Store
from streams.replay import incident_line, rfc3339

ALL_TIME = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC))
IDENTITY = (
    "incident_id", "kind", "cause", "workload", "team", "model", "devices", "budget", "severity", "began_at",
    "detected_at",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Incidents by id, messages, and nano-dollars by hour and workload."""

    identities: dict[str, dict[str, Any]]  # of incidents detected by then
    ended: dict[str, dict[str, Any]]  # the whole lines of those that were over by then
    messages: Counter[tuple[Any, ...]]
    nano_usd: dict[tuple[str, str], int]


def of_replay(folder: Path, until: datetime) -> Outcome:
    """What `replay` wrote, as far as it was known at `until`."""
    return _outcome(_lines(folder / "incidents.jsonl"), _lines(folder / "notifications.jsonl"), until, _spend(folder))


def of_store(store: Store, until: datetime) -> Outcome:
    """What workers wrote, as far as it was known at `until`."""
    incidents = [to_builtins(incident_line(one)) for one in store.incidents_between(*ALL_TIME)]
    notices = [
        {
            "at": rfc3339(entry.notice.at),
            "channel": entry.notice.channel,
            "incident_id": entry.notice.subject_id,
            "reason": str(entry.notice.reason),
            "title": entry.notice.title,
        }
        for entry in store.notices(100_000)
        if entry.notice.subject == "incident"
    ]
    spent: Counter[tuple[str, str]] = Counter()
    for row in store.spend_by_hour(*ALL_TIME):
        spent[rfc3339(row.hour) or "", row.workload] += row.nano_usd
    return _outcome(incidents, notices, until, spent)


def _outcome(
    incidents: Iterable[dict[str, Any]],
    notices: Iterable[dict[str, Any]],
    until: datetime,
    nano_usd: dict[tuple[str, str], int],
) -> Outcome:
    known = [line for line in incidents if _at(line["detected_at"]) <= until]
    return Outcome(
        identities={line["incident_id"]: {name: line[name] for name in IDENTITY} for line in known},
        ended={line["incident_id"]: line for line in known if line["resolved_at"] and _at(line["resolved_at"]) < until},
        messages=Counter(
            (line["at"], line["channel"], line["incident_id"], line["reason"], line["title"])
            for line in notices
            if line["incident_id"] is not None and _at(line["at"]) <= until
        ),
        nano_usd={place: nano for place, nano in nano_usd.items() if nano},
    )


def _spend(folder: Path) -> dict[tuple[str, str], int]:
    with (folder / "spend.csv").open(newline="") as file:
        return {(row["hour"], row["workload"]): int(row["usd"].replace(".", "")) for row in csv.DictReader(file)}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
