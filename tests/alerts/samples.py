"""One incident of each kind, one action, and their notices, written out."""

from datetime import UTC, datetime, timedelta

import msgspec

from alerts.incidents import Incident, Severity
from alerts.notices import Notice, Reason
from alerts.scale_down import Action, ActionStep, Mode
from detectors.findings import Cause, Kind

BEGAN = datetime(2026, 11, 23, 20, 13, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def _incident(kind: Kind, cause: Cause, **fields: object) -> Incident:
    given: dict[str, object] = {
        "incident_id": f"inc_{kind.value}0000000000"[:20],
        "fingerprint": f"{kind}|",
        "severity": Severity.WARN,
        "began_at": BEGAN,
        "detected_at": NOW,
        "updated_at": NOW,
        "team": "search",
    }
    return msgspec.convert({**given, "kind": kind, "cause": cause, **fields}, Incident)


IDLE = _incident(
    Kind.IDLE,
    Cause.MEMORY_HELD,
    severity=Severity.PAGE,
    workload="prod-eu/llm-serving/llama70b",
    model="NVIDIA H100",
    devices=("GPU-1", "GPU-2", "GPU-3", "GPU-4"),
    usd_per_hour=16.0,
    usd_so_far=12.53,
    usd_if_ignored=2764.8,
    observed=0.004,
    expected=0.05,
    unit="ratio",
    confidence=0.97,
    evidence={"idle_s": 2820.0, "util_ratio": 0.004, "power_w": 71.0, "tokens": 0.0, "price_book_usd_per_hour": 4.0},
    changes=("20:05 deploy v41: image llama70b:2026-11-23",),
)
WASTE = _incident(
    Kind.WASTE,
    Cause.SCALE_OUT_NOT_REVERSED,
    workload="prod-eu/llm-serving/chat",
    usd_per_hour=8.0,
    usd_so_far=6.27,
    devices=("GPU-5", "GPU-6"),
    evidence={"replicas_needed": 2.0, "replicas": 4.0},
    changes=("18:30 scale: 2 to 4 replicas",),
)
ANOMALY = _incident(
    Kind.ANOMALY,
    Cause.TOKENS_PER_REQUEST,
    severity=Severity.PAGE,
    workload="prod/chat/api",
    usd_per_hour=31.4,
    usd_so_far=24.6,
    usd_if_ignored=5400.0,
    observed=41.6,
    expected=10.2,
    confidence=0.993,
    evidence={"tokens_per_request": 5210.0, "usual_tokens_per_request": 1240.0},
)
DRIFT = _incident(
    Kind.DRIFT,
    Cause.SLOW_GROWTH,
    severity=Severity.INFO,
    began_at=datetime(2026, 11, 11, 21, 0, tzinfo=UTC),
    workload="prod/search/embed",
    usd_per_hour=3.2,
    usd_so_far=410.0,
    observed=9.6,
    expected=6.4,
    confidence=0.9,
)
BUDGET = _incident(
    Kind.BUDGET,
    Cause.FORECAST_BREACH,
    began_at=NOW - timedelta(hours=1),
    budget="team-search",
    usd_per_hour=16.4,
    usd_so_far=9000.0,
    usd_if_ignored=2200.0,
    observed=14200.0,
    expected=12000.0,
    unit="usd",
    confidence=0.93,
    evidence={
        "p10_usd": 13100.0,
        "p90_usd": 15600.0,
        "spent_usd": 9000.0,
        "budget_usd": 12000.0,
        "breach_probability_ratio": 0.93,
        "breach_at_epoch_s": datetime(2026, 12, 14, 9, tzinfo=UTC).timestamp(),
    },
)
DATA_GAP = _incident(
    Kind.DATA_GAP,
    Cause.TELEMETRY_LOST,
    workload="prod-eu/llm-serving/llama70b",
    devices=("GPU-1", "GPU-2"),
    usd_per_hour=8.8,
    usd_so_far=6.89,
    evidence={"last_seen_s": 2820.0},
)
UNPRICED = _incident(
    Kind.UNPRICED,
    Cause.UNKNOWN_MODEL,
    workload="prod/chat/api",
    model="frontier-9-preview",
    observed=1.2e6,
    unit="tokens",
)
RECONCILIATION = _incident(
    Kind.RECONCILIATION,
    Cause.ESTIMATE_OFF,
    severity=Severity.INFO,
    began_at=datetime(2026, 11, 22, 0, 0, tzinfo=UTC),
    workload="prod/search/embed",
    usd_so_far=120.0,
    observed=1120.0,
    expected=1000.0,
    unit="usd",
)
EVERY_KIND = (IDLE, WASTE, ANOMALY, DRIFT, BUDGET, DATA_GAP, UNPRICED, RECONCILIATION)

ACTION = Action(
    action_id="act_0000000000000001",
    incident_id=IDLE.incident_id,
    workload="prod-eu/llm-serving/llama70b",
    team="search",
    mode=Mode.AUTO,
    step=ActionStep.WARNED,
    at=NOW,
    usd_per_hour=16.0,
    replicas_from=4,
    gpus=4,
    evidence={"idle_s": 7200.0, "power_w": 71.0, "usd_so_far": 32.0, "observed_generation": 7.0},
    reason="Idle by utilisation and by power",
    expires_at=NOW + timedelta(minutes=20),
)


def resolved(incident: Incident, after: timedelta = timedelta(hours=1)) -> Incident:
    """The incident as it stands when it has ended."""
    end = incident.updated_at + after
    return msgspec.structs.replace(incident, resolved_at=end, updated_at=end, transition=incident.transition + 1)


def notice_of(
    incident: Incident, reason: Reason = Reason.FIRST_TIME, *, channel: str = "ops", title: str = "$16.00/h wasted"
) -> Notice:
    """A notice about an incident."""
    step = {Reason.FIRST_TIME: "opened", Reason.RESOLVED: "resolved", Reason.ACKNOWLEDGED: "acknowledged"}
    return Notice(
        notice_id=f"ntc_{incident.incident_id}_{incident.transition}_{reason}",
        channel=channel,
        subject="incident",
        subject_id=incident.incident_id,
        transition=incident.transition,
        step=step.get(reason, "updated"),
        reason=reason,
        title=title,
        at=incident.updated_at,
        body=msgspec.json.encode(incident),
    )


def notice_of_action(action: Action, reason: Reason = Reason.ACTION_WARNED) -> Notice:
    """A notice about an action."""
    return Notice(
        notice_id=f"ntc_{action.action_id}_{action.transition}",
        channel="ops",
        subject="action",
        subject_id=action.action_id,
        transition=action.transition,
        step=action.step,
        reason=reason,
        title="$16.00/h will be stopped",
        at=action.at,
        body=msgspec.json.encode(action),
    )


def notice_of_digest(title: str = "$1,200 last week") -> Notice:
    """A notice that bears a digest which has been rendered already."""
    body = {
        "title": title,
        "text": f"{title}\nnothing to do",
        "html": f"<p>{title}</p>",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": title}}],
    }
    return Notice(
        notice_id="ntc_digest_2026w48",
        channel="ops",
        subject="digest",
        subject_id="2026-W48",
        transition=0,
        step="digest",
        reason=Reason.WEEKLY,
        title=title,
        at=NOW,
        body=msgspec.json.encode(body),
    )
