"""Failpoints: one is armed by name, dies at its hit, and no other is felt."""

from collections.abc import Iterator

import pytest

from store.errors import StoreError
from store.failpoints import Point, arm, reach


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


@pytest.fixture
def died() -> list[int]:
    return []


def test_nothing_is_armed_by_itself(died: list[int]) -> None:
    for point in Point:
        reach(point, died.append)

    assert died == []


def test_the_armed_point_dies_at_its_hit_as_by_a_kill(died: list[int]) -> None:
    assert arm("in_commit:3") is Point.IN_COMMIT

    for point in (Point.AFTER_COMMIT, Point.IN_COMMIT, Point.IN_COMMIT):
        reach(point, died.append)
    assert died == []
    reach(Point.IN_COMMIT, died.append)
    reach(Point.IN_COMMIT, died.append)

    assert died == [137]


@pytest.mark.parametrize(
    "wanted", ["in_comit", "in_commit:0", "in_commit:x", "in_commit:-1", "in_commit:1:stay", "in_commit::x"]
)
def test_what_names_no_point_is_refused_with_what_is_known(wanted: str, died: list[int]) -> None:
    with pytest.raises(StoreError, match="EMBERWATCH_FAILPOINT"):
        arm(wanted)
    for point in Point:
        reach(point, died.append)

    assert died == []
