"""Opening a store, and what a caller hears when the database does not answer."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from store.errors import StoreError, StoreUnavailable
from store.facts import Facts
from store.store import Store
from tests.store.samples import HOUR, NOON, commit, ledger_row


def test_sqlite_keeps_what_it_said_it_kept(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/new/folder/store.db")
    with store._database.writing() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    store.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}


def test_a_store_in_memory_serves_every_thread() -> None:
    store = Store.open("sqlite://")
    threads = [
        threading.Thread(target=lambda name=f"t{k}": store.inbox_append(name, [b"x"] * 5, NOON)) for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.inbox_depth() == 40
    store.close()


def test_two_stores_in_memory_share_nothing() -> None:
    one, other = Store.open("sqlite://"), Store.open("sqlite://")
    one.mark_done("x", "y", NOON)
    assert other.mark_done("x", "y", NOON)
    one.close()
    other.close()


def test_a_number_that_does_not_fit_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(StoreError):
        commit(store, Facts(ledger=[ledger_row(line="a"), ledger_row(nano_usd=2**63)]))
    assert store.ledger_rows(NOON, NOON + HOUR) == []


def test_a_moment_without_an_offset_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="a moment must bear its offset from UTC, got 2026-03-02T12:00:00"):
        store.mark_done("x", "y", NOON.replace(tzinfo=None))


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense", "sqlite+aiosqlite:///x"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="write sqlite:///path or postgresql://user@host/name"):
        Store.open(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to have a header" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(f"sqlite:///{tmp_path}/store.db")


def test_a_server_that_does_not_answer_is_said_without_its_password() -> None:
    with pytest.raises(StoreUnavailable) as refusal:
        Store.open("postgresql://ada:geheim@127.0.0.1:1/emberwatch")
    assert "geheim" not in str(refusal.value)


def test_a_file_that_another_program_locks_is_unavailable_and_then_serves_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(f"sqlite:///{path}")
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="database is locked"):
        store.mark_done("x", "y", NOON)
    other.execute("ROLLBACK")
    other.close()

    assert store.mark_done("x", "y", NOON)
    store.close()


@pytest.mark.postgres
def test_a_session_that_the_server_ended_is_unavailable_or_renewed(postgres_database: str) -> None:
    store = Store.open(postgres_database)
    store.ping()
    engine = create_engine(make_url(postgres_database).set(drivername="postgresql+psycopg"))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    end_others = text(f"{others} AND pid <> pg_backend_pid()")
    with engine.begin() as connection:
        connection.execute(end_others)
    store.ping()

    def lose_the_session() -> None:
        with store._database.writing() as writing:
            with engine.begin() as connection:
                connection.execute(end_others)
            writing.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        lose_the_session()
    engine.dispose()

    assert store.mark_done("x", "y", NOON)
    store.close()


@pytest.mark.postgres
def test_a_standby_is_unavailable(postgres_database: str) -> None:
    Store.open(postgres_database).close()
    standby = Store.open(f"{postgres_database}?options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        standby.mark_done("x", "y", NOON)
    standby.close()
