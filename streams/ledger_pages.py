"""The running sums of a partition's ledger: absolute figures for each hour and spend line, exact in nano-dollars.

A page is one hour: a column of whole numbers for each amount, a row for each line. Pages of hours that are over are
squeezed, and opened again when a late event comes; those too old to change are let go, the store has them.
"""

import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from sys import intern

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.order import Order
from store.facts import LedgerRow
from streams.codes import distinct

Longs = NDArray[np.int64]
HOUR_MS = 3_600_000
MOST = 10**18  # of any sum, of one line in one hour: a billion dollars. The store's integers have 64 bits
MOST_AT_ONCE = 10**12  # of one amount, where many are summed in one step: a thousand dollars
OPEN_HOURS = 2  # pages that stay open
FEW_LINES = 1000  # that are not worth a look at which of them are used
WASTE_RATIO = 1.25  # lines that are known to those that are used; beyond it the rest goes
AMOUNTS = ("nano_usd", "gpu_ms", "requests", "input_tokens", "output_tokens", "unpriced_tokens")


class _Page:
    """One hour. `sums` is (amounts, lines)."""

    def __init__(self) -> None:
        self.sums: Longs = np.zeros((len(AMOUNTS), 0), dtype=np.int64)
        self.used: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.dirty: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # to be told
        self.squeezed = b""  # instead of all that
        self.unwritten = True

    def room(self, lines: int) -> None:
        if lines > self.sums.shape[1]:
            have = self.sums.shape[1]
            more = max(lines, have + have // 4, 64) - have
            self.sums = np.pad(self.sums, ((0, 0), (0, more)))
            self.used, self.dirty = np.pad(self.used, (0, more)), np.pad(self.dirty, (0, more))

    def used_lines(self) -> tuple[Longs, Longs]:
        """Lines in use (n,), and their sums (amounts, n)."""
        if self.squeezed:
            lines, *columns = np.frombuffer(zlib.decompress(self.squeezed), dtype="<i8").reshape(len(AMOUNTS) + 1, -1)
            return lines.astype(np.int64), np.array(columns, dtype=np.int64)
        lines = np.flatnonzero(self.used)
        return lines, self.sums[:, lines]

    def squeeze(self) -> None:
        if not self.squeezed and not self.dirty.any():
            self.squeezed = _squeezed(*self.used_lines())
            self.sums, self.used, self.dirty = self.sums[:, :0], self.used[:0], self.dirty[:0]

    def open(self) -> None:
        if self.squeezed:
            lines, sums = self.used_lines()
            self.squeezed = b""
            self.room(int(lines.max(initial=-1)) + 1)
            self.sums[:, lines], self.used[lines] = sums, True

    def renumber(self, kept: Longs) -> None:
        """Make the lines `kept`, in order, all that there are: 0 is the first of them."""
        if self.squeezed:
            lines, sums = self.used_lines()
            self.squeezed = _squeezed(np.searchsorted(kept, lines), sums)
        else:
            mine = kept[: np.searchsorted(kept, self.sums.shape[1])]
            self.sums, self.used, self.dirty = self.sums[:, mine], self.used[mine], self.dirty[mine]
        self.unwritten = True


def _squeezed(lines: Longs, sums: Longs) -> bytes:
    return zlib.compress(np.vstack([lines[None, :], sums]).astype("<i8").tobytes(), 1)


class LedgerPages:
    """Sums by hour, workload and line."""

    def __init__(self, partition: int = 0) -> None:
        """Nothing spent yet. Sums are absolute: those of two partitions must not stand in each other's place."""
        self._suffix = f"|p{partition}" if partition else ""
        self._lines: dict[tuple[str, str], int] = {}
        self._names: list[tuple[str, str]] = []
        self._order = Order()
        self._written_lines = 0
        self._look_beyond = FEW_LINES  # so many lines: some may be of hours that are gone
        self._pages: dict[int, _Page] = {}
        self._removed: set[int] = set()

    def line(self, workload: str, line: str) -> int:
        """The number of a spend line, which it keeps."""
        number = self._lines.get((workload, line))
        if number is None:
            number = self._lines[workload, line] = len(self._names)
            self._names.append((workload, line))
        return number

    def add(self, lines: Longs, end_ms: Longs, span_ms: Longs, **amounts: Longs) -> None:
        """Add what spans of time cost, each (n,): the line, its end and length, and amounts by name, each >= 0.

        A span is split over the hours it lies in, in proportion and to the last nano-dollar.
        """
        if not len(lines):
            return
        last = np.where(span_ms > 0, end_ms - 1, end_ms) // HOUR_MS
        simple = (end_ms - span_ms) // HOUR_MS >= last
        for column in amounts.values():
            simple &= column <= MOST_AT_ONCE
        if simple.all():
            self._put_all(lines, last, amounts)
            return
        if simple.any():
            kept = {name: column[simple] for name, column in amounts.items()}
            self._put_all(lines[simple], last[simple], kept)
        for place in np.flatnonzero(~simple).tolist():
            one = {name: int(column[place]) for name, column in amounts.items()}
            self._split(int(lines[place]), int(end_ms[place]), int(span_ms[place]), one)

    def _put_all(self, lines: Longs, hours: Longs, amounts: Mapping[str, Longs]) -> None:
        known = distinct(hours)
        for hour in known:
            mine = slice(None) if len(known) == 1 else hours == hour
            page = self._page(hour)
            at = lines[mine]
            for name, column in amounts.items():
                sums = page.sums[AMOUNTS.index(name)]
                np.add.at(sums, at, column[mine])
                sums[at] = np.minimum(sums[at], MOST)
            page.used[at] = page.dirty[at] = page.unwritten = True

    def _split(self, line: int, end_ms: int, span_ms: int, amounts: Mapping[str, int]) -> None:
        """One span over its hours. Integers of Python: no product is too large for them."""
        last = (end_ms - 1) // HOUR_MS if span_ms else end_ms // HOUR_MS
        first = min((end_ms - span_ms) // HOUR_MS, last)
        done = dict.fromkeys(amounts, 0)
        for hour in range(first, last + 1):
            page = self._page(hour)
            covered_ms = min(end_ms, (hour + 1) * HOUR_MS) - (end_ms - span_ms)
            for name, amount in amounts.items():
                upto = amount if hour == last else amount * covered_ms // span_ms
                at = AMOUNTS.index(name), line
                page.sums[at] = min(int(page.sums[at]) + upto - done[name], MOST)
                done[name] = upto
            page.used[line] = page.dirty[line] = page.unwritten = True

    def _page(self, hour: int) -> _Page:
        page = self._pages.get(hour)
        if page is None:
            page = self._pages[hour] = _Page()
        page.open()
        page.room(len(self._names))
        return page

    def forget(self, before_hour: int) -> bool:
        """Let go of the hours (epoch hours) before this one. Events that old must no longer be added.

        Whether lines have other numbers now: when many of them were of hours that are gone, they went with these.
        """
        known = len(self._pages)
        for hour in [hour for hour, page in self._pages.items() if hour < before_hour and not page.dirty.any()]:
            del self._pages[hour]
            self._removed.add(hour)
        return len(self._pages) != known and self._drop_unused()

    def _drop_unused(self) -> bool:
        if len(self._names) <= self._look_beyond:
            return False
        kept = np.flatnonzero(self._used())
        self._look_beyond = max(2 * len(kept), FEW_LINES)
        if len(self._names) <= WASTE_RATIO * len(kept):
            return False
        self._names = [self._names[line] for line in kept.tolist()]
        self._lines = {name: number for number, name in enumerate(self._names)}
        self._order.clear()
        self._written_lines = -1
        for page in self._pages.values():
            page.renumber(kept)
        return True

    def _used(self) -> NDArray[np.bool_]:
        """Which lines any page has."""
        used = np.zeros(len(self._names), dtype=np.bool_)
        for page in self._pages.values():
            used[page.used_lines()[0]] = True
        return used

    def rest(self, now_hour: int) -> None:
        """Squeeze the pages of hours that are over by `now_hour` and told."""
        for hour, page in self._pages.items():
            if hour <= now_hour - OPEN_HOURS:
                page.squeeze()

    def drain(self, team: Callable[[str], str | None]) -> list[LedgerRow]:
        """The rows that changed since the last call, as absolute figures, in order. `team`: a workload's."""
        rows: list[LedgerRow] = []
        ranks = self._order.ranks(self._names)
        for hour, page in sorted(self._pages.items()):
            if not page.dirty.any():
                continue
            at = datetime.fromtimestamp(hour * 3600, UTC)
            lines = np.flatnonzero(page.dirty)
            lines = lines[np.argsort(ranks[lines])]
            names = map(self._names.__getitem__, lines.tolist())
            figures = (column[lines].tolist() for column in page.sums)
            rows += [
                LedgerRow(
                    hour=at,
                    workload=workload,
                    line=line + self._suffix,
                    team=team(workload),
                    nano_usd=nano_usd,
                    gpu_s=gpu_ms / 1000,
                    requests=requests,
                    input_tokens=read,
                    output_tokens=written,
                    unpriced_tokens=unpriced,
                )
                for (workload, line), nano_usd, gpu_ms, requests, read, written, unpriced in zip(
                    names, *figures, strict=True
                )
            ]
            page.dirty[:] = False
        return rows

    def changes(self) -> dict[str, bytes | None]:
        """What is to be written down since the last call, by name; None: no more."""
        parts: dict[str, bytes | None] = {f"hour/{hour}": None for hour in self._removed if hour not in self._pages}
        self._removed = set()
        if self._written_lines != len(self._names):
            parts["lines"] = msgspec.msgpack.encode(self._names)
            self._written_lines = len(self._names)
        for hour, page in sorted(self._pages.items()):
            if page.unwritten:
                parts[f"hour/{hour}"] = page.squeezed or _squeezed(*page.used_lines())
                page.unwritten = False
        return parts

    def whole(self) -> dict[str, bytes]:
        """All of it, for `load`, lines in order; the same sums give the same bytes."""
        used = self._used()
        names = [name for name, is_used in zip(self._names, used.tolist(), strict=True) if is_used]
        place = np.zeros(len(used), dtype=np.int64)
        place[used] = Order().ranks(names)
        parts = {"lines": msgspec.msgpack.encode(sorted(names))}
        for hour, page in sorted(self._pages.items()):
            lines, sums = page.used_lines()
            sort = np.argsort(place[lines])
            parts[f"hour/{hour}"] = _squeezed(place[lines][sort], sums[:, sort])
        return parts

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Take what `whole`, or all `changes` together, wrote."""
        names = msgspec.msgpack.decode(parts["lines"], type=list[tuple[str, str]]) if "lines" in parts else []
        self._names = [(workload, intern(line)) for workload, line in names]
        self._lines = {name: number for number, name in enumerate(self._names)}
        self._order.clear()
        self._written_lines = len(self._names)
        self._pages, self._removed = {}, set()
        for name, body in parts.items():
            if name != "lines":
                page = self._pages[int(name.removeprefix("hour/"))] = _Page()
                page.squeezed, page.unwritten = body, False
                lines, _ = page.used_lines()
                if not body or lines.max(initial=-1) >= len(self._names):
                    raise ValueError("a page of the ledger is empty, or has a line without a name")
        self.rest(max(self._pages, default=0))
