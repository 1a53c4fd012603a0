"""Token usage, many events at a time: told from duplicates, given their rows, priced, put into the ledger."""

from collections.abc import Sequence
from operator import attrgetter
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.events import TokenUsage
from detectors.panel import Fleet
from streams.attribution import Attribution
from streams.codes import Codes, last_places
from streams.disputes import Disputes
from streams.duplicates import Seen
from streams.ledger_pages import LedgerPages
from streams.pricing import Pricer
from streams.samples import Longs, Taken, Unpriced

MOST = 10**18  # nano-dollars of one event
_counts = {name: attrgetter(name) for name in ("requests", "input_tokens", "output_tokens")}


class Usages:
    """What is known of the token usage of a partition, by workload and team."""

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
        self._codes = Codes(2 * fleet.workloads.limit + 1000, workload=0)
        self._lines: dict[tuple[int, str, str, str], int] = {}
        self._teams = teams

    def clear(self) -> None:
        """Look everything up anew: rows have moved."""
        self._codes.clear()
        self._lines.clear()
        self._teams.clear()

    @property
    def full(self) -> bool:
        """Whether so many codes are known that it is time to forget them."""
        return self._codes.full or len(self._lines) >= self._codes.limit

    def known(self, events: Sequence[TokenUsage]) -> list[int] | None:
        """Their codes, where all that these say of rows and teams is known, and nobody says otherwise."""
        found = list(map(self._codes.numbers.get, self._keys(events)))
        if None in found or (self._teams and self._disputed(np.array(found, dtype=np.int64)).any()):
            return None
        return found  # type: ignore[return-value]

    def _disputed(self, codes: Longs) -> NDArray[np.bool_]:
        return self._teams.among(self._codes["workload"][codes])

    def _keys(self, events: Sequence[TokenUsage]) -> list[tuple[str, str | None]]:
        if self.attribution.rules:
            team = self.attribution.team
            return [(e.workload, team(e.workload, e.team, e.labels)) for e in events]
        return [(e.workload, e.team or None) for e in events]

    def codes(self, events: Sequence[TokenUsage]) -> list[int]:
        """A number for whose each event is; rows are made in this order."""
        keys = self._keys(events)
        known = self._codes.numbers.get
        found = [known(key) for key in keys]
        if None in found:
            found = [self._code(key) if number is None else number for number, key in zip(found, keys, strict=True)]
        return found  # type: ignore[return-value]

    def _code(self, key: tuple[str, str | None]) -> int:
        number = self._codes.numbers.get(key)  # it may have been made a moment ago
        if number is not None:
            return number
        workload, team = key
        team = None if team is None else intern(team)
        known = self.fleet.workloads.find(workload)
        if team is not None and known is not None and self.fleet.teams[known] not in (None, team):
            self._teams.add(known)
        row = self.fleet.workload(workload, team)
        alone = self.fleet.workloads.keys[row] == workload
        if not alone:
            self._teams.add(row)
        return self._codes.add((self.fleet.workloads.keys[row] if alone else workload, team), workload=row)

    def take(self, events: Sequence[TokenUsage], numbers: Sequence[int], at_ms: Longs) -> Taken:
        """Count events (n,) of the codes `numbers`, at `at_ms` (n,)."""
        codes = np.fromiter(numbers, dtype=np.int64, count=len(events))
        first = self.seen.named([f"tokens|{event.event_id}" for event in events], at_ms)
        places = np.arange(len(events)) if first.all() else np.flatnonzero(first)
        if len(places) != len(events):
            events = [events[place] for place in places.tolist()]
            codes, at_ms = codes[places], at_ms[places]
        if self._teams:
            self._settle(codes[self._disputed(codes)])
        rows = self._codes["workload"][codes]
        costs = [self.pricer.tokens(event) for event in events]
        counts = {name: _longs(map(get, events), len(events)) for name, get in _counts.items()}
        nano_usd = _longs((0 if cost is None else min(cost.nano_usd, MOST) for cost in costs), len(costs))
        known = np.array([cost is not None for cost in costs], dtype=np.bool_)
        tokens = counts["input_tokens"] + counts["output_tokens"]
        unpriced = np.where(known, 0, tokens)
        span_s = np.array([event.span_s for event in events], dtype=np.float64)
        span_ms = np.rint(span_s * 1000).astype(np.int64)
        row_list = rows.tolist()
        lines = [
            self._line(row, event.provider, event.model, "unpriced" if cost is None else cost.source)
            for row, event, cost in zip(row_list, events, costs, strict=True)
        ]
        self.pages.add(_longs(lines, len(lines)), at_ms, span_ms, nano_usd=nano_usd, unpriced_tokens=unpriced, **counts)
        columns: dict[str, Any] = {
            **counts,
            "errors": _longs((event.errors or 0 for event in events), len(events)),
            "nano_usd": nano_usd,
            "reference_nano_usd": _longs(
                (0 if cost is None else min(cost.reference_nano_usd, MOST) for cost in costs), len(costs)
            ),
            "span_s": span_s,
            "running": np.array([event.requests_running for event in events], dtype=np.float64),
            "waiting": np.array([event.requests_waiting for event in events], dtype=np.float64),
        }
        without = [
            Unpriced(place, row_list[place], events[place].model, int(unpriced[place]), 0)
            for place in np.flatnonzero(unpriced).tolist()
        ]
        return Taken(places, rows, columns, without)

    def _settle(self, codes: Longs) -> None:
        """Where events disagree on a team, the latest is right."""
        for code in last_places(codes):
            team = self._codes.keys[code][1]
            if team is not None:
                self.fleet.teams[int(self._codes["workload"][code])] = team

    def _line(self, row: int, provider: str, model: str, source: str) -> int:
        key = (row, provider, model, source)
        number = self._lines.get(key)
        if number is None:
            name = self.fleet.workloads.keys[row]
            number = self._lines[key] = self.pages.line(name, intern(f"tokens|{provider}/{model}|{source}"))
        return number


def _longs(values: Any, count: int) -> Longs:
    return np.fromiter(values, dtype=np.int64, count=count)
