"""A pipeline as the product assembles it, how messages are handed to it, and what is kept of what it says."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct

from console.assemble import pipelines, router
from console.settings import parse_settings
from console.settings_sources import Sources
from store.facts import Facts
from streams.pipeline import Pipeline
from streams.records import Record, Slice

CONFIG = """
prices:
  gpu:
    - {model: "*H100*", usd_per_hour: 3.99, from: 2026-01-01}
    - {model: "*H100*", usd_per_hour: 4.000000007, from: 2026-03-02T12:00:00Z}
  tokens:
    - {provider: openai, model: gpt-5-mini, from: 2026-01-01, input_usd_per_million: 0.25,
       cache_read_usd_per_million: 0.025, cache_write_usd_per_million: 0.3125, output_usd_per_million: 2.0005}
    - {provider: openai, model: gpt-5-mini, from: 2026-03-02T12:00:00Z,
       input_usd_per_million: 0.35, output_usd_per_million: 3}
attribution:
  - {match: {namespace: batch}, team: science}
detection:
  idle: {after: 4m}
  data_gap: {after: 5m}
  anomaly: {min_history_hours: 1, floor_usd_per_hour: 0, floor_ratio: 0, record_margin: 1.05}
severity: {page_usd_per_hour: 3, page_usd: 1, warn_usd_per_hour: 0.01, warn_usd: 0.01}
"""
SETTINGS = parse_settings(CONFIG, "laws.yaml", Sources(Path("."), {}))
BUILD = pipelines(SETTINGS, router(SETTINGS))


def pipeline() -> Pipeline:
    """A new one, as the service builds it."""
    return BUILD(0)


def hand(one: Pipeline, records: Sequence[Record], *, behind: AbstractSet[str] = frozenset(), now: Any = None) -> None:
    """Give it messages as the transport does: a slice for each run of messages of one topic."""
    for topic, run in groupby(records, key=lambda record: record.topic):
        part = list(run)
        one.observe(
            Slice(
                topic,
                0,
                [record.offset for record in part],
                [round(record.arrived_at.timestamp() * 1000) for record in part],
                [record.value for record in part],
            ),
            behind,
            now,
        )


class Kept(Struct):
    """What a store holds after writing facts in order, by the keys and rules of `store.facts`."""

    ledger: dict[Any, Any] = {}
    charges: dict[Any, Any] = {}
    changes: dict[Any, Any] = {}
    rejects: dict[Any, Any] = {}
    statuses: dict[Any, Any] = {}
    devices: dict[Any, Any] = {}
    incidents: dict[Any, Any] = {}
    notices: dict[Any, Any] = {}

    def write(self, facts: Facts) -> None:
        """One commit. Facts are absolute: written again, they change nothing."""
        self.ledger |= {(row.hour, row.workload, row.line): row for row in facts.ledger}
        for charge in facts.charges:
            held = self.charges.get(charge.identity)
            if held is None or charge.at >= held.at:
                self.charges[charge.identity] = charge
        self.changes |= {row.event_id: row for row in facts.changes}
        self.rejects |= {(row.topic, row.offset, row.index): row for row in facts.rejects}
        self.statuses |= {row.workload: row for row in facts.statuses}
        self.devices |= {row.device: row for row in facts.devices}
        for incident in facts.incidents:
            was = self.incidents.get(incident.incident_id)
            newer = was is None or (incident.updated_at >= was.updated_at and incident.transition >= was.transition)
            if newer and not (was is not None and was.resolved_at is not None and incident.resolved_at is None):
                self.incidents[incident.incident_id] = incident
        for notice in facts.notices:
            self.notices.setdefault(notice.notice_id, notice)


def kept(*several: Facts) -> Kept:
    """What a store holds that began empty."""
    one = Kept()
    for facts in several:
        one.write(facts)
    return one


def finished(one: Pipeline) -> Facts:
    """Close what is open, and hand over the rest."""
    one.finish()
    return one.drain()
