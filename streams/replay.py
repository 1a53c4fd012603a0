"""Replay: event files through the same pipeline and duties, on the events' own time, into the contract's files.

No Kafka, no database server, no network: the store is SQLite in memory. The same input and config give the same bytes.
"""

from collections.abc import Callable, Iterable
from csv import writer
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from msgspec import Struct, json

from alerts.incidents import Incident
from alerts.notices import Notice
from alerts.scale_down import Action
from detectors.findings import Kind
from store.facts import ForecastRow, RejectRow
from store.store import Store
from streams.forecast_duty import EVERYTHING, ForecastDuty
from streams.pipeline import Pipeline
from streams.records import Record
from streams.scale_down_duty import ScaleDownDuty

QUIET_TICK = timedelta(hours=1)
BUSY_TICK = timedelta(minutes=5)  # while something is idle: a scale-down has its own rhythm
MOST_RECORDS = 5_000


class Summary(Struct, kw_only=True):
    """What a replay came to."""

    records: int = 0
    events: int = 0
    rejects: int = 0
    duplicates: int = 0
    late: int = 0
    incidents: int = 0
    notifications: int = 0
    actions: int = 0
    usd: float = 0.0
    first_at: datetime | None = None
    last_at: datetime | None = None
    wall_s: float = 0.0


class Replay:
    """One replay, from the first record to the files."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        forecasts: ForecastDuty,
        scale_down: ScaleDownDuty,
        *,
        keep: bool = True,
        settle: Callable[[Store, datetime], None] = lambda store, now: None,
    ) -> None:
        """Everything on one store of its own.

        Without `keep` nothing is held in memory for `write`. `settle` says after each step what became of the notices.
        """
        self.store, self.pipeline, self.forecasts, self.scale_down = store, pipeline, forecasts, scale_down
        self.keep, self.settle = keep, settle
        self.notices: list[Notice] = []
        self.actions: list[Action] = []
        self.issued: list[ForecastRow] = []
        self.rejects: list[RejectRow] = []
        self.incidents: dict[str, Incident] = {}
        self.summary = Summary()
        self._epoch = 0

    def run(
        self,
        records: Iterable[Record],
        *,
        until: datetime | None = None,
        speed: float | None = None,
        end: datetime | None = None,
        progress: Callable[[int, datetime], None] = lambda number, at: None,
    ) -> Summary:
        """Take records in order of arrival, up to `until`. `speed`: event seconds a second; None: no waiting.

        `end`: how long time goes on after the last of them, while the rest of the service is heard.
        """
        began_s = monotonic()
        batch: list[Record] = []
        tick_at: datetime | None = None
        first: datetime | None = None
        now: datetime | None = None
        for record in records:
            if until is not None and record.arrived_at >= until:
                break
            now = record.arrived_at
            if first is None or tick_at is None:
                first = tick_at = now
                self._epoch = self.store.claim_partition(self.pipeline.partition, "replay", now).epoch
                self.forecasts.take_over(now)
            if now >= tick_at:
                self._step(batch, now)
                tick_at = now + (BUSY_TICK if self._idle_open() else QUIET_TICK)
                progress(self.summary.records, now)
                if speed:
                    sleep(max((now - first).total_seconds() / speed - (monotonic() - began_s), 0.0))
            elif len(batch) >= MOST_RECORDS:
                self.pipeline.observe(batch)
                batch.clear()
            batch.append(record)
            self.summary.records += 1
        if now is not None:
            self.pipeline.observe(batch)
            while end is not None and now < end:
                now = min(now + BUSY_TICK, end)
                self.pipeline.follow(now)
                self._step([], now)
            self.pipeline.finish()
            self._step([], now)
        self.summary.first_at, self.summary.last_at = first, now
        self.summary.wall_s = monotonic() - began_s
        return self.summary

    def _idle_open(self) -> bool:
        return any(incident.kind is Kind.IDLE for incident in self.pipeline.book.open)

    def _step(self, batch: list[Record], now: datetime) -> None:
        """Observe, write down, and let the duties look."""
        self.pipeline.observe(batch)
        batch.clear()
        facts = self.pipeline.drain()
        tally = self.pipeline.take_tally()
        self.summary.events += sum(tally.events.values())
        self.summary.duplicates += tally.duplicates
        self.summary.late += tally.late
        self.summary.rejects += len(facts.rejects)
        if self.keep:
            self.rejects += facts.rejects
            self.notices += facts.notices
        facts.rejects = []
        self.store.commit(
            self.pipeline.partition, self._epoch, facts, snapshot=None, offsets={}, now=now,
            watermark=self.pipeline.watermark,
        )  # fmt: skip
        issued = [row for row in self.forecasts.run(now) if row.budget != EVERYTHING.name]
        taken = self.scale_down.run(now) if facts.incidents or self._idle_open() else []
        if self.keep:
            self.issued += issued
            self.actions += taken
        self.settle(self.store, now)

    def write(self, folder: Path) -> Summary:
        """Write the files of the contract's section 3."""
        folder.mkdir(parents=True, exist_ok=True)
        far = (datetime.fromisoformat("1970-01-01T00:00:00+00:00"), datetime.fromisoformat("9999-01-01T00:00:00+00:00"))
        incidents = sorted(
            self.store.incidents_between(*far), key=lambda one: (one.detected_at, one.fingerprint, one.incident_id)
        )
        told = self.store.notices(10_000_000)
        notices = sorted((entry.notice for entry in told), key=lambda one: (one.at, one.notice_id))
        _lines(folder / "incidents.jsonl", map(incident_line, incidents))
        _lines(folder / "notifications.jsonl", map(_notice_line, notices))
        _lines(folder / "actions.jsonl", map(_action_line, self.actions))
        _lines(folder / "forecasts.jsonl", map(_forecast_line, self.issued))
        _lines(folder / "rejects.jsonl", map(_reject_line, self.rejects))
        self.summary.usd = self._spend(folder / "spend.csv", far)
        self.summary.incidents, self.summary.notifications = len(incidents), len(notices)
        self.summary.actions = len(self.actions)
        return self.summary

    def _spend(self, path: Path, span: tuple[datetime, datetime]) -> float:
        billed = {(row.hour, row.workload): row.usd for row in self.store.billed_by_hour(*span)}
        spent = {(row.hour, row.workload): 0 for row in self.store.spend_by_hour(*span)}
        for row in self.store.spend_by_hour(*span):
            spent[row.hour, row.workload] += row.nano_usd
        with path.open("w", newline="", encoding="utf-8") as file:
            out = writer(file, lineterminator="\n")
            out.writerow(["hour", "workload", "usd", "usd_billed"])
            for hour, workload in sorted({*spent, *((hour, name or "") for hour, name in billed)}):
                nano_usd = spent.get((hour, workload), 0)
                usd_billed = billed.get((hour, workload))
                usd = f"{nano_usd // 10**9}.{nano_usd % 10**9:09d}"
                out.writerow([rfc3339(hour), inert(workload), usd, "" if usd_billed is None else f"{usd_billed:.9f}"])
        return sum(spent.values()) / 1e9


def inert(name: str) -> str:
    """A name as a cell that no spreadsheet takes for a formula: one that looks like it gets an apostrophe before it."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r", "\x00")) else name


def rfc3339(at: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC; fractions only where there are any."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def incident_line(incident: Incident) -> dict[str, Any]:
    """An incident as the contract writes it."""
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "cause": incident.cause,
        "workload": incident.workload,
        "team": incident.team,
        "model": incident.model,
        "devices": list(incident.devices),
        "budget": incident.budget,
        "severity": incident.severity,
        "began_at": rfc3339(incident.began_at),
        "detected_at": rfc3339(incident.detected_at),
        "resolved_at": rfc3339(incident.resolved_at),
        "usd_per_hour": incident.usd_per_hour,
        "usd_so_far": incident.usd_so_far,
        "usd_if_ignored": incident.usd_if_ignored,
        "observed": incident.observed,
        "expected": incident.expected,
        "unit": incident.unit,
        "confidence": incident.confidence,
        "evidence": incident.evidence,
        "changes": list(incident.changes),
    }


def _notice_line(notice: Notice) -> dict[str, Any]:
    return {
        "at": rfc3339(notice.at),
        "channel": notice.channel,
        "incident_id": notice.subject_id if notice.subject == "incident" else None,
        "reason": notice.reason,
        "title": notice.title,
    }


def _action_line(action: Action) -> dict[str, Any]:
    return {
        "at": rfc3339(action.at),
        "action_id": action.action_id,
        "workload": action.workload,
        "step": action.step,
        "mode": action.mode,
        "usd_per_hour": action.usd_per_hour,
        "evidence": action.evidence,
    }


def _forecast_line(forecast: ForecastRow) -> dict[str, Any]:
    return {
        "issued_at": rfc3339(forecast.issued_at),
        "workload": forecast.workload,
        "budget": forecast.budget,
        "period_start": rfc3339(forecast.period_start),
        "period_end": rfc3339(forecast.period_end),
        "p10_usd": round(forecast.p10_usd, 6),
        "p50_usd": round(forecast.p50_usd, 6),
        "p90_usd": round(forecast.p90_usd, 6),
        "method": forecast.method,
    }


def _reject_line(reject: RejectRow) -> dict[str, Any]:
    return {
        "topic": reject.topic,
        "offset": reject.offset,
        "index": reject.index,
        "arrived_at": rfc3339(reject.at),
        "reason": reject.reason,
        "payload": reject.payload.decode("utf-8", errors="replace"),
    }


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(json.encode(row) + b"\n")
