"""The running sums of a partition's ledger: absolute figures for each hour and spend line, exact in nano-dollars."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from store.facts import LedgerRow

HOUR_MS = 3_600_000
MOST = 10**18  # of any sum, of one line in one hour: a billion dollars. The store's integers have 64 bits


class Sums(Struct):
    """What one spend line came to in one hour."""

    nano_usd: int = 0
    gpu_ms: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced_tokens: int = 0


class LedgerPages:
    """Sums by hour, workload and line; those of hours too old to change are let go, the store has them."""

    def __init__(self, partition: int = 0) -> None:
        """Nothing spent yet. Sums are absolute: those of two partitions must not stand in each other's place."""
        self._suffix = f"|p{partition}" if partition else ""
        self.pages: dict[int, dict[tuple[str, str], Sums]] = {}
        self._dirty: set[tuple[int, str, str]] = set()

    def add(
        self,
        workload: str,
        line: str,
        end_ms: int,
        span_ms: int,
        *,
        nano_usd: int = 0,
        gpu_ms: int = 0,
        requests: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        unpriced_tokens: int = 0,
    ) -> None:
        """Add what a span of time cost, split over the hours it lies in, in proportion and to the last nano-dollar."""
        amounts = (nano_usd, gpu_ms, requests, input_tokens, output_tokens, unpriced_tokens)
        first = (end_ms - span_ms) // HOUR_MS
        last = (end_ms - 1) // HOUR_MS if span_ms else end_ms // HOUR_MS
        if first >= last:
            self._put(last, workload, line, amounts)
            return
        done = (0, 0, 0, 0, 0, 0)
        for hour in range(first, last + 1):
            covered_ms = min(end_ms, (hour + 1) * HOUR_MS) - (end_ms - span_ms)
            upto = tuple(amount * covered_ms // span_ms for amount in amounts)
            self._put(hour, workload, line, tuple(now - before for now, before in zip(upto, done, strict=True)))
            done = upto  # type: ignore[assignment]

    def _put(self, hour: int, workload: str, line: str, amounts: tuple[int, ...]) -> None:
        page = self.pages.get(hour)
        if page is None:
            page = self.pages[hour] = {}
        sums = page.get((workload, line))
        if sums is None:
            sums = page[workload, line] = Sums()
        sums.nano_usd = min(sums.nano_usd + amounts[0], MOST)
        sums.gpu_ms = min(sums.gpu_ms + amounts[1], MOST)
        sums.requests = min(sums.requests + amounts[2], MOST)
        sums.input_tokens = min(sums.input_tokens + amounts[3], MOST)
        sums.output_tokens = min(sums.output_tokens + amounts[4], MOST)
        sums.unpriced_tokens = min(sums.unpriced_tokens + amounts[5], MOST)
        self._dirty.add((hour, workload, line))

    def forget(self, before_hour: int) -> None:
        """Let go of the hours (epoch hours) before this one. Events that old must no longer be added."""
        unwritten = {hour for hour, _, _ in self._dirty}
        for hour in [hour for hour in self.pages if hour < before_hour and hour not in unwritten]:
            del self.pages[hour]

    def drain(self, teams: dict[str, str | None]) -> list[LedgerRow]:
        """The rows that changed since the last call, as absolute figures, in order."""
        rows = []
        for hour, workload, line in sorted(self._dirty):
            sums = self.pages[hour][workload, line]
            rows.append(
                LedgerRow(
                    hour=datetime.fromtimestamp(hour * 3600, UTC),
                    workload=workload,
                    line=line + self._suffix,
                    team=teams.get(workload),
                    nano_usd=sums.nano_usd,
                    gpu_s=sums.gpu_ms / 1000,
                    requests=sums.requests,
                    input_tokens=sums.input_tokens,
                    output_tokens=sums.output_tokens,
                    unpriced_tokens=sums.unpriced_tokens,
                )
            )
        self._dirty.clear()
        return rows

    def to_bytes(self) -> bytes:
        """All pages in memory."""
        return msgspec.msgpack.encode(
            [(hour, key[0], key[1], sums) for hour, page in sorted(self.pages.items()) for key, sums in page.items()]
        )

    def load(self, data: bytes) -> None:
        """Take what `to_bytes` wrote."""
        self.pages, self._dirty = {}, set()
        for hour, workload, line, sums in msgspec.msgpack.decode(data, type=list[tuple[int, str, str, Sums]]):
            self.pages.setdefault(hour, {})[workload, line] = sums
