"""The schema is made and recognised, and what this version does not know is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, make_url, text

from store.errors import StoreError
from store.store import Store
from store.tables import Row
from tests.store.samples import NOON


@contextmanager
def directly(url: str) -> Iterator[Connection]:
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(address)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_migrations_make_exactly_the_tables(store_url: str) -> None:
    Store.open(store_url).close()
    with directly(store_url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []


def test_a_check_of_the_schema_is_kept(store_url: str) -> None:
    Store.open(store_url).close()
    with directly(store_url) as connection:
        checks = [
            check["name"]
            for name in Row.metadata.tables
            for check in MigrationContext.configure(connection).dialect.get_check_constraints(connection, name)
        ]
    assert checks == ["resolved_last"]


def test_a_store_that_is_opened_again_keeps_what_it_has(store_url: str) -> None:
    first = Store.open(store_url)
    first.mark_done("x", "y", NOON)
    first.close()

    second = Store.open(store_url)
    second.ping()
    assert not second.mark_done("x", "y", NOON)
    second.close()


def test_a_newer_schema_is_refused_in_words(store_url: str) -> None:
    Store.open(store_url).close()
    with directly(store_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))

    with pytest.raises(StoreError, match="schema version 0999, and this version knows none after 0007; start the"):
        Store.open(store_url)


def test_a_strange_database_is_left_alone(store_url: str) -> None:
    Store.open(store_url).close()
    with directly(store_url) as connection:
        connection.execute(text("DROP TABLE alembic_version"))

    with pytest.raises(StoreError, match="already has a table action_steps but no schema version"):
        Store.open(store_url)
