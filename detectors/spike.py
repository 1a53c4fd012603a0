"""Tokens bought ten minutes at a time: a burst beyond the workload's own record, or requests that fail and come again.

A burst must last for two bins of three, unless it is enormous. Where most of a burst is failing requests, it is a retry
loop, and one bin is enough: no record needs to break when what is paid for fails.
"""

from dataclasses import dataclass

import numpy as np

from detectors import bins
from detectors.bins import BIN_S, BINS_AN_HOUR, Flags, Floats
from detectors.findings import Cause, Finding
from detectors.minute import Minute, Rows, moment
from detectors.panel import Fleet
from detectors.rise import rise

_TWO_OF_THREE = 1.25  # what a count that halves each bin shows after odd, odd and after odd, calm, odd


@dataclass(frozen=True)
class Spike:
    """Finds sudden spending. Margins are factors."""

    floor_usd_per_hour: float = 0.5
    floor_ratio: float = 0.3
    record_margin: float = 1.6  # times the record
    enormous_margin: float = 6.0  # times the record: one bin is enough
    failing_ratio: float = 0.2  # of the requests
    failing_times: float = 4.0  # times the usual share
    failing_requests: float = 10.0
    busier: float = 1.3  # times the usual requests, when they fail: else it is an outage, which costs nothing extra
    calm_bins: float = 3.0
    adopt_after_s: float = 86_400.0
    told_for_s: float = 3 * 86_400.0  # a burst no larger than one that was told is not told again so soon
    record_half_life_h: float = 2160.0

    def declare(self, fleet: Fleet) -> None:
        """The columns kept here."""
        for name in (
            "record_usd",
            "usual_usd",
            "odd",
            "calm",
            "since_s",
            "excess_usd",
            "expected_usd",
            "told_usd",
            "ended_s",
        ):
            fleet.workloads.declare(f"spike_{name}", "f8", 0.0)
        fleet.workloads.declare("spike_cause", "i4", 0)
        fleet.workloads.declare("spike_open", "?", False)

    def bin(self, fleet: Fleet, minute: Minute, usd: Floats, *, judged: Flags, young: Flags) -> list[Finding]:
        """Judge and learn a bin. usd: (rows,) for volume only; judged: old enough; young: what is
        told is learnt, too.
        """
        workloads = fleet.workloads
        record, open_ = workloads.column("spike_record_usd"), workloads.column("spike_open")
        usual = workloads.column("spike_usual_usd")
        excess = (usd - usual) * BINS_AN_HOUR
        worth = excess >= np.maximum(self.floor_usd_per_hour, self.floor_ratio * usual * BINS_AN_HOUR)
        failing = self._failing(fleet, usd)
        told, ended = workloads.column("spike_told_usd"), workloads.column("spike_ended_s")
        lately = ~open_ & (minute.end_s - ended < self.told_for_s)
        most = np.where(lately, np.maximum(record, told), record)
        beyond = worth & (usd > self.record_margin * most)
        recent, calm = workloads.column("spike_odd"), workloads.column("spike_calm")
        recent[:] = recent * 0.5 + beyond
        sudden = (
            (worth & failing) | (beyond & (recent >= _TWO_OF_THREE)) | (worth & (usd > self.enormous_margin * most))
        )
        opens = judged & ~open_ & sudden
        since, so_far = workloads.column("spike_since_s"), workloads.column("spike_excess_usd")
        expected = workloads.column("spike_expected_usd")
        expected[opens], so_far[opens], since[opens] = usual[opens], 0.0, minute.end_s - BIN_S
        for row in np.flatnonzero(opens).tolist():
            cause = bins.volume_cause(fleet, "bin", row)
            workloads.column("spike_cause")[row] = list(Cause).index(Cause.REQUEST_RATE if failing[row] else cause)
        running = open_ | opens
        told[opens] = 0.0
        told[running] = np.maximum(told, usd)[running]
        quiet = ~failing & (usd <= np.maximum(1.1 * record, expected))
        calm[:] = np.where(running & quiet & ~opens, calm + 1, 0.0)
        so_far[running] += np.maximum(usd - expected, 0.0)[running]
        lasted = running & (minute.end_s - since > self.adopt_after_s)
        over = lasted | (running & (calm >= self.calm_bins))
        ended[over] = minute.end_s
        normal = lasted | (over & young)  # from now on
        record[normal] = np.maximum(record, told)[normal]
        findings = [
            self._say(fleet, minute, row, float(usd[row]), ended=bool(over[row]))
            for row in np.flatnonzero(running).tolist()
        ]
        open_[:] = running & ~over
        rate = np.maximum(bins.USUAL_RATE, 1.0 / np.maximum(workloads.column("bins") + 1.0, 1.0))
        learns = workloads.column("bin_reported") & ~open_
        usual[learns] += (rate * (usd - usual))[learns]
        fade = 0.5 ** (1.0 / (self.record_half_life_h * BINS_AN_HOUR))
        odd = judged & (beyond | failing)
        record[:] = np.where(open_ | odd, record, np.maximum(record * fade, usd))
        return findings

    def sleep(self, fleet: Fleet, rows: Rows, n_bins: Rows) -> None:
        """What so many bins (n_rows,) of silence do to rows of which nothing is told."""
        fade = 0.5 ** (1.0 / (self.record_half_life_h * BINS_AN_HOUR))
        fleet.workloads.column("spike_record_usd")[rows] *= fade**n_bins
        fleet.workloads.column("spike_odd")[rows] *= 0.5**n_bins

    def _failing(self, fleet: Fleet, usd: Floats) -> Flags:
        workloads = fleet.workloads
        errors, requests = workloads.column("bin_errors"), workloads.column("bin_requests")
        share = errors / np.maximum(requests, 1.0)
        usual_requests = workloads.column("usual_requests")
        usual = workloads.column("usual_errors") / np.maximum(usual_requests, 1e-9)
        found: Flags = (
            (errors >= self.failing_requests)
            & (share >= np.maximum(self.failing_ratio, self.failing_times * usual))
            & (requests >= self.busier * usual_requests)
            & (share * usd * BINS_AN_HOUR >= self.floor_usd_per_hour)
        )
        return found

    def _say(self, fleet: Fleet, minute: Minute, row: int, usd: float, *, ended: bool) -> Finding:
        workloads = fleet.workloads
        requests = float(workloads.column("bin_requests")[row])
        return rise(
            fleet,
            minute,
            row,
            "spike",
            observed=usd * BINS_AN_HOUR,
            expected=float(workloads.column("spike_expected_usd")[row]) * BINS_AN_HOUR,
            record=float(workloads.column("spike_record_usd")[row]) * BINS_AN_HOUR,
            ended_at=moment(minute.end_s - self.calm_bins * BIN_S) if ended else None,
            failed_ratio=round(float(workloads.column("bin_errors")[row]) / max(requests, 1.0), 4),
            window_s=float(BIN_S),
        )
