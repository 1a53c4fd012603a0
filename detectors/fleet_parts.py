"""A fleet in named parts, a part for each column, so that only what changed has to be written down."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.panel import VERSION, Buffer, Fleet, PanelError

_PANELS = ("workloads", "devices", "pairs")
SMALL_ROWS = 4096  # a panel of fewer rows is one part: its columns are so short that each for itself would cost more
TOGETHER = "*"


class FleetParts:
    """What of a fleet is written down already: a digest of each part."""

    def __init__(self, fleet: Fleet) -> None:
        """Nothing is."""
        self.fleet = fleet
        self._written: dict[str, bytes] = {}

    def changes(self) -> dict[str, Buffer | None]:
        """The parts that changed since the last call; None: no more. Columns are views: use them before they move."""
        parts = _parts(self.fleet)
        found: dict[str, Buffer | None] = {name: None for name in self._written if name not in parts}
        for name, body in parts.items():
            mark = _digest(body)
            if self._written.get(name) != mark:
                found[name] = body
                self._written[name] = mark
        for name in [name for name, body in found.items() if body is None]:
            del self._written[name]
        return found

    def whole(self) -> dict[str, bytes]:
        """All parts, as copies; the same rows give the same bytes."""
        return {name: bytes(body) for name, body in _parts(self.fleet).items()}

    def load(self, parts: Mapping[str, Buffer]) -> None:
        """Take what `whole`, or all `changes` together, wrote. Raises PanelError for anything else."""
        try:
            version, teams, models, numbered, panels = msgspec.msgpack.decode(parts["about"])
            if version != VERSION:
                raise PanelError(f"panels of version {version}; this release reads version {VERSION}")
            for name in _PANELS:
                keys, columns = panels[name]
                together, at, bodies = parts.get(f"{name}/{TOGETHER}"), 0, {}
                for column, (dtype, shape, size) in columns.items():
                    body = parts[f"{name}/{column}"] if together is None else together[at : at + size]
                    bodies[column] = dtype, shape, body
                    at += size
                getattr(self.fleet, name).take(keys, bodies)
            self.fleet.teams, self.fleet.models, self.fleet.numbered = _once(teams), _once(models), int(numbered)
        except (msgspec.DecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise PanelError("these bytes are not a fleet") from error
        self._written = {name: _digest(body) for name, body in parts.items()}  # a column may be new since


def _once(words: list[str | None]) -> list[str | None]:
    """The same words; those that are alike are one in memory."""
    known: dict[str | None, str | None] = {}
    return [known.setdefault(word, word) for word in words]


def _parts(fleet: Fleet) -> dict[str, Buffer]:
    arrays = {name: getattr(fleet, name).arrays() for name in _PANELS}
    about = {name: (getattr(fleet, name).keys, _shapes(columns)) for name, columns in arrays.items()}
    parts: dict[str, Buffer] = {
        "about": msgspec.msgpack.encode((VERSION, fleet.teams, fleet.models, fleet.numbered, about))
    }
    for name, columns in arrays.items():
        bodies = {column: np.ascontiguousarray(array).reshape(-1).view(np.uint8) for column, array in columns.items()}
        if len(getattr(fleet, name)) < SMALL_ROWS:
            parts[f"{name}/{TOGETHER}"] = b"".join(body.tobytes() for body in bodies.values())
        else:
            parts |= {f"{name}/{column}": body.data for column, body in bodies.items()}
    return parts


def _shapes(columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, tuple[int, ...], int]]:
    return {name: (array.dtype.str, array.shape[1:], array.nbytes) for name, array in columns.items()}


def _digest(body: Buffer) -> bytes:
    return blake2b(body, digest_size=16).digest()
