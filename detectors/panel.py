"""Panels: the state of many series as columns, one row each, advanced by all at once.

A panel is bounded: when it is full, new keys share one overflow row, so that their dollars still count. Rows that have
gone cold are evicted: what they held is handed out as bytes, and a later key takes their place.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.order import Order

OVERFLOW = "__other__"
FREE = ""  # in the place of the key of a row that nobody has; to detectors it is a row that never reported
VERSION = 1

Buffer = bytes | memoryview


class PanelError(ValueError):
    """Bytes that are no panel of this version."""


class Panel:
    """Rows by key, columns by name. Columns are numpy arrays of at least `len(panel)` rows."""

    def __init__(self, limit: int) -> None:
        """At most `limit` rows (counts), the overflow row included."""
        if limit < 2:
            raise ValueError(f"a panel needs room for at least 2 rows, got {limit}")
        self.limit = limit
        self.keys: list[str] = []
        self._rows: dict[str, int] = {}
        self._columns: dict[str, NDArray[Any]] = {}
        self._fill: dict[str, Any] = {}
        self._owners: set[str] = set()  # columns that hold row numbers of the workloads' panel
        self._free: list[int] = []  # rows to be reused, the lowest last
        self._waiting: dict[str, NDArray[Any]] = {}  # loaded columns that nobody has declared yet
        self._order = Order()
        self._capacity = 64

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    @property
    def full(self) -> bool:
        """Whether a new key would share the overflow row."""
        return len(self._rows) >= self.limit - (OVERFLOW not in self._rows)

    def row(self, key: str) -> int:
        """The row of a key, made where there is none yet; the overflow row once the panel is full."""
        found = self._rows.get(key)
        if found is not None:
            return found
        if self.full and key != OVERFLOW:
            return self.row(OVERFLOW)
        if self._free:
            made = self._free.pop()
            self._blank([made])  # some columns move for all rows
            self.keys[made] = key
            self._order.clear()
            self._rows[key] = made
            return made
        made = len(self.keys)
        self.keys.append(key)
        self._rows[key] = made
        if made >= self._capacity:
            self._grow(made + 1)
        return made

    def find(self, key: str) -> int | None:
        """The row of a key, None where it has none."""
        return self._rows.get(key)

    def ranks(self) -> NDArray[np.int64]:
        """The place of each row where rows are in the order of their keys. (rows,)."""
        return self._order.ranks(self.keys)

    def declare(
        self, name: str, dtype: str, fill: float | int | bool, width: int | None = None, *, owner: bool = False
    ) -> None:
        """A column of `dtype` that begins as `fill`: (rows,) or (rows, width). Declaring it again changes nothing.

        Rows that were loaded before keep what they held. `owner`: it holds rows of the workloads' panel, -1 for none;
        every column that does must say so, for such a row is not evicted.
        """
        if owner:
            self._owners.add(name)
        if name not in self._columns:
            shape = (self._capacity,) if width is None else (self._capacity, width)
            self._columns[name] = np.full(shape, fill, dtype=dtype)
            self._fill[name] = fill
            if name in self._waiting:
                self._take(name, self._waiting.pop(name))

    def column(self, name: str) -> NDArray[Any]:
        """The rows of a column in use, to be read and written in place. Don't keep it over a call to `row`."""
        return self._columns[name][: len(self.keys)]

    def known(self, name: str) -> bool:
        """Whether a column was declared."""
        return name in self._columns

    @property
    def names(self) -> list[str]:
        """The columns declared, by name."""
        return sorted(self._columns)

    @property
    def owners(self) -> list[str]:
        """The columns that hold rows of the workloads' panel, by name."""
        return sorted(self._owners)

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which rows have a key of their own: neither free nor the overflow row. (rows,)."""
        own = np.ones(len(self.keys), dtype=bool)
        own[self._free] = False
        shared = self._rows.get(OVERFLOW)
        if shared is not None:
            own[shared] = False
        return own

    def evict(self, rows: Iterable[int]) -> dict[str, bytes]:
        """Free these rows for later keys; what each held, by key, in the order of rows. The overflow row stays.

        Row numbers mean nothing later: columns of owners are not in it. Columns that were loaded and that nobody has
        declared are let go, for all rows.
        """
        gone = [row for row in sorted(set(rows)) if self.keys[row] not in (FREE, OVERFLOW)]
        if not gone:
            return {}
        bodies = self._bodies(gone)
        self._waiting.clear()
        self._order.clear()
        self._blank(gone)
        held = {}
        for row, body in zip(gone, bodies, strict=True):
            key, self.keys[row] = self.keys[row], FREE
            del self._rows[key]
            held[key] = body
        self._free = sorted([*self._free, *gone], reverse=True)
        return held

    def restore(self, key: str, body: bytes) -> int:
        """The row of a key that was evicted, as it was; one that has a row already keeps it as it is.

        The overflow row where the panel is full. Raises PanelError for other bytes.
        """
        found = self._rows.get(key)
        if found is not None:
            return found
        try:
            held = msgspec.msgpack.decode(body, type=dict[str, tuple[str, bytes]])
            values = {name: np.frombuffer(raw, dtype=dtype) for name, (dtype, raw) in held.items()}
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise PanelError("these bytes are no row of a panel") from error
        row = self.row(key)
        if self.keys[row] != key:
            return row
        for name, value in values.items():
            column = self._columns.get(name)
            if column is not None and value.size == column[row].size:
                column[row] = value if column.ndim > 1 else value[0]
        return row

    def _bodies(self, rows: list[int]) -> list[bytes]:
        """What rows hold, but for what they began with."""
        held: list[dict[str, tuple[str, bytes]]] = [{} for _ in rows]
        for name, column in sorted(self._columns.items()):
            if name in self._owners:
                continue
            part, fill = column[rows], self._fill[name]
            differs = ~np.isnan(part) if fill != fill else part != fill
            for at in np.flatnonzero(differs if part.ndim == 1 else differs.any(axis=1)).tolist():
                held[at][name] = (part.dtype.str, part[at].tobytes())
        return [msgspec.msgpack.encode(one) for one in held]

    def _blank(self, rows: list[int]) -> None:
        for name, column in self._columns.items():
            column[rows] = self._fill[name]

    def _grow(self, needed: int) -> None:
        while self._capacity < needed:
            self._capacity = max(min(2 * self._capacity, self.limit), needed)
        for name, old in self._columns.items():
            new = np.full((self._capacity, *old.shape[1:]), self._fill[name], dtype=old.dtype)
            new[: len(old)] = old
            self._columns[name] = new

    def _take(self, name: str, values: NDArray[Any]) -> None:
        column = self._columns[name]
        if values.shape[1:] == column.shape[1:]:
            column[: len(values)] = values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The columns by name, in order, those that still wait to be declared included. Views, not copies."""
        used = {name: array[: len(self.keys)] for name, array in self._columns.items()}
        return dict(sorted((self._waiting | used).items()))

    def to_bytes(self) -> bytes:
        """Keys and columns, those that still wait to be declared included; the same rows give the same bytes."""
        columns = {name: (array.dtype.str, array.shape[1:], array.tobytes()) for name, array in self.arrays().items()}
        return msgspec.msgpack.encode({"version": VERSION, "keys": self.keys, "columns": columns})

    def load(self, data: bytes) -> None:
        """Take the rows of `to_bytes`. Columns unknown here wait to be declared, new ones begin as declared."""
        try:
            held = msgspec.msgpack.decode(data)
            version, keys, columns = held["version"], held["keys"], held["columns"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise PanelError("these bytes are not a panel") from error
        if version != VERSION:
            raise PanelError(f"panel of version {version}; this release reads version {VERSION}")
        self.take(keys, columns)

    def take(self, keys: list[str], columns: Mapping[str, tuple[str, Sequence[int], Buffer]]) -> None:
        """Become these rows: a dtype, the shape of a row, and the bytes of each column. Raises PanelError."""
        try:
            loaded = {
                name: np.frombuffer(raw, dtype=dtype).reshape(-1, *shape)
                for name, (dtype, shape, raw) in columns.items()
                if len(keys)
            }
            if any(len(values) > len(keys) for values in loaded.values()):
                raise PanelError("a column of this panel has more rows than it has keys")
        except (AttributeError, TypeError, ValueError) as error:
            raise PanelError("the columns of this panel are damaged") from error
        self.keys = list(keys)
        self._order.clear()
        self._rows = {key: row for row, key in enumerate(self.keys) if key != FREE}
        self._free = [row for row in range(len(self.keys) - 1, -1, -1) if self.keys[row] == FREE]
        self._grow(len(self.keys) + 1)
        for name, array in self._columns.items():
            array[:] = self._fill[name]
            if name in loaded:
                self._take(name, loaded.pop(name))
        self._waiting = loaded


class Fleet:
    """The panels of one partition: a row for each workload, and one for each accelerator."""

    def __init__(self, *, max_workloads: int = 100_000, max_devices: int = 200_000) -> None:
        """Bounds are numbers of rows."""
        self.workloads = Panel(max_workloads)
        self.devices = Panel(max_devices)
        self.pairs = Panel(max_workloads)  # a workload and a model, in one key
        self.teams: list[str | None] = []  # by workload row
        self.models: list[str | None] = []  # by device row
        self.devices.declare("workload", "i4", -1, owner=True)
        self.devices.declare("usd_per_hour", "f8", 0.0)
        self.devices.declare("number", "i8", -1)  # an accelerator keeps it, wherever its row may be; -1: none yet
        self.numbered = 0
        self.workloads.declare("crowded", "?", False)  # has an accelerator that shares the overflow row

    def workload(self, name: str, team: str | None) -> int:
        """The row of a workload; remembers its latest known team."""
        row = self.workloads.row(name)
        if row == len(self.teams):
            self.teams.append(team)
        elif team is not None:
            self.teams[row] = team
        return row

    def team(self, name: str) -> str | None:
        """The latest known team of a workload."""
        row = self.workloads.find(name)
        return None if row is None else self.teams[row]

    def device(self, name: str, model: str | None, workload: int | None = None) -> int:
        """The row of an accelerator; remembers its model, and whether `workload` has to share a row with others."""
        row = self.devices.row(name)
        if row == len(self.models):
            self.models.append(model)
        elif model is not None:
            self.models[row] = model
        if workload is not None and self.devices.keys[row] == OVERFLOW:
            self.workloads.column("crowded")[workload] = True
        return row

    def number(self, row: int) -> int:
        """The lasting number of the accelerator of a device row, which no other ever has."""
        numbers = self.devices.column("number")
        if numbers[row] < 0:
            numbers[row] = self.numbered
            self.numbered += 1
        return int(numbers[row])

    def to_bytes(self) -> bytes:
        """All panels and what goes with their rows."""
        panels = [panel.to_bytes() for panel in (self.workloads, self.devices, self.pairs)]
        return msgspec.msgpack.encode((panels, self.teams, self.models, self.numbered))

    def load(self, data: bytes) -> None:
        """Take what `to_bytes` wrote. Raises PanelError for anything else."""
        try:
            (workloads, devices, pairs), teams, models, numbered = msgspec.msgpack.decode(data)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise PanelError("these bytes are not a fleet") from error
        self.workloads.load(workloads)
        self.devices.load(devices)
        self.pairs.load(pairs)
        self.teams, self.models, self.numbered = list(teams), list(models), int(numbered)
