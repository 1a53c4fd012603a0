"""A day that is dearer than any day before: the last 24 hours against the record of all 24 hours that ended a day ago.

A record needs no model of the day or the week: it holds the dearest day that there was. It learns a day late, so that
a rise can't hide behind itself. With less history than two weeks a record says less, and the margin is wider.
"""

from dataclasses import dataclass

import numpy as np

from detectors import bins
from detectors.bins import HOURS_A_DAY, Flags, Floats
from detectors.findings import Cause, Finding
from detectors.minute import Minute, Rows, moment
from detectors.panel import Fleet
from detectors.rise import rise


@dataclass(frozen=True)
class Level:
    """Finds a level that has risen. Margins are factors."""

    floor_usd_per_hour: float = 0.5
    floor_ratio: float = 0.3  # of what is usual: less is nobody's business
    margin: float = 1.15  # over the record, with full history
    served_margin: float = 2.0  # where accelerators serve requests: they follow the traffic, as they should
    hinted_ratio: float = 1.35  # over the same hours of the days before, once people changed the workload
    hinted_after_h: int = 6
    kept_share: float = 0.5  # of the margin's logarithm: what is open ends well below where it began
    full_history_days: float = 14.0
    adopt_after_s: float = 86_400.0
    told_for_s: float = 8 * 86_400.0  # as dear a day again within a week is a rhythm: it is learnt, not told
    record_half_life_h: float = 4320.0  # half a year: the dearest day of a quarter must be remembered

    def declare(self, fleet: Fleet) -> None:
        """The columns kept here."""
        workloads = fleet.workloads
        workloads.declare("level_hours_usd", "f4", np.nan, HOURS_A_DAY)
        workloads.declare("level_totals_usd", "f4", np.nan, HOURS_A_DAY)
        workloads.declare("level_profile_usd", "f4", np.nan, HOURS_A_DAY)
        for name in ("hour_usd", "record_usd", "since_s", "excess_usd", "expected_usd", "told_usd", "ended_s"):
            workloads.declare(f"level_{name}", "f8", 0.0)
        workloads.declare("level_hour_bins", "i4", 0)
        workloads.declare("level_cause", "i4", 0)
        for name in ("open", "masked"):
            workloads.declare(f"level_{name}", "?", False)

    def bin(self, fleet: Fleet, usd: Floats, told: Flags) -> None:
        """Add a bin to its hour. usd: (rows,); told: something else explains this bin, so that it is not counted."""
        workloads = fleet.workloads
        workloads.column("level_hour_usd")[:] += usd
        workloads.column("level_hour_bins")[:] += workloads.column("bin_reported")
        workloads.column("level_masked")[:] |= told

    def hour(self, fleet: Fleet, minute: Minute, days: Floats, min_days: float) -> list[Finding]:
        """Judge the day that ends with this hour, then learn the day before it."""
        workloads = fleet.workloads
        slot = (minute.end_s // 3600 - 1) % HOURS_A_DAY
        hours, totals = workloads.column("level_hours_usd"), workloads.column("level_totals_usd")
        profile, record = workloads.column("level_profile_usd"), workloads.column("level_record_usd")
        leaving = hours[:, 0].copy()  # the same hour, a day ago
        profile[:, slot] = np.where(
            np.isnan(profile[:, slot]),
            leaving,
            np.where(np.isnan(leaving), profile[:, slot], 0.7 * profile[:, slot] + 0.3 * leaving),
        )
        unknown = (workloads.column("level_hour_bins") == 0) | workloads.column("level_masked")
        hours[:, :-1] = hours[:, 1:]
        hours[:, -1] = np.where(unknown, profile[:, slot], workloads.column("level_hour_usd"))
        total = hours.sum(axis=1).astype(np.float64)  # NaN until a day is there
        lacking = np.clip(self.full_history_days / np.maximum(days, 1e-9), 1.0, self.full_history_days)
        served = (workloads.column("usual_requests") > 0) & (
            workloads.column("usual_gpu_usd") > 0.5 * workloads.column("usual_usd")
        )
        log_margin = np.where(served, np.log(self.served_margin), np.log(self.margin) * lacking)
        usual = np.nan_to_num(profile).sum(axis=1).astype(np.float64)
        floor = np.maximum(self.floor_usd_per_hour * HOURS_A_DAY * 0.5, self.floor_ratio * usual)
        worth = total - usual >= floor
        judged = (days >= min_days) & (record > 0) & ~np.isnan(total)
        open_, told = workloads.column("level_open"), workloads.column("level_told_usd")
        lately = ~open_ & (minute.end_s - workloads.column("level_ended_s") < self.told_for_s)
        reference = np.where(lately, np.maximum(record, told), record)
        log_margin *= np.where(open_, self.kept_share, 1.0)
        odd = judged & worth & (total > np.exp(log_margin) * reference)
        hinted = judged & self._hinted(fleet, minute)
        findings = self._advance(fleet, minute, odd, hinted, total, young=days < self.full_history_days)
        old = totals[:, 0].astype(np.float64)
        totals[:, :-1] = totals[:, 1:]
        totals[:, -1] = np.where(workloads.column("level_open"), np.nan, total)
        fade = 0.5 ** (1.0 / self.record_half_life_h)
        record[:] = np.where(np.isnan(old), record, np.maximum(record * fade, old))
        workloads.column("level_hour_usd")[:] = 0.0
        workloads.column("level_hour_bins")[:] = 0
        workloads.column("level_masked")[:] = False
        return findings

    def sleep(self, fleet: Fleet, rows: Rows, n_hours: Rows) -> None:
        """What so many hours (n_rows,) of silence do to rows that have been silent for two days already.

        Each hour is then what it usually is, so that all days cost the same; the record fades towards that.
        """
        workloads = fleet.workloads
        hours, totals = workloads.column("level_hours_usd")[rows], workloads.column("level_totals_usd")[rows]
        record, fade = workloads.column("level_record_usd")[rows], 0.5 ** (1.0 / self.record_half_life_h)
        step = np.arange(HOURS_A_DAY)
        each = np.arange(len(rows))[:, None]
        total = hours.sum(axis=1)
        for age in step.tolist():  # days that ended before the silence was two days old are learnt first
            old = totals[:, age].astype(np.float64)
            learns = (n_hours > age) & ~np.isnan(old)
            record = np.where(learns, np.maximum(record * fade, old), record)
        left = np.maximum(n_hours - HOURS_A_DAY, 0)
        record = np.where((left > 0) & ~np.isnan(total), np.maximum(record * fade**left, total), record)
        later = step + n_hours[:, None]
        filled = np.concatenate((totals, np.repeat(total[:, None], HOURS_A_DAY, axis=1)), axis=1)
        workloads.column("level_totals_usd")[rows] = filled[each, np.minimum(later, 2 * HOURS_A_DAY - 1)]
        workloads.column("level_hours_usd")[rows] = hours[each, later % HOURS_A_DAY]
        workloads.column("level_record_usd")[rows] = record

    def _hinted(self, fleet: Fleet, minute: Minute) -> Flags:
        """Rows that have been dearer since people changed something: they told us where to look, so less is enough."""
        workloads = fleet.workloads
        hours, profile = workloads.column("level_hours_usd"), workloads.column("level_profile_usd")
        found = np.zeros(len(workloads), dtype=bool)
        for row, at_s, _, _ in minute.changes:
            age_h = int((minute.end_s - at_s) // 3600)
            if self.hinted_after_h <= age_h <= HOURS_A_DAY and row < len(found):
                slots = (minute.end_s // 3600 - age_h + np.arange(age_h)) % HOURS_A_DAY
                now, usual = float(hours[row, -age_h:].sum()), float(profile[row, slots].sum())
                found[row] |= now > self.hinted_ratio * usual and now - usual >= self.floor_usd_per_hour * age_h
        return found

    def _advance(
        self, fleet: Fleet, minute: Minute, odd: Flags, hinted: Flags, total: Floats, *, young: Flags
    ) -> list[Finding]:
        workloads = fleet.workloads
        open_, since = workloads.column("level_open"), workloads.column("level_since_s")
        told, record = workloads.column("level_told_usd"), workloads.column("level_record_usd")
        findings = []
        for row in np.flatnonzero(odd | hinted | open_).tolist():
            if not open_[row]:
                self._begin(fleet, minute, row)
                told[row] = 0.0
                if not odd[row]:  # it is the change that we look at
                    since[row] = max(at_s for who, at_s, _, _ in minute.changes if who == row)
                    workloads.column("level_cause")[row] = list(Cause).index(Cause.LEVEL_STEP)
            else:
                now = float(workloads.column("level_hour_usd")[row])
                workloads.column("level_excess_usd")[row] += max(now - workloads.column("level_expected_usd")[row], 0.0)
            lasted = minute.end_s - since[row] > self.adopt_after_s + 3600.0 * HOURS_A_DAY
            over = bool(lasted or not (odd[row] or hinted[row]))
            findings.append(self._say(fleet, minute, row, ended=over))
            if lasted:  # from now on this is normal
                record[row] = total[row]
            told[row] = max(told[row], total[row])
            if over:
                if young[row]:
                    record[row] = max(record[row], told[row])
                workloads.column("level_ended_s")[row] = minute.end_s
            open_[row] = not over
        return findings

    def _begin(self, fleet: Fleet, minute: Minute, row: int) -> None:
        """Find where the rise began: where the sum of what lies over the middle between usual and now is least."""
        workloads = fleet.workloads
        hours = workloads.column("level_hours_usd")[row].astype(np.float64)
        order = (minute.end_s // 3600 - HOURS_A_DAY + np.arange(HOURS_A_DAY)) % HOURS_A_DAY
        usual = workloads.column("level_profile_usd")[row, order].astype(np.float64)
        usual = np.where(np.isnan(usual), hours.mean(), usual)
        ratio = np.sqrt(max(float(hours[-6:].sum()) / max(float(usual[-6:].sum()), 1e-9), 1.0))
        first = int(np.argmin(np.cumsum(np.r_[0.0, hours - ratio * usual])[:-1]))
        workloads.column("level_since_s")[row] = minute.end_s - 3600.0 * (HOURS_A_DAY - first)
        workloads.column("level_excess_usd")[row] = max(float((hours - usual)[first:].sum()), 0.0)
        workloads.column("level_expected_usd")[row] = float(usual.mean())
        cause = bins.volume_cause(fleet, "recent", row)
        if cause is Cause.REQUEST_RATE:
            cause = Cause.LEVEL_STEP
        workloads.column("level_cause")[row] = list(Cause).index(cause)

    @staticmethod
    def _say(fleet: Fleet, minute: Minute, row: int, *, ended: bool) -> Finding:
        workloads = fleet.workloads
        return rise(
            fleet,
            minute,
            row,
            "level",
            observed=float(workloads.column("level_hours_usd")[row].mean()),
            expected=float(workloads.column("level_expected_usd")[row]),
            record=float(workloads.column("level_record_usd")[row]) / HOURS_A_DAY,
            ended_at=moment(float(minute.end_s)) if ended else None,
            window_s=86_400.0,
        )
