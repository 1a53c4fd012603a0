"""What tests of `streams/` share."""

from collections.abc import Iterator

import pytest

from store.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """A store of its own, in memory."""
    opened = Store.open("sqlite://")
    yield opened
    opened.close()
