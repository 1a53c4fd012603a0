"""Panels: rows by key, columns by name, bounded, and the same after a trip through bytes."""

import msgspec
import numpy as np
import pytest

from detectors.panel import OVERFLOW, Fleet, Panel, PanelError


def filled(limit: int = 1000, rows: int = 3) -> Panel:
    panel = Panel(limit)
    panel.declare("usd", "f8", 0.0)
    panel.declare("open", "?", False)
    panel.declare("ring", "i4", -1, 2)
    for number in range(rows):
        row = panel.row(f"w{number}")
        panel.column("usd")[row] = number + 0.5
        panel.column("ring")[row] = (number, 7)
    return panel


def test_a_key_keeps_its_row():
    panel = Panel(10)
    assert [panel.row(key) for key in ("a", "b", "a", "c", "b")] == [0, 1, 0, 2, 1]
    assert (len(panel), panel.keys, "b" in panel, "z" in panel) == (3, ["a", "b", "c"], True, False)
    assert (panel.find("c"), panel.find("z")) == (2, None)


def test_a_panel_without_room_for_a_row_and_the_overflow_is_refused():
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        Panel(1)


def test_the_last_row_of_a_full_panel_is_shared():
    panel = Panel(3)
    assert [panel.row(key) for key in ("a", "b", "c", "d", "a")] == [0, 1, 2, 2, 0]
    assert (panel.keys, panel.full) == (["a", "b", OVERFLOW], True)


def test_a_panel_is_full_with_the_overflow_row_still_to_be_made():
    panel = Panel(2)
    assert not panel.full
    panel.row("a")
    assert panel.full
    assert panel.row("b") == panel.row(OVERFLOW) == 1


def test_rows_beyond_the_first_memory_begin_as_declared():
    panel = filled(rows=200)
    assert panel.column("usd").tolist() == [number + 0.5 for number in range(200)]
    assert panel.column("ring").tolist() == [[number, 7] for number in range(200)]
    panel.row("new")
    assert panel.column("ring")[200].tolist() == [-1, -1]


def test_declaring_a_column_again_changes_nothing():
    panel = filled()
    panel.declare("usd", "f8", 99.0)
    assert panel.column("usd").tolist() == [0.5, 1.5, 2.5]


def test_a_trip_through_bytes_changes_nothing():
    panel = filled(rows=100)
    other = filled(rows=5)
    other.load(panel.to_bytes())
    assert other.keys == panel.keys
    for name in ("usd", "open", "ring"):
        np.testing.assert_array_equal(other.column(name), panel.column(name))
    assert other.to_bytes() == panel.to_bytes()
    assert other.row("w99") == 99


def test_rows_beyond_the_loaded_ones_begin_as_declared():
    panel = filled(rows=9)
    panel.load(filled(rows=2).to_bytes())
    assert panel.row("w8") == 2
    assert panel.column("usd").tolist() == [0.5, 1.5, 0.0]


def test_columns_declared_after_loading_hold_what_was_loaded():
    panel = Panel(1000)
    panel.load(filled(rows=3).to_bytes())
    panel.row("new")
    panel.declare("usd", "f8", 9.0)
    panel.declare("ring", "i4", -1, 2)
    assert panel.column("usd").tolist() == [0.5, 1.5, 2.5, 9.0]
    assert panel.column("ring").tolist() == [[0, 7], [1, 7], [2, 7], [-1, -1]]


def test_columns_that_nobody_has_declared_yet_survive_a_second_trip():
    panel, other = Panel(1000), Panel(1000)
    panel.load(filled().to_bytes())
    panel.declare("usd", "f8", 0.0)
    assert panel.to_bytes() == filled().to_bytes()
    panel.row("new")
    other.load(panel.to_bytes())
    other.declare("ring", "i4", -1, 2)
    assert other.column("ring").tolist() == [[0, 7], [1, 7], [2, 7], [-1, -1]]


def test_a_column_of_another_width_begins_anew():
    panel = Panel(1000)
    panel.declare("ring", "i4", 5, 3)
    panel.load(filled(rows=1).to_bytes())
    assert panel.column("ring").tolist() == [[5, 5, 5]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"]}),
        msgspec.msgpack.encode({"version": 2, "keys": [], "columns": {}}),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"], "columns": 3}),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"], "columns": {"usd": 3}}),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"], "columns": {"usd": ("<f8", (), b"short")}}),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"], "columns": {"usd": ("<f8", (), b"sixteen bytes...")}}),
        msgspec.msgpack.encode({"version": 1, "keys": ["a"], "columns": {"usd": ("what", (), b"12345678")}}),
    ],
)
def test_other_bytes_are_refused_and_change_nothing(data: bytes):
    panel = filled()
    before = panel.to_bytes()
    with pytest.raises(PanelError):
        panel.load(data)
    assert panel.to_bytes() == before


def test_a_fleet_remembers_the_latest_team_and_model():
    fleet = Fleet()
    assert [fleet.workload("a/b/c", None), fleet.workload("a/b/c", "search"), fleet.workload("a/b/c", None)] == [
        0,
        0,
        0,
    ]
    assert [fleet.device("g", "H100"), fleet.device("g", None), fleet.device("h", None)] == [0, 0, 1]
    assert (fleet.teams, fleet.models) == (["search"], ["H100", None])


def test_a_fleet_is_the_same_after_a_trip_through_bytes():
    fleet, other = Fleet(), Fleet()
    fleet.workload("a/b/c", "search")
    fleet.device("g", "H100", 0)
    fleet.pairs.row("a/b/c\x1fmodel")
    other.load(fleet.to_bytes())
    assert other.to_bytes() == fleet.to_bytes()
    assert (other.teams, other.models, other.pairs.keys) == (["search"], ["H100"], ["a/b/c\x1fmodel"])


def test_a_workload_whose_accelerator_shares_a_row_is_crowded():
    fleet = Fleet(max_devices=2)
    for name, workload in (("g0", "a/b/c"), ("g1", "a/b/d"), ("g2", "a/b/d"), ("g0", "a/b/c")):
        fleet.device(name, None, fleet.workload(workload, None))
    assert (fleet.devices.keys, fleet.workloads.column("crowded").tolist()) == (["g0", OVERFLOW], [False, True])


def test_other_bytes_are_no_fleet():
    with pytest.raises(PanelError):
        Fleet().load(b"nonsense")
