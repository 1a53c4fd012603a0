"""What a request costs, apart from how many there are: its tokens, the model that answers, and the price.

A request's tokens and the model's price of a token are pooled over an hour and judged against their own record of the
days before. A price step is judged against the price before it, for the same tokens. What has been told here is taken
out of the spend that volume is judged by, so that one step is told once.
"""

from dataclasses import dataclass

import numpy as np

from detectors import bins
from detectors.bins import BIN_S, BINS_AN_HOUR, Flags, Floats
from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import Fleet

FACTORS = {"mix": Cause.MODEL_MIX, "size": Cause.TOKENS_PER_REQUEST}
_PARTS = ("reference_usd", "tokens", "requests")


@dataclass(frozen=True)
class UnitCost:
    """Finds dearer models and larger requests. Ratios multiply."""

    margins: tuple[float, float] = (1.25, 1.4)  # over the record, model mix and tokens a request; with full history
    steps: tuple[float, float] = (1.4, 1.6)  # over what is usual
    hours_a_day: float = 8.0  # so many hours of use make a day of history
    full_history_days: float = 14.0  # a shorter one has seen less: the margin is raised to the power of what lacks
    min_requests: float = 20.0  # in the hour: fewer say nothing about a mean
    held_bins: float = 3.0  # so long it must last
    floor_usd_per_hour: float = 0.5
    floor_ratio: float = 0.3  # of what it cost before
    adopt_after_s: float = 86_400.0
    record_half_life_h: float = 2160.0

    def declare(self, fleet: Fleet) -> None:
        """The columns kept here."""
        workloads = fleet.workloads
        for part in _PARTS:
            workloads.declare(f"pool_{part}", "f8", 0.0, BINS_AN_HOUR)
        for name in FACTORS:
            workloads.declare(f"{name}_past", "f4", np.nan, 24)  # hourly, logarithms, the oldest first
            for column in ("level", "record", "now"):
                workloads.declare(f"{name}_{column}", "f8", np.nan)
            for column in ("odd", "since_s", "excess_usd", "adopted", "hours", "peak"):
                workloads.declare(f"{name}_{column}", "f8", 0.0)
            workloads.declare(f"{name}_open", "?", False)

    def bin(self, fleet: Fleet, minute: Minute, days: Floats, min_days: float) -> list[Finding]:
        """Judge the hour that ends with this bin, then learn it at a full hour."""
        workloads = fleet.workloads
        for part in _PARTS:
            pool = workloads.column(f"pool_{part}")
            pool[:, :-1] = pool[:, 1:]
            pool[:, -1] = workloads.column(f"bin_{part}")
        reference, tokens, requests = (workloads.column(f"pool_{part}").sum(axis=1) for part in _PARTS)
        enough = (requests >= self.min_requests) & (tokens > 0) & (reference > 0)
        values = {"mix": _log_ratio(reference, tokens, enough), "size": _log_ratio(tokens, requests, enough)}
        findings = []
        usual = workloads.column("mix_level") + workloads.column("size_level")
        rise = np.maximum(values["mix"] + values["size"] - usual, 0.0)
        paid = workloads.column("bin_usd") - workloads.column("bin_gpu_usd")
        excess = np.where(np.isnan(rise), 0.0, paid * (1.0 - np.exp(-np.nan_to_num(rise))))
        for (name, value), margin, step in zip(values.items(), self.margins, self.steps, strict=True):
            level, record = workloads.column(f"{name}_level"), workloads.column(f"{name}_record")
            known_days = np.minimum(days, workloads.column(f"{name}_hours") / self.hours_a_day)
            lacking = np.clip(self.full_history_days / np.maximum(known_days, 1e-9), 1.0, self.full_history_days)
            limit = np.fmax(record + np.log(margin) * lacking, level + np.log(step))
            worth = (excess * BINS_AN_HOUR >= self.floor_usd_per_hour) & (excess >= self.floor_ratio * (paid - excess))
            odd = (days >= min_days) & ~np.isnan(record) & (value > limit) & worth
            findings += self._advance(fleet, minute, name, value, odd, excess, young=days < self.full_history_days)
            if minute.end_s % 3600 == 0:
                self._learn(fleet, name, value)
        return findings

    def shift(self, fleet: Fleet) -> Floats:
        """How far the cost of a request has been told to have risen, as a logarithm, by row."""
        total = np.zeros(len(fleet.workloads))
        for name in FACTORS:
            total += self._own_shift(fleet, name)
        return total

    @staticmethod
    def _own_shift(fleet: Fleet, name: str) -> Floats:
        workloads = fleet.workloads
        rise = np.nan_to_num(workloads.column(f"{name}_now") - workloads.column(f"{name}_level"))
        open_ = workloads.column(f"{name}_open")
        own: Floats = workloads.column(f"{name}_adopted") + np.where(open_, np.maximum(rise, 0.0), 0.0)
        return own

    def open(self, fleet: Fleet) -> Flags:
        """Rows of which something is told just now."""
        found: Flags = fleet.workloads.column("mix_open") | fleet.workloads.column("size_open")
        return found

    def _advance(
        self, fleet: Fleet, minute: Minute, name: str, value: Floats, odd: Flags, excess: Floats, *, young: Flags
    ) -> list[Finding]:
        workloads = fleet.workloads
        count, open_ = workloads.column(f"{name}_odd"), workloads.column(f"{name}_open")
        since, so_far = workloads.column(f"{name}_since_s"), workloads.column(f"{name}_excess_usd")
        level, record = workloads.column(f"{name}_level"), workloads.column(f"{name}_record")
        adopted, now = workloads.column(f"{name}_adopted"), workloads.column(f"{name}_now")
        peak = workloads.column(f"{name}_peak")
        known = ~np.isnan(value)
        now[known] = value[known]
        back = open_ & known & (value < level + 0.5 * np.log(self.steps[list(FACTORS).index(name)]))
        returned = ~open_ & known & (adopted > 0) & (value < level - 0.5 * adopted)
        count[:] = np.where(~known, count, np.where(np.where(open_, back, odd | returned), count + 1, 0.0))
        so_far[:] = np.where(open_, so_far + excess, np.where(odd & known, so_far * (count > 1) + excess, so_far))
        held = count >= self.held_bins
        count[held] = 0.0
        findings = []
        for row in np.flatnonzero(held & returned).tolist():  # what was adopted has gone again
            level[row] -= adopted[row]
            record[row] = level[row]
            adopted[row] = 0.0
        opens = held & odd & ~open_
        since[opens] = minute.end_s - self.held_bins * BIN_S
        peak[opens] = now[opens]
        peak[open_] = np.fmax(peak, now)[open_]
        kept = open_ & (minute.end_s - since > self.adopt_after_s)
        for row in np.flatnonzero(opens | open_).tolist():
            over = bool(kept[row] or (held[row] and open_[row]))
            findings.append(self._say(fleet, minute, name, row, excess, ended=over))
            if kept[row]:
                adopted[row] += max(now[row] - level[row], 0.0)
                level[row] = record[row] = now[row]
                workloads.column(f"{name}_past")[row] = np.nan
            elif over and young[row]:
                record[row] = np.fmax(record[row], peak[row])
            open_[row] = not over
        return findings

    def _learn(self, fleet: Fleet, name: str, value: Floats) -> None:
        """Enter the value of a day ago, unless it was odd, so that a slow rise can't raise its own record."""
        workloads = fleet.workloads
        past, level, record = (workloads.column(f"{name}_{column}") for column in ("past", "level", "record"))
        old = past[:, 0].astype(np.float64)
        past[:, :-1] = past[:, 1:]
        past[:, -1] = np.where(workloads.column(f"{name}_open"), np.nan, value)
        known = ~np.isnan(old)
        workloads.column(f"{name}_hours")[known] += 1
        fresh = known & np.isnan(level)
        level[fresh] = old[fresh]
        rate = 1.0 - 0.5 ** (1.0 / bins.USUAL_HALF_LIFE_H)
        level[known] += rate * (old[known] - level[known])
        fade = 0.5 ** (1.0 / self.record_half_life_h)
        faded = level + (record - level) * fade
        record[:] = np.where(known, np.fmax(faded, old), record)

    def _say(self, fleet: Fleet, minute: Minute, name: str, row: int, excess: Floats, *, ended: bool) -> Finding:
        workloads = fleet.workloads
        began_s = float(workloads.column(f"{name}_since_s")[row])
        per_hour = float(excess[row]) * BINS_AN_HOUR
        ratio = float(np.exp(workloads.column(f"{name}_now")[row] - workloads.column(f"{name}_level")[row]))
        observed = float(workloads.column("bin_usd")[row]) * BINS_AN_HOUR
        return Finding(
            kind=Kind.ANOMALY,
            cause=FACTORS[name],
            at=minute.known_at,
            began_at=moment(began_s),
            ended_at=minute.known_at if ended else None,
            workload=workloads.keys[row],
            team=fleet.teams[row],
            cleared=ended,
            usd_per_hour=0.0 if ended else round(per_hour, 6),
            usd_so_far=round(float(workloads.column(f"{name}_excess_usd")[row]), 6),
            observed=round(observed, 6),
            expected=round(observed - per_hour, 6),
            confidence=0.9,
            evidence={f"{name}_ratio": round(ratio, 4), "window_s": 3600.0},
            changes=bins.changes_near(minute, row, began_s),
        )


def _log_ratio(above: Floats, below: Floats, known: Flags) -> Floats:
    """Logarithm of a quotient, NaN where it is not known."""
    ratio = np.divide(above, below, out=np.full(len(above), np.nan), where=known)
    logarithm: Floats = np.log(ratio)
    return logarithm
