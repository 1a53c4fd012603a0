"""The database: how it is opened, and what a transaction is. SQLite or PostgreSQL, by the URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from store.errors import StoreError, StoreUnavailable, Trouble
from store.migrate import migrate

BUSY_TIMEOUT_S = 10.0  # the longest wait for another writer; whoever must write tries again
POSTGRES_DEFAULTS = {
    "application_name": "emberwatch",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # a process that is frozen in a transaction holds its partition's row: it loses the transaction before its heir
    # gives up waiting for the lock
    "options": (
        "-c timezone=UTC -c statement_timeout=60s -c lock_timeout=30s -c idle_in_transaction_session_timeout=15s"
    ),
}


class Database:
    """Hands out transactions, and turns every driver's error into a StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._one_connection = isinstance(engine.pool, StaticPool)
        self._one_writer = engine.dialect.name == "sqlite"
        self._lock = RLock()
        self._locked_out = False  # whether another program keeps our writer from its turn, or kept the latest

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open the database and bring its schema up to date. Raises StoreError, StoreUnavailable."""
        database = cls(_engine(_parsed(url)))
        try:
            with database.writing() as connection:
                migrate(connection)
        except StoreError:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only looks."""
        with self._transaction(self._engine, alone=self._one_connection) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes: all of it, or nothing where an error leaves the block."""
        with self._transaction(self._writer, alone=self._one_writer) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: Engine, *, alone: bool) -> Iterator[Connection]:
        with ExitStack() as stack:
            if alone:
                if not self._lock.acquire(timeout=BUSY_TIMEOUT_S):
                    trouble = Trouble.LOCKED if self._locked_out else Trouble.BUSY
                    raise StoreUnavailable(f"the store stayed busy for {BUSY_TIMEOUT_S:g} s; try again", trouble)
                stack.callback(self._lock.release)
            stack.enter_context(_own_errors())
            try:
                self._locked_out = self._locked_out or alone  # until it is its turn
                connection = stack.enter_context(engine.begin())
            except DBAPIError as error:
                self._locked_out = _trouble(error.orig) is Trouble.LOCKED
                raise
            if alone:
                self._locked_out = False
            yield connection


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise _translated(error) from None  # the driver's own error may quote rows, and so payloads
    except OverflowError:
        raise StoreError("a number is too large for the store; integers must fit into 64 bits") from None


def _translated(error: SQLAlchemyError) -> StoreError:
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(cause, StoreError):
        return cause
    said = (str(cause).strip().splitlines() or [""])[0]
    message = f"{type(cause).__name__}: {said}"
    passing = isinstance(error, OperationalError | InterfaceError | PoolTimeout)
    if isinstance(error, DBAPIError):
        passing = passing or error.connection_invalidated or _passes(error)
    if passing:
        return StoreUnavailable(
            f"the database can't be used just now ({message}); nothing was written", _trouble(cause)
        )
    return StoreError(f"the database refused ({message})")


SQLITE_TROUBLES = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
}
POSTGRES_TROUBLES = {"53100": Trouble.FULL, "25006": Trouble.READ_ONLY, "55P03": Trouble.LOCKED}


def _trouble(cause: BaseException | None) -> Trouble:
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0)
        return SQLITE_TROUBLES.get(code & 0xFF, Trouble.UNREACHABLE)  # the upper bits only say more of the same
    return POSTGRES_TROUBLES.get(getattr(cause, "sqlstate", None) or "", Trouble.UNREACHABLE)


def _passes(error: DBAPIError) -> bool:
    """A standby, which takes no writes; or a transaction that the server ended because we were frozen in it."""
    return isinstance(error, InternalError) and getattr(error.orig, "sqlstate", None) in ("25006", "25P03")


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise StoreError("the store's URL can't be read; write sqlite:///path or postgresql://user@host/name") from None
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "postgresql+psycopg"):
        return url
    raise StoreError(f"the store can't be {url.drivername}; write sqlite:///path or postgresql://user@host/name")


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        defaults = {name: value for name, value in POSTGRES_DEFAULTS.items() if name not in url.query}
        return create_engine(url, connect_args=defaults, pool_pre_ping=True, hide_parameters=True)
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
    if url.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    else:
        _make_file(Path(url.database or ""))
    engine = create_engine(url, hide_parameters=True, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_file(path: Path) -> None:
    """Make the database's file and folder, for its owner's eyes only; what is there keeps its permissions."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's file {path} can't be made: {error.strerror or error}") from None


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver opens no transaction of its own: _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Part:
    """A part of the store: functions over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Return where the database answers. Raises StoreUnavailable."""
        with self._database.reading() as connection:
            connection.execute(text("SELECT 1"))
