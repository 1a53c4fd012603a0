"""Steps of price that are known: the book's dated rows, as what each workload's hours cost over what they cost now.

Only what the book prices itself has steps; what was reported, learnt or taken from a list counts at the price of now.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from store.facts import LedgerRow
from streams.pricing import PriceBook, Pricer

Levels = Mapping[str, NDArray[np.float64]]  # by workload: price of each hour over that of the last hour before now

SHARES_OVER = timedelta(hours=48)  # before now: what a workload's spend is made of
BOOK = "book"


def has_steps(book: PriceBook, start: datetime, end: datetime) -> bool:
    """Whether any row of the book comes into force in between."""
    return any(start < since <= end for since in dates(book))


def dates(book: PriceBook) -> set[datetime]:
    """The moments from which a row of the book is in force."""
    return {row.since.astimezone(UTC) for row in book.gpu} | {row.since.astimezone(UTC) for row in book.tokens}


def price_levels(rows: Iterable[LedgerRow], book: PriceBook, start: datetime, now: datetime, end: datetime) -> Levels:
    """For each workload that has a step between start and end, both whole hours: (hours from start to end,).

    rows: the ledger's lines of the last SHARES_OVER before now.
    """
    moments = sorted(since for since in dates(book) if start < since < end)
    spent: dict[str, float] = {}
    lines: dict[str, dict[str, list[LedgerRow]]] = {}
    for row in rows:
        spent[row.workload] = spent.get(row.workload, 0.0) + row.nano_usd
        lines.setdefault(row.workload, {}).setdefault(row.line, []).append(row)
    pricer, levels = Pricer(book), {}
    n_hours = int((end - start) / timedelta(hours=1))
    for workload, by_line in lines.items():
        if spent[workload] <= 0.0:
            continue
        level = np.ones(n_hours)
        for line, found in by_line.items():
            share = sum(row.nano_usd for row in found) / spent[workload]
            current = cost_of(pricer, line, found, now - timedelta(hours=1))
            if current is None or current <= 0.0 or share <= 0.0:
                continue
            for begin, until in zip([start, *moments], [*moments, end], strict=True):
                then = cost_of(pricer, line, found, begin)
                if then is not None:
                    hours = slice(hour_at(begin, start), hour_at(until, start))
                    level[hours] += share * (float(then / current) - 1.0)
        if (level != 1.0).any():
            levels[workload] = np.maximum(level, 0.0)
    return levels


def hour_at(moment: datetime, start: datetime) -> int:
    """The hour in which a moment lies, counted from `start`."""
    return int((moment - start) / timedelta(hours=1))


def cost_of(pricer: Pricer, line: str, rows: Iterable[LedgerRow], at: datetime) -> Decimal | None:
    """What these lines' usage would cost by the book's row in force at a moment; None where the book has none."""
    kind, model, source = line.split("|", 2)
    if source != BOOK:
        return None
    if kind == "gpu":
        rate = pricer.gpu_rate(model, "", at)
        return None if rate is None or rate[1] != BOOK else Decimal(rate[0])
    in_force = [row for row in pricer.book.tokens if f"{row.provider}/{row.model}" == model and row.since <= at]
    if not in_force:
        return None
    price = max(in_force, key=lambda row: row.since)
    used = list(rows)
    read, written = sum(row.input_tokens for row in used), sum(row.output_tokens for row in used)
    return price.input_usd_per_million * read + price.output_usd_per_million * written
