"""Accelerator samples, many at a time: told from duplicates, given their rows, priced, put into the ledger."""

from collections.abc import Sequence
from operator import attrgetter
from sys import intern
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.events import GpuSample
from detectors.panel import OVERFLOW, Fleet
from streams.attribution import Attribution
from streams.codes import Codes, last_places
from streams.disputes import Disputes
from streams.duplicates import Seen
from streams.ledger_pages import LedgerPages
from streams.pricing import Pricer

Longs = NDArray[np.int64]
HOUR_MS = 3_600_000
NO_RATE = -1
MOST = 10**18  # nano-dollars of one sample, or of one hour
LARGEST_RATE = 10**11  # nano-dollars an hour, for which a product with a span still fits into 64 bits
NAN = float("nan")
_RATIOS = ("util_ratio", "engine_active_ratio", "sm_active_ratio", "tensor_active_ratio", "power_w")
_columns = {name: attrgetter(name) for name in (*_RATIOS, "span_s", "memory_used_bytes", "memory_total_bytes")}


class Unpriced(Struct, frozen=True, gc=False):
    """Use that no price source knows: of event `place`, by a workload row."""

    place: int
    workload: int
    model: str
    tokens: int
    gpu_ms: int


class Taken(Struct, frozen=True):
    """Events that count: their places (n,) among those given, rows (n,), and the columns of a minute's fold."""

    places: Longs
    rows: Longs
    columns: dict[str, NDArray[Any]]
    unpriced: list[Unpriced]


class Samples:
    """What is known of the accelerators of a partition, by accelerator, workload, model and team."""

    def __init__(
        self,
        fleet: Fleet,
        pricer: Pricer,
        attribution: Attribution,
        pages: LedgerPages,
        seen: Seen,
        teams: Disputes,
    ) -> None:
        """Everything it writes to is handed in. `teams`: rows of workloads of which events say different ones."""
        self.fleet, self.pricer, self.attribution, self.pages, self.seen = fleet, pricer, attribution, pages, seen
        self._codes = Codes(
            2 * fleet.devices.limit + 1000,
            device=0, workload=0, number=-1, line=0, rate=NO_RATE, from_ms=NAN, until_ms=NAN,
        )  # fmt: skip
        self._teams, self._models = teams, Disputes()
        self._lessons = 0

    def clear(self) -> None:
        """Look everything up anew: rows have moved."""
        self._codes.clear()
        self._teams.clear()
        self._models.clear()

    @property
    def full(self) -> bool:
        """Whether so many codes are known that it is time to forget them."""
        return self._codes.full

    def known(self, events: Sequence[GpuSample]) -> list[int] | None:
        """Their codes, where all that these say of rows and teams is known, and nobody says otherwise."""
        found = list(map(self._codes.numbers.get, self._keys(events)))
        if None in found or ((self._teams or self._models) and self._disputed(np.array(found, dtype=np.int64)).any()):
            return None
        return found  # type: ignore[return-value]

    def _disputed(self, codes: Longs) -> NDArray[np.bool_]:
        return self._teams.among(self._codes["workload"][codes]) | self._models.among(self._codes["device"][codes])

    def _keys(self, events: Sequence[GpuSample]) -> list[tuple[str, str, str | None, str | None]]:
        if self.attribution.rules:
            team = self.attribution.team
            return [(e.device, e.workload, e.gpu_model, team(e.workload, e.team, e.labels)) for e in events]
        return [(e.device, e.workload, e.gpu_model, e.team or None) for e in events]

    def codes(self, events: Sequence[GpuSample]) -> list[int]:
        """A number for what each sample is of; rows are made in this order."""
        keys = self._keys(events)
        known = self._codes.numbers.get
        found = [known(key) for key in keys]
        if None in found:
            found = [self._code(key) if number is None else number for number, key in zip(found, keys, strict=True)]
        return found  # type: ignore[return-value]

    def _code(self, key: tuple[str, str, str | None, str | None]) -> int:
        number = self._codes.numbers.get(key)  # it may have been made a moment ago
        if number is not None:
            return number
        device, workload, model, team = key
        model, team = None if model is None else intern(model), None if team is None else intern(team)
        fleet = self.fleet
        known = fleet.workloads.find(workload)
        if team is not None and known is not None and fleet.teams[known] not in (None, team):
            self._teams.add(known)
        row = fleet.workload(workload, team)
        if fleet.workloads.keys[row] == OVERFLOW:
            self._teams.add(row)
        known = fleet.devices.find(device)
        if model is not None and known is not None and fleet.models[known] not in (None, model):
            self._models.add(known)
        device_row = fleet.device(device, model, row)
        alone = fleet.devices.keys[device_row] == device
        if not alone:
            self._models.add(device_row)
        own = fleet.workloads.keys[row] == workload
        if not alone and not own and workload not in self.pricer.learnt:  # all of these are alike: one code for them
            key = (OVERFLOW, OVERFLOW, model, team)
            number = self._codes.numbers.get(key)
            if number is not None:
                return number
        else:
            key = (
                fleet.devices.keys[device_row] if alone else device,
                fleet.workloads.keys[row] if own else workload,
                model,
                team,
            )
        return self._codes.add(
            key, device=device_row, workload=row, number=fleet.number(device_row) if alone else -1, until_ms=NAN
        )

    def take(self, events: Sequence[GpuSample], numbers: Sequence[int], at_ms: Longs) -> Taken:
        """Count samples (n,) of the codes `numbers`, at `at_ms` (n,)."""
        codes = np.fromiter(numbers, dtype=np.int64, count=len(events))
        first = self._first(events, codes, at_ms)
        places = np.arange(len(events)) if first.all() else np.flatnonzero(first)
        if len(places) != len(events):
            events = [events[place] for place in places.tolist()]
            codes, at_ms = codes[places], at_ms[places]
        if self._teams or self._models:
            self._settle(codes[self._disputed(codes)])
        read = {name: _floats(list(map(get, events))) for name, get in _columns.items()}
        span_s = read.pop("span_s")
        span_ms = np.rint(span_s * 1000).astype(np.int64)
        rate, line = self._priced(codes, at_ms - span_ms)
        known = rate != NO_RATE
        self.pages.add(line, at_ms, span_ms, nano_usd=_cost(np.where(known, rate, 0), span_ms), gpu_ms=span_ms)
        used, total = read.pop("memory_used_bytes"), read.pop("memory_total_bytes")
        workloads = self._codes["workload"][codes]
        columns = {
            **read,
            "span_ms": span_ms,
            "workload": workloads,
            "last_span_s": span_s,
            "memory_used_ratio": np.divide(used, total, out=np.full(len(used), np.nan), where=total > 0),
            "usd_per_hour": np.where(known, rate / 1e9, np.nan),
        }
        unpriced = [
            Unpriced(
                place, int(workloads[place]), events[place].gpu_model or "unknown accelerator", 0, int(span_ms[place])
            )
            for place in np.flatnonzero(~known).tolist()
        ]
        return Taken(places, self._codes["device"][codes], columns, unpriced)

    def _first(self, events: Sequence[GpuSample], codes: Longs, at_ms: Longs) -> NDArray[np.bool_]:
        numbers = self._codes["number"][codes]
        alone = numbers >= 0
        if alone.all():
            return self.seen.samples(numbers, at_ms)
        first = np.zeros(len(codes), dtype=np.bool_)
        first[alone] = self.seen.samples(numbers[alone], at_ms[alone])
        shared = np.flatnonzero(~alone)  # accelerators that share a row are told apart by name
        names = [f"gpu|{events[place].device}|{at_ms[place]}" for place in shared.tolist()]
        first[shared] = self.seen.named(names, at_ms[shared])
        return first

    def _settle(self, codes: Longs) -> None:
        """Where samples disagree on a team or a model, the latest is right; where nobody does, all say the same."""
        names = self._codes.keys
        for code in last_places(codes):
            _, _, model, team = names[code]
            if team is not None:
                self.fleet.teams[int(self._codes["workload"][code])] = team
            if model is not None:
                self.fleet.models[int(self._codes["device"][code])] = model

    def _priced(self, codes: Longs, begun_ms: Longs) -> tuple[Longs, Longs]:
        """The rate of each sample, NO_RATE where nobody knows one, and its line in the ledger."""
        table = self._codes
        if self._lessons != self.pricer.lessons:
            self._lessons = self.pricer.lessons
            table["until_ms"][:] = NAN
        rate, line = table["rate"][codes], table["line"][codes]
        waiting = np.flatnonzero(~self._in_force(codes, begun_ms))
        if not len(waiting):
            return rate, line
        while len(waiting):
            unique, where = np.unique(codes[waiting], return_index=True)
            for code, place in zip(unique.tolist(), waiting[where].tolist(), strict=True):
                self._price(code, table.keys[code], float(begun_ms[place]))
            done = self._in_force(codes[waiting], begun_ms[waiting])
            ready = waiting[done]
            rate[ready], line[ready] = table["rate"][codes[ready]], table["line"][codes[ready]]
            waiting = waiting[~done]
        return rate, line

    def _in_force(self, codes: Longs, begun_ms: Longs) -> NDArray[np.bool_]:
        fits: NDArray[np.bool_] = (self._codes["from_ms"][codes] <= begun_ms) & (
            begun_ms < self._codes["until_ms"][codes]
        )
        return fits

    def _price(self, code: int, key: tuple[Any, ...], at_ms: float) -> None:
        _, workload, model, _ = key
        found = self.pricer.rate(model, workload, at_ms)
        name = self.fleet.workloads.keys[int(self._codes["workload"][code])]
        rate = found.nano_usd_per_hour
        self._codes["rate"][code] = NO_RATE if rate is None else min(rate, MOST)
        self._codes["from_ms"][code], self._codes["until_ms"][code] = found.from_ms, found.until_ms
        self._codes["line"][code] = self.pages.line(name, intern(f"gpu|{model or 'unknown'}|{found.source}"))


def _floats(values: list[Any]) -> NDArray[np.float64]:
    """Numbers as a column; None is NaN."""
    try:
        return np.fromiter(values, dtype=np.float64, count=len(values))
    except TypeError:
        return np.array(values, dtype=np.float64)


def _cost(rate: Longs, span_ms: Longs) -> Longs:
    """Nano-dollars of each span, rounded down; at most `MOST`."""
    if len(rate) and rate.max() > LARGEST_RATE:
        exact = [min(one * span // HOUR_MS, MOST) for one, span in zip(rate.tolist(), span_ms.tolist(), strict=True)]
        return np.array(exact, dtype=np.int64)
    cost: Longs = rate * span_ms // HOUR_MS
    return cost
