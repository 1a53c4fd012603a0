"""Values that the store's tests write and expect back."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from alerts.incidents import Incident, Severity
from alerts.notices import Notice, Reason
from alerts.scale_down import Action, ActionStep, Mode
from detectors.findings import Cause, Kind
from store.facts import ChargeRow, Facts, GapCause, GapRow, LedgerRow
from store.store import Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CHAT = "prod/llm/chat"


def ledger_row(**fields: Any) -> LedgerRow:
    values: dict[str, Any] = {
        "hour": NOON,
        "workload": CHAT,
        "line": "gpu|H100|book",
        "team": "search",
        "nano_usd": 4_000_000_000,
        "gpu_s": 3600.0,
    }
    return LedgerRow(**{**values, **fields})


def gap_row(**fields: Any) -> GapRow:
    values: dict[str, Any] = {
        "gap_id": "gap_a",
        "source": "gpu.samples/3@60-90",
        "topic": "gpu.samples",
        "partition": 3,
        "cause": GapCause.EXPIRED,
        "first_offset": 60,
        "next_offset": 90,
        "most_events": 30,
        "found_at": NOON,
        "began_at": NOON - HOUR,
        "ended_at": None,
        "usd_per_hour": 4.0,
        "incident_id": "inc_a",
    }
    return GapRow(**{**values, **fields})


def charge(**fields: Any) -> ChargeRow:
    values: dict[str, Any] = {
        "identity": "aws|i-1|sku|2026-03-02",
        "at": NOON,
        "period_start": NOON,
        "period_end": NOON + HOUR,
        "workload": CHAT,
        "team": "search",
        "provider": "aws",
        "sku": "p5",
        "category": "Usage",
        "currency": "USD",
        "billed_cost": Decimal("98.32"),
        "effective_cost": Decimal("61.44"),
    }
    return ChargeRow(**{**values, **fields})


def incident(**fields: Any) -> Incident:
    values: dict[str, Any] = {
        "incident_id": "inc_a",
        "fingerprint": f"idle|{CHAT}||",
        "kind": Kind.IDLE,
        "cause": Cause.NO_TRAFFIC,
        "severity": Severity.WARN,
        "began_at": NOON - HOUR,
        "detected_at": NOON,
        "updated_at": NOON,
        "workload": CHAT,
        "team": "search",
        "devices": ("GPU-1", "GPU-2"),
        "usd_per_hour": 8.1,
        "usd_so_far": 16.2,
        "evidence": {"idle_s": 3600.0, "power_w": 71.3},
        "changes": ("deploy v2",),
    }
    return Incident(**{**values, **fields})


def notice(notice_id: str, transition: int = 0, **fields: Any) -> Notice:
    values: dict[str, Any] = {
        "notice_id": notice_id,
        "channel": "slack",
        "subject": "incident",
        "subject_id": "inc_a",
        "transition": transition,
        "step": "opened",
        "reason": Reason.FIRST_TIME,
        "title": "$8.10/h wasted by prod/llm/chat",
        "at": NOON,
        "body": b'{"incident_id":"inc_a"}',
    }
    return Notice(**{**values, **fields})


def action(step: ActionStep, **fields: Any) -> Action:
    values: dict[str, Any] = {
        "action_id": "act_a",
        "incident_id": "inc_a",
        "workload": CHAT,
        "team": "search",
        "mode": Mode.AUTO,
        "step": step,
        "at": NOON,
        "usd_per_hour": 8.1,
        "replicas_from": 4,
        "gpus": 2,
        "evidence": {"idle_s": 7200.0},
        "reason": "idle for 2 h",
    }
    return Action(**{**values, **fields})


def commit(store: Store, *facts: Facts, partition: int = 0) -> None:
    """Write facts as the owner of a partition, each in a commit of its own."""
    epoch = store.claim_partition(partition, "me", NOON).epoch
    for some in facts:
        store.commit(partition, epoch, some, snapshot=None, offsets={}, now=NOON)
