"""The bill: charges in their latest version, and how they spread over the hours of their periods."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from hashlib import blake2b
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Select, select

from store import tables
from store.database import Part
from store.facts import ChargeRow
from store.upsert import Columns, table_of, upsert

CHARGES = table_of(tables.Charge).c
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
EXACT_DIGITS = 60  # of arithmetic: more than any charge has
SMALLEST_USD = Decimal(1).scaleb(-12)  # an hour's share is rounded to it; the shares still add up to the charge


def _no_older(new: Columns, old: Columns) -> ColumnElement[bool]:
    """The later delivery of a row stands."""
    newer: ColumnElement[bool] = new.at >= old.at
    return newer


class BilledHour(Struct, frozen=True, kw_only=True):
    """What the bill says that one workload cost in one UTC hour."""

    hour: datetime
    workload: str
    usd: Decimal


def write_charges(connection: Connection, rows: Iterable[ChargeRow]) -> None:
    """Replace each charge by its new version; a version delivered earlier than the one that is kept changes nothing."""
    upsert(connection, tables.Charge, map(_row, rows), guard=_no_older)


def _row(charge: ChargeRow) -> dict[str, Any]:
    digest = blake2b(charge.identity.encode(), digest_size=20).hexdigest()
    return {"digest": digest, **asdict(charge)}


def spread(charge: ChargeRow, start: datetime, end: datetime) -> Iterator[tuple[datetime, Decimal]]:
    """Yield the share of each hour that begins in [start, end), in proportion to the time of the period within it.

    The shares of all hours add up to the effective cost, exactly.
    """
    hour = max(_hour_of(charge.period_start), _hour_of(start + HOUR - TICK))
    while hour < min(end, charge.period_end):
        share = _accrued_usd(charge, hour, hour + HOUR)
        if share:
            yield hour, share
        hour += HOUR


def _accrued_usd(charge: ChargeRow, start: datetime, end: datetime) -> Decimal:
    with localcontext(prec=EXACT_DIGITS):
        return _accrued_until(charge, end) - _accrued_until(charge, start)


def _accrued_until(charge: ChargeRow, moment: datetime) -> Decimal:
    if moment <= charge.period_start:
        return Decimal(0)
    if moment >= charge.period_end:
        return charge.effective_cost
    elapsed = (moment - charge.period_start) // TICK
    whole = (charge.period_end - charge.period_start) // TICK
    return (charge.effective_cost * elapsed / whole).quantize(SMALLEST_USD)


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _overlapping(start: datetime, end: datetime) -> Select[Any]:
    return (
        select(table_of(tables.Charge))
        .where(CHARGES.period_start < end, CHARGES.period_end > start)
        .order_by(CHARGES.period_start, CHARGES.period_end, CHARGES.identity)
    )


def _charge(row: Any) -> ChargeRow:
    return ChargeRow(**{name: row[name] for name in ChargeRow.__struct_fields__})


class ChargesPart(Part):
    """Reads the bill."""

    def charges_between(self, start: datetime, end: datetime) -> list[ChargeRow]:
        """Return the charges whose period overlaps [start, end), in order of period and identity."""
        with self._database.reading() as connection:
            return [_charge(row) for row in connection.execute(_overlapping(start, end)).mappings()]

    def billed_by_hour(self, start: datetime, end: datetime) -> list[BilledHour]:
        """Return what the bill lays on each workload in each hour that begins in [start, end), in dollars.

        Charges in other currencies and charges of no workload are left out.
        """
        # An hour that begins before `end` may reach past it, so a period that begins in it counts as well.
        query = _overlapping(start, end + HOUR).where(CHARGES.currency == "USD", CHARGES.workload.is_not(None))
        billed: defaultdict[tuple[datetime, str], Decimal] = defaultdict(Decimal)
        with self._database.reading() as connection, localcontext(prec=EXACT_DIGITS):
            for row in connection.execute(query).mappings():
                for hour, usd in spread(_charge(row), start, end):
                    billed[hour, row["workload"]] += usd
        return [BilledHour(hour=hour, workload=workload, usd=usd) for (hour, workload), usd in sorted(billed.items())]
