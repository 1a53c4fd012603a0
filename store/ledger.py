"""The ledger: what each workload cost in each hour, in whole nano-dollars."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, func, select

from store import tables
from store.database import Part
from store.facts import LedgerRow, StatusRow
from store.upsert import Columns, table_of, upsert

LEDGER = table_of(tables.Ledger).c
WORKLOADS = table_of(tables.Workload).c


def _later_team(new: Columns, old: Columns) -> ColumnElement[bool]:
    """The team that was seen last stands."""
    newer: ColumnElement[bool] = (new.seen_at >= old.seen_at) | old.team.is_(None)
    return newer


def _no_team(new: Columns, old: Columns) -> ColumnElement[bool]:
    """A known team stands."""
    newer: ColumnElement[bool] = old.team.is_(None)
    return newer


class SpendHour(Struct, frozen=True, kw_only=True):
    """What one workload cost in one UTC hour, over all its lines."""

    hour: datetime
    workload: str
    team: str | None
    nano_usd: int


class WorkloadSpend(Struct, frozen=True, kw_only=True):
    """What one workload cost and used over a stretch of hours; `team` is the latest known."""

    workload: str
    team: str | None
    nano_usd: int
    gpu_s: float
    requests: int
    input_tokens: int
    output_tokens: int
    unpriced_tokens: int


def write_ledger(connection: Connection, rows: Iterable[LedgerRow]) -> None:
    """Set each line of each hour to its absolute amounts."""
    upsert(connection, tables.Ledger, map(asdict, rows))


def write_teams(connection: Connection, ledger: Iterable[LedgerRow], statuses: Iterable[StatusRow]) -> None:
    """Remember the team that each workload was last seen with; an absent team is unknown and overwrites nothing."""
    seen = [(row.hour, row.workload, row.team) for row in ledger]
    seen += [(row.at, row.workload, row.team) for row in statuses]
    latest: dict[str, dict[str, Any]] = {}
    for at, workload, team in sorted(seen, key=lambda one: (one[0], one[2] or "")):
        if team is not None or workload not in latest:
            latest[workload] = {"workload": workload, "team": team, "seen_at": at}
    named = [row for row in latest.values() if row["team"] is not None]
    unnamed = [row for row in latest.values() if row["team"] is None]
    upsert(connection, tables.Workload, named, guard=_later_team)
    upsert(connection, tables.Workload, unnamed, guard=_no_team)


def _within(start: datetime, end: datetime, workload: str | None = None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [LEDGER.hour >= start, LEDGER.hour < end]
    if workload is not None:
        conditions.append(LEDGER.workload == workload)
    return conditions


class LedgerPart(Part):
    """Reads the ledger. Every stretch is of hours that begin at or after `start` and before `end`."""

    def spend_by_hour(self, start: datetime, end: datetime, *, workload: str | None = None) -> list[SpendHour]:
        """Return what each workload, or the one named, cost in each hour, in order of hour and workload."""
        query = (
            select(LEDGER.hour, LEDGER.workload, func.max(LEDGER.team), func.sum(LEDGER.nano_usd))
            .where(*_within(start, end, workload))
            .group_by(LEDGER.hour, LEDGER.workload)
            .order_by(LEDGER.hour, LEDGER.workload)
        )
        with self._database.reading() as connection:
            return [
                SpendHour(hour=hour, workload=name, team=team, nano_usd=int(nano_usd))
                for hour, name, team, nano_usd in connection.execute(query)
            ]

    def ledger_rows(self, start: datetime, end: datetime) -> list[LedgerRow]:
        """Return every line of every hour, in order of hour, workload and line."""
        query = (
            select(table_of(tables.Ledger))
            .where(*_within(start, end))
            .order_by(LEDGER.hour, LEDGER.workload, LEDGER.line)
        )
        with self._database.reading() as connection:
            return [LedgerRow(**row) for row in connection.execute(query).mappings()]

    def spend_by_workload(self, start: datetime, end: datetime) -> list[WorkloadSpend]:
        """Return what each workload cost and used, the dearest first."""
        sums = [
            func.sum(LEDGER[name]).label(name)
            for name in ("nano_usd", "gpu_s", "requests", "input_tokens", "output_tokens", "unpriced_tokens")
        ]
        query = (
            select(LEDGER.workload, func.max(WORKLOADS.team).label("team"), *sums)
            .select_from(table_of(tables.Ledger))
            .outerjoin(table_of(tables.Workload), WORKLOADS.workload == LEDGER.workload)
            .where(*_within(start, end))
            .group_by(LEDGER.workload)
        )
        with self._database.reading() as connection:
            spends = [
                WorkloadSpend(
                    workload=row["workload"],
                    team=row["team"],
                    nano_usd=int(row["nano_usd"]),
                    gpu_s=float(row["gpu_s"]),
                    requests=int(row["requests"]),
                    input_tokens=int(row["input_tokens"]),
                    output_tokens=int(row["output_tokens"]),
                    unpriced_tokens=int(row["unpriced_tokens"]),
                )
                for row in connection.execute(query).mappings()
            ]
        return sorted(spends, key=lambda spend: (-spend.nano_usd, spend.workload))

    def partitions_of(self, workload: str, start: datetime, end: datetime) -> set[int]:
        """Return the partitions that have written of the workload; more than one where its producers key otherwise."""
        query = select(LEDGER.line).where(*_within(start, end, workload))
        with self._database.reading() as connection:
            lasts = [line.rpartition("|")[2] for line in connection.scalars(query)]
        return {int(last[1:]) if re.fullmatch(r"p[0-9]+", last) else 0 for last in lasts}

    def teams(self) -> dict[str, str | None]:
        """Return every workload's latest known team."""
        query = select(WORKLOADS.workload, WORKLOADS.team).order_by(WORKLOADS.workload)
        with self._database.reading() as connection:
            return {workload: team for workload, team in connection.execute(query)}  # noqa: C416

    def first_hour(self) -> datetime | None:
        """Return the first hour that has any spend, None while there is none."""
        with self._database.reading() as connection:
            first: datetime | None = connection.scalar(select(func.min(LEDGER.hour)))
            return first
