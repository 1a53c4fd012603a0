"""Cold rows: what has been silent for long leaves the panels as bytes, and comes back as if it had never left.

A row leaves only when nothing refers to it: no open condition, no open minute, no recent change, and no accelerator of
its own that stays. Row numbers mean nothing outside the panels: an accelerator takes the names of its owners along.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.minute import Detector, Sleeper
from detectors.panel import Fleet, Panel, PanelError

SILENT_S = 172_800.0  # no shorter silence is settled: until then detectors learn from the days before
SPANS = 8.0  # and so many spans of its own; detectors look no further back
HEARS_S = 3600.0  # while nobody has been heard of for so long, nobody is called cold
_BLANK = msgspec.msgpack.encode({})
NOBODY: AbstractSet[int] = frozenset()
Flags = NDArray[np.bool_]


class ColdKind(StrEnum):
    """Whose row it was."""

    WORKLOAD = "workload"
    DEVICE = "device"


class Cold(Struct, frozen=True):
    """A row that left: all that was known of it."""

    kind: ColdKind
    key: str
    body: bytes


class _Workload(Struct, array_like=True):
    as_of_s: int
    team: str | None
    row: bytes
    pairs: dict[str, bytes]


class _Device(Struct, array_like=True):
    as_of_s: int
    model: str | None
    row: bytes
    owners: dict[str, str]  # by column


def evict(
    fleet: Fleet,
    now_s: int,
    *,
    silent_s: float = SILENT_S,
    workloads: AbstractSet[int] = NOBODY,
    devices: AbstractSet[int] = NOBODY,
) -> list[Cold]:
    """Free the rows that are cold at `now_s`, the end of the latest complete minute; what they held.

    `workloads`, `devices`: rows that something refers to from outside of the panels, and that stay: open minutes,
    recent changes, statuses not handed over. Rows that hold nothing are freed without a word.
    Raises ValueError for a `silent_s` below two days.
    """
    if silent_s < SILENT_S:
        raise ValueError(f"a row must be silent for {SILENT_S:g} s before it is evicted, got {silent_s:g}")
    last_s = _latest(fleet.workloads, ("devices_seen_s", "usage_s", "status_s"))
    if not fleet.devices.known("seen_s") or not len(last_s) or now_s - float(last_s.max()) > HEARS_S:
        return []
    open_ = _open(fleet.workloads)
    gone = _devices(fleet, _cold_devices(fleet, now_s, silent_s, open_, devices), now_s)
    _forget_closed_pairs(fleet)
    span_s = _latest(fleet.workloads, ("usage_span_s", "gap_gpu_span_s", "gap_usage_span_s"))
    deaf_s = _excused(fleet.workloads)
    cold = (now_s - last_s - deaf_s > np.maximum(silent_s, SPANS * span_s)) & ~open_
    cold &= fleet.workloads.own & ~(_flags(len(cold), workloads) | _owning(fleet, now_s, silent_s))
    return gone + _workloads(fleet, np.flatnonzero(cold).tolist(), now_s)


def restore(fleet: Fleet, detectors: Sequence[Detector], rows: Iterable[Cold], now_s: int) -> list[Cold]:
    """Bring rows back, as they would be at `now_s` had they stayed; those for which there was no room are not in the
    answer and stay cold. Owners that are not there are no owners. Raises PanelError for other bytes.
    """
    back, made, since_s = [], [], []
    for one in sorted(rows, key=lambda one: (one.kind is ColdKind.DEVICE, one.key)):
        panel = fleet.devices if one.kind is ColdKind.DEVICE else fleet.workloads
        if one.key in panel or panel.full:
            continue
        back.append(one)
        try:
            if one.kind is ColdKind.DEVICE:
                _restore_device(fleet, one.key, msgspec.msgpack.decode(one.body, type=_Device))
                continue
            held = msgspec.msgpack.decode(one.body, type=_Workload)
        except msgspec.DecodeError as error:
            raise PanelError(f"these bytes are no cold {one.kind}") from error
        made.append(_restore_workload(fleet, one.key, held))
        since_s.append(min(held.as_of_s, now_s))
    if made:
        for detector in detectors:
            if isinstance(detector, Sleeper):
                detector.sleep(fleet, np.array(made), np.array(since_s, dtype=np.float64), now_s)
    return back


def _latest(panel: Panel, names: Iterable[str]) -> NDArray[np.float64]:
    """The largest of these columns, of those that were declared."""
    known = [panel.column(name) for name in names if panel.known(name)]
    largest: NDArray[np.float64] = np.max(known, axis=0).astype(np.float64) if known else np.zeros(len(panel))
    return largest


def _excused(panel: Panel) -> NDArray[np.float64]:
    """Silence that was no workload's fault: nobody was heard of. Only of what was ever heard of."""
    excused = np.zeros(len(panel))
    for stream in ("gpu", "usage"):
        if panel.known(f"gap_{stream}_s"):
            own = np.where(panel.column(f"gap_{stream}_s") > 0, panel.column(f"gap_{stream}_deaf_s"), 0.0)
            excused = np.maximum(excused, own)
    return excused


def _open(panel: Panel) -> Flags:
    """Rows of which a detector tells something just now."""
    found = np.zeros(len(panel), dtype=bool)
    for name in panel.names:
        if name.endswith("_open"):
            found |= panel.column(name)
    return found


def _flags(size: int, rows: AbstractSet[int]) -> Flags:
    found = np.zeros(size, dtype=bool)
    found[[row for row in rows if row < size]] = True
    return found


def _cold_devices(
    fleet: Fleet, now_s: int, silent_s: float, staying: Flags, held: AbstractSet[int]
) -> NDArray[np.intp]:
    """Silent accelerators whose owners have nothing open: an incident may still count what it began with."""
    panel = fleet.devices
    silence_s = now_s - panel.column("seen_s")
    cold = (silence_s > np.maximum(silent_s, SPANS * panel.column("span_s"))) & panel.own
    cold &= ~_flags(len(panel), held)
    for name in panel.owners:
        owner = panel.column(name)
        cold[owner >= 0] &= ~staying[owner[owner >= 0]]
    return np.flatnonzero(cold)


def _devices(fleet: Fleet, rows: NDArray[np.intp], now_s: int) -> list[Cold]:
    panel, names = fleet.devices, fleet.workloads.keys
    owners = {name: panel.column(name)[rows].tolist() for name in panel.owners}
    about = {
        panel.keys[row]: (
            fleet.models[row],
            {name: names[owner[at]] for name, owner in owners.items() if owner[at] >= 0},
        )
        for at, row in enumerate(rows.tolist())
    }
    for row in rows.tolist():
        fleet.models[row] = None
    gone = []
    for key, body in panel.evict(rows.tolist()).items():
        model, owned = about[key]
        if body != _BLANK or owned:
            held = _Device(now_s, model, body, owned)
            gone.append(Cold(ColdKind.DEVICE, key, msgspec.msgpack.encode(held)))
    return gone


def _forget_closed_pairs(fleet: Fleet) -> None:
    """A pair whose incident is over begins anew should it be used again: it needs no row until then."""
    pairs = fleet.pairs
    if pairs.known("unpriced_open"):
        closed = ~pairs.column("unpriced_open") & (pairs.column("unpriced_first_s") == 0) & pairs.own
        pairs.evict(np.flatnonzero(closed).tolist())


def _owning(fleet: Fleet, now_s: int, silent_s: float) -> Flags:
    """Workloads that an accelerator refers to, or a pair that is not as cold as they are."""
    found = np.zeros(len(fleet.workloads), dtype=bool)
    for name in fleet.devices.owners:
        owner = fleet.devices.column(name)
        found[owner[owner >= 0]] = True
    pairs = fleet.pairs
    if pairs.known("unpriced_open"):
        owner = pairs.column("workload")
        warm = pairs.column("unpriced_open") | (now_s - pairs.column("unpriced_last_s") <= silent_s)
        found[owner[warm & (owner >= 0)]] = True
    return found


def _workloads(fleet: Fleet, rows: list[int], now_s: int) -> list[Cold]:
    panel = fleet.workloads
    pairs = _pairs_of(fleet, rows)
    teams = {panel.keys[row]: fleet.teams[row] for row in rows}
    for row in rows:
        fleet.teams[row] = None
    gone = []
    for key, body in panel.evict(rows).items():
        own = pairs.get(key, {})
        if body != _BLANK or own:
            held = _Workload(now_s, teams[key], body, own)
            gone.append(Cold(ColdKind.WORKLOAD, key, msgspec.msgpack.encode(held)))
    return gone


def _pairs_of(fleet: Fleet, rows: list[int]) -> dict[str, dict[str, bytes]]:
    """Take out the pairs of these workloads, by workload."""
    if not fleet.pairs.known("workload"):
        return {}
    theirs = np.flatnonzero(np.isin(fleet.pairs.column("workload"), rows)).tolist()
    found: dict[str, dict[str, bytes]] = {}
    for key, body in fleet.pairs.evict(theirs).items():
        found.setdefault(key.partition("\x1f")[0], {})[key] = body
    return found


def _restore_workload(fleet: Fleet, key: str, held: _Workload) -> int:
    row = fleet.workloads.restore(key, held.row)
    fleet.workload(key, held.team)
    for name, body in held.pairs.items():
        if fleet.pairs.known("workload") and not fleet.pairs.full:
            pair = fleet.pairs.restore(name, body)
            fleet.pairs.column("workload")[pair] = row
    return row


def _restore_device(fleet: Fleet, key: str, held: _Device) -> None:
    row = fleet.devices.restore(key, held.row)
    fleet.device(key, held.model)
    for name, owner in held.owners.items():
        found = fleet.workloads.find(owner)
        if fleet.devices.known(name) and found is not None:
            fleet.devices.column(name)[row] = found
