"""Parts of a fleet that another release, or an earlier moment, wrote: what is new since is written down too."""

from detectors.fleet_parts import SMALL_ROWS, FleetParts
from detectors.panel import Fleet


def test_a_column_that_was_declared_since_is_written_though_it_holds_nothing() -> None:
    before = Fleet()
    before.workload("a/b/c", None)
    store = dict(FleetParts(before).changes())

    fleet = Fleet()
    fleet.workloads.declare("new_usd", "f8", 0.0)
    parts = FleetParts(fleet)
    parts.load({name: bytes(body) for name, body in store.items() if body is not None})
    fleet.workload("a/b/c", "search")
    store |= parts.changes()

    again = Fleet()
    again.workloads.declare("new_usd", "f8", 0.0)
    FleetParts(again).load({name: bytes(body) for name, body in store.items() if body is not None})
    assert (again.workloads.keys, again.teams) == (["a/b/c"], ["search"])
    assert again.workloads.column("new_usd").tolist() == [0.0]


def test_a_panel_that_outgrows_its_one_part_is_written_by_column_from_then_on() -> None:
    fleet, store = Fleet(), dict[str, bytes]()
    written = FleetParts(fleet)
    for rows in (SMALL_ROWS - 1, SMALL_ROWS, SMALL_ROWS + 1):
        while len(fleet.workloads) < rows:
            fleet.workload(f"a/b/{len(fleet.workloads)}", None)
        fleet.workloads.declare("usd", "f8", 0.0)
        fleet.workloads.column("usd")[:] = rows
        for name, body in written.changes().items():
            store.pop(name, None)
            if body is not None:
                store[name] = bytes(body)

        again = Fleet()
        again.workloads.declare("usd", "f8", 0.0)
        FleetParts(again).load(store)
        assert again.workloads.keys == fleet.workloads.keys
        assert again.workloads.column("usd").tolist() == [float(rows)] * rows
    assert ("workloads/*" in store, "workloads/usd" in store) == (False, True)
