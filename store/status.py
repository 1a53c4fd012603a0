"""What each workload does now, and what is foreseen for it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, func, select

from store import tables
from store.database import Part
from store.facts import ForecastRow, StatusRow, WorkloadState
from store.upsert import Columns, table_of, upsert

STATUSES = table_of(tables.Status).c
FORECASTS = table_of(tables.Forecast).c


def _no_older(new: Columns, old: Columns) -> ColumnElement[bool]:
    """The later minute stands."""
    newer: ColumnElement[bool] = new.at >= old.at
    return newer


def write_statuses(connection: Connection, rows: Iterable[StatusRow]) -> None:
    """Set each workload's status; one of an earlier moment than the one that is kept changes nothing."""
    upsert(connection, tables.Status, map(asdict, rows), guard=_no_older)


def write_forecasts(connection: Connection, rows: Iterable[ForecastRow]) -> None:
    """Write each forecast under its subject, period and moment of issue."""
    upsert(connection, tables.Forecast, map(_forecast_row, rows))


def _forecast_row(forecast: ForecastRow) -> dict[str, Any]:
    return {**asdict(forecast), "workload": forecast.workload or "", "budget": forecast.budget or ""}


def _forecast(row: Any) -> ForecastRow:
    values = {name: row[name] for name in ForecastRow.__struct_fields__}
    return ForecastRow(**{**values, "workload": row["workload"] or None, "budget": row["budget"] or None})


class StatusPart(Part):
    """Reads statuses and forecasts, and adds forecasts."""

    def statuses(self) -> list[StatusRow]:
        """Return the latest status of every workload, in order of name."""
        query = select(table_of(tables.Status)).order_by(STATUSES.workload)
        with self._database.reading() as connection:
            return [
                StatusRow(**{**row, "state": WorkloadState(row["state"])})
                for row in connection.execute(query).mappings()
            ]

    def add_forecasts(self, rows: Sequence[ForecastRow]) -> None:
        """Write forecasts on their own."""
        with self._database.writing() as connection:
            write_forecasts(connection, rows)

    def latest_forecasts(self) -> list[ForecastRow]:
        """Return the forecast issued last for each subject and period, in order of subject and period."""
        subject = (FORECASTS.workload, FORECASTS.budget, FORECASTS.period_start, FORECASTS.period_end)
        rank = func.row_number().over(partition_by=subject, order_by=FORECASTS.issued_at.desc()).label("rank")
        ranked = select(table_of(tables.Forecast), rank).subquery()
        query = (
            select(ranked)
            .where(ranked.c.rank == 1)
            .order_by(ranked.c.workload, ranked.c.budget, ranked.c.period_start, ranked.c.period_end)
        )
        with self._database.reading() as connection:
            return [_forecast(row) for row in connection.execute(query).mappings()]

    def forecasts_between(self, start: datetime, end: datetime) -> list[ForecastRow]:
        """Return the forecasts issued at or after `start` and before `end`, in order of issue and subject."""
        query = (
            select(table_of(tables.Forecast))
            .where(FORECASTS.issued_at >= start, FORECASTS.issued_at < end)
            .order_by(FORECASTS.issued_at, FORECASTS.workload, FORECASTS.budget, FORECASTS.period_start)
        )
        with self._database.reading() as connection:
            return [_forecast(row) for row in connection.execute(query).mappings()]
