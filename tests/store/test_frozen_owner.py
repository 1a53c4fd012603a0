"""A process that is frozen in a commit on PostgreSQL holds its partition's row only until its heir ends that."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from store.database import Database
from store.progress import end_frozen
from store.store import Store
from tests.store.samples import NOON
from tests.support.waiting import wait_until


def test_a_transaction_that_stands_open_for_too_long_is_ended_and_others_are_not(postgres_database: str) -> None:
    store = Store.open(postgres_database)
    store.claim_partition(0, "frozen", NOON)
    frozen = create_engine(postgres_database, connect_args={"application_name": "emberwatch"})
    someone = create_engine(postgres_database, connect_args={"application_name": "psql"})
    heir = Database.open(postgres_database)
    with frozen.connect() as held, someone.connect() as other:
        held.execute(text("UPDATE progress SET owner = owner"))
        other.execute(text("SELECT 1"))

        with heir.reading() as connection:
            assert end_frozen(connection, 3600.0) == 0

        def ended() -> bool:
            with heir.reading() as connection:
                return end_frozen(connection, 0.2) == 1

        assert wait_until(ended, 120.0)
        assert store.claim_partition(0, "heir", NOON).epoch == 2
        with pytest.raises(OperationalError):
            held.execute(text("SELECT 1"))
        assert other.execute(text("SELECT 1")).scalar_one() == 1
    for engine in (frozen, someone):
        engine.dispose()
    heir.close()
    store.close()
