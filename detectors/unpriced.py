"""Unpriced usage: tokens or accelerators that no price source knows. Counted and said, never taken for $0."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.findings import Cause, Finding, Kind
from detectors.minute import Minute, moment
from detectors.panel import OVERFLOW, Fleet


@dataclass(frozen=True)
class UnpricedDetector:
    """Says once for each workload and model that its usage has no price; ends when none has come for `quiet_s`."""

    min_tokens: float = 1000.0
    min_gpu_s: float = 60.0
    quiet_s: float = 7200.0
    name: str = "unpriced"

    def look(self, fleet: Fleet, minute: Minute) -> list[Finding]:
        """Count what has no price; the estimate in dollars uses what the workload's other tokens cost."""
        pairs, workloads = fleet.pairs, fleet.workloads
        for name in ("unpriced_first_s", "unpriced_last_s", "unpriced_tokens", "unpriced_gpu_s"):
            pairs.declare(name, "f8", 0.0)
        pairs.declare("unpriced_open", "?", False)
        pairs.declare("workload", "i4", -1, owner=True)
        for name in ("priced_usd", "priced_tokens"):
            workloads.declare(name, "f8", 0.0)
        self._learn(fleet, minute)
        touched: dict[int, None] = {}
        for use in minute.unpriced:
            row = pairs.row(f"{workloads.keys[use.workload]}\x1f{use.model}")
            touched[row] = None
            pairs.column("workload")[row] = -1 if pairs.keys[row] == OVERFLOW else use.workload
            if pairs.column("unpriced_first_s")[row] == 0:
                pairs.column("unpriced_first_s")[row] = minute.end_s - 60
            pairs.column("unpriced_last_s")[row] = minute.end_s
            pairs.column("unpriced_tokens")[row] += use.tokens
            pairs.column("unpriced_gpu_s")[row] += use.gpu_s
        findings = []
        for row in touched:
            enough = pairs.column("unpriced_tokens")[row] >= self.min_tokens
            enough |= pairs.column("unpriced_gpu_s")[row] >= self.min_gpu_s
            if enough or pairs.column("unpriced_open")[row]:
                pairs.column("unpriced_open")[row] = True
                findings.append(self._finding(fleet, minute, row, cleared=False))
        quiet = pairs.column("unpriced_open") & (minute.end_s - pairs.column("unpriced_last_s") > self.quiet_s)
        for row in np.flatnonzero(quiet).tolist():
            findings.append(self._finding(fleet, minute, row, cleared=True))
            for name in ("unpriced_first_s", "unpriced_tokens", "unpriced_gpu_s"):
                pairs.column(name)[row] = 0.0
            pairs.column("unpriced_open")[row] = False
        return findings

    @staticmethod
    def _learn(fleet: Fleet, minute: Minute) -> None:
        """What the tokens cost that do have a price."""
        usage, workloads = minute.usage, fleet.workloads
        unpriced: NDArray[np.float64] = np.zeros(len(workloads))
        for use in minute.unpriced:
            unpriced[use.workload] += use.tokens
        tokens = usage.input_tokens + usage.output_tokens - unpriced[usage.row]
        priced = (usage.usd > 0) & (tokens > 0)
        rows = usage.row[priced]
        workloads.column("priced_usd")[rows] += usage.usd[priced]
        workloads.column("priced_tokens")[rows] += tokens[priced]

    @staticmethod
    def _finding(fleet: Fleet, minute: Minute, row: int, *, cleared: bool) -> Finding:
        pairs, workloads = fleet.pairs, fleet.workloads
        owner = int(pairs.column("workload")[row])
        first_s, last_s = float(pairs.column("unpriced_first_s")[row]), float(pairs.column("unpriced_last_s")[row])
        tokens, gpu_s = float(pairs.column("unpriced_tokens")[row]), float(pairs.column("unpriced_gpu_s")[row])
        shared = owner < 0  # the overflow row: of many workloads and models
        known = 0.0 if shared else float(workloads.column("priced_tokens")[owner])
        usual = float(workloads.column("priced_usd")[owner]) / known if known else 0.0
        estimate = round(tokens * usual, 6)
        figures = {"unpriced_tokens": tokens, "unpriced_gpu_s": gpu_s, "estimated_usd": estimate}
        hours = max((minute.end_s - first_s) / 3600.0, 1.0)
        return Finding(
            kind=Kind.UNPRICED,
            cause=Cause.UNKNOWN_MODEL,
            at=minute.known_at,
            began_at=moment(first_s),
            ended_at=moment(last_s) if cleared else None,
            workload=None if shared else workloads.keys[owner],
            team=None if shared else fleet.teams[owner],
            model=pairs.keys[row].partition("\x1f")[2] or None,
            cleared=cleared,
            usd_per_hour=round(estimate / hours, 6),
            usd_so_far=estimate,
            observed=tokens if tokens else gpu_s,
            expected=0.0,
            unit="unpriced_tokens" if tokens else "unpriced_gpu_s",
            evidence={name: value for name, value in figures.items() if value},
        )
