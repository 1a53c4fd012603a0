"""Writing many rows at once, whether they are there already or not. The same on both databases."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from store.tables import Row

CHUNK_ROWS = 1000  # bounds the memory of one round trip

Insert = postgresql.Insert | sqlite.Insert
Columns = Any  # a table's `c` or an insert's `excluded`: columns by name
Guard = Callable[[Columns, Columns], ColumnElement[bool]]


def table_of(row: type[Row]) -> Table:
    """Return the table behind a row class."""
    return cast(Table, row.__table__)


def insert_into(connection: Connection, row: type[Row]) -> Insert:
    """Begin an INSERT that can say what happens on a conflict."""
    return _insert(connection.dialect.name, row)


def _insert(dialect: str, row: type[Row]) -> Insert:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table_of(row))


def key_of(row: type[Row]) -> list[str]:
    """Name the columns of the primary key."""
    return [column.name for column in row.__table__.primary_key]


def upsert(
    connection: Connection,
    row: type[Row],
    values: Iterable[dict[str, Any]],
    *,
    guard: Guard | None = None,
    keep: Sequence[str] = (),
) -> None:
    """Insert each row, or overwrite the one with its key.

    `guard(new, old)`, a function of its own in its module, says which old rows may be overwritten; `keep` names columns
    that are written only once.
    Rows are taken in the order of their keys, so that two writers can't wait for each other; rows of one key in
    the order given.
    """
    statement = _upsert(connection.dialect.name, row, guard, tuple(keep))
    _execute(connection, statement, key_of(row), values)


def insert_or_ignore(
    connection: Connection, row: type[Row], values: Iterable[dict[str, Any]], *, key: Sequence[str] | None = None
) -> None:
    """Insert each row whose key is new; leave the others as they are."""
    statement = _insert_or_ignore(connection.dialect.name, row, tuple(key or key_of(row)))
    _execute(connection, statement, None, values)


@lru_cache(maxsize=256)
def _upsert(dialect: str, row: type[Row], guard: Guard | None, keep: tuple[str, ...]) -> Insert:
    key, old = key_of(row), table_of(row).c
    statement = _insert(dialect, row)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={name: new[name] for name in old.keys() if name not in key and name not in keep},  # noqa: SIM118
        where=None if guard is None else guard(new, old),
    )


@lru_cache(maxsize=256)
def _insert_or_ignore(dialect: str, row: type[Row], key: tuple[str, ...]) -> Insert:
    return _insert(dialect, row).on_conflict_do_nothing(index_elements=list(key))


def _execute(
    connection: Connection, statement: Insert, order: list[str] | None, values: Iterable[dict[str, Any]]
) -> None:
    rows = list(values)
    if order is not None:
        rows.sort(key=lambda row: [row[name] for name in order])
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK_ROWS)):
        connection.execute(statement, chunk)
