"""What the service says at a time of a test, as rows to compare: as the contract names it."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from alerts.hindsight import alert
from alerts.incidents import Incident
from alerts.routing import Router
from console.backtest import BEGINNING, END
from store.store import Store

Row = dict[str, Any]


class Found(Struct, frozen=True, kw_only=True):
    """What there is at one moment."""

    alerts: list[Row]
    incidents: list[Row]
    resolved: list[Row]
    actions: list[Row]
    would_stop: list[Row]
    messages: list[Row]


def found_at(store: Store, router: Router, now: datetime) -> Found:
    """Read everything from the store of a test."""
    incidents = store.incidents_between(BEGINNING, END)
    rows = [(one, _incident(one, router, now)) for one in incidents]
    told = store.notices(100_000)
    return Found(
        alerts=[row for one, row in rows if one.resolved_at is None and alert(one)],
        incidents=[row for one, row in rows if one.resolved_at is None],
        resolved=[row for one, row in rows if one.resolved_at is not None],
        actions=[
            {
                "workload": one.workload, "step": str(one.step), "mode": str(one.mode), "reason": one.reason,
                "waiting": one.waiting, "usd_per_hour": one.usd_per_hour, "gpus": one.gpus, "team": one.team,
            }
            for one in sorted(store.list_actions(10_000), key=lambda one: one.action_id)
        ],
        would_stop=[
            {
                "workload": one.workload, "outcome": str(one.outcome), "held_back": one.held_back or None,
                "usd_per_hour": one.usd_per_hour, "usd": one.would_have_saved_usd, "gpus": one.gpus,
            }
            for one in store.would_stops_between(BEGINNING, END)
        ],
        messages=[
            {"channel": entry.notice.channel, "reason": str(entry.notice.reason), "title": entry.notice.title}
            for entry in reversed(told)
        ],
    )  # fmt: skip


def _incident(one: Incident, router: Router, now: datetime) -> Row:
    return {
        "kind": str(one.kind),
        "cause": str(one.cause),
        "workload": one.workload,
        "team": one.team,
        "model": one.model,
        "budget": one.budget,
        "severity": str(one.severity),
        "channels": sorted(router.channels(one)),
        "usd_per_hour": one.usd_per_hour,
        "usd_so_far": one.usd_so_far,
        "devices": len(one.devices),
        "for": f"{int((min(now, one.resolved_at or now) - one.began_at).total_seconds() // 60)}m",
    }
