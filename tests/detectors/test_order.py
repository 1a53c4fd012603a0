"""Keys that grow in number keep their order, whenever it is asked for."""

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.order import Order
from detectors.panel import OVERFLOW, Panel


@settings(derandomize=True, max_examples=200, deadline=None)
@given(parts=st.lists(st.lists(st.text(max_size=3), max_size=10), max_size=5))
def test_ranks_are_those_of_all_keys_sorted(parts):
    order, keys = Order(), []
    for part in parts:
        keys += part
        ranks = order.ranks(keys)
        assert [keys[place] for place in sorted(range(len(keys)), key=ranks.tolist().__getitem__)] == sorted(keys)


def test_rows_rank_anew_when_one_leaves_and_another_takes_its_place():
    panel = Panel(10)
    for key in ("b", "c", "a"):
        panel.row(key)
    assert panel.ranks().tolist() == [1, 2, 0]

    panel.evict([1])
    assert panel.ranks().tolist() == [2, 0, 1]  # a free row has no key, and stands first
    panel.row("0")
    assert panel.ranks().tolist() == [2, 0, 1]
    panel.row("z")
    assert panel.ranks().tolist() == [2, 0, 1, 3]


def test_rows_rank_anew_when_others_are_loaded():
    held = Panel(3)
    for key in ("x", "d", "e"):
        held.row(key)
    panel = Panel(3)
    for key in ("a", "b", "c"):
        panel.row(key)
    assert panel.ranks().tolist() == [1, 2, 0]

    panel.load(held.to_bytes())

    assert (panel.keys, panel.ranks().tolist()) == (["x", "d", OVERFLOW], [2, 1, 0])
