"""Parts of a fleet that another release, or an earlier moment, wrote: what is new since is written down too."""

from detectors.fleet_parts import FleetParts
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
