"""Whether the telemetry proves that a workload was stopped. Pure.

Lost telemetry alone proves nothing. There are two proofs: an accelerator is seen with another owner; or all are silent
after an order that was accepted, while the rest of the cluster goes on to be heard. A proof stops nothing: a false one
ends an action too early, and what still runs is found idle anew.
"""

from msgspec import Struct

from alerts.scale_down import Action, Why
from alerts.scale_down_rules import Case

SIGHTED_EVERY_S = 300.0  # the record of an accelerator that stays with its owner may be this old
ACCELERATORS_LEFT = "accelerators_left"  # the figure in the evidence


class Proof(Struct, frozen=True, kw_only=True):
    """What proves it, and the figures that it rests on."""

    reason: Why
    evidence: dict[str, float]


def proof_of(case: Case, action: Action) -> Proof | None:
    """The proof that an executed action was carried out, None while there is none."""
    return seen_elsewhere(case, action) or vanished(case, action)


def seen_elsewhere(case: Case, action: Action) -> Proof | None:
    """One at least has another owner since the order, and the workload is left with fewer than it had.

    What its own partition still sees counts as the workload's: an accelerator that two workloads share stays its own.
    """
    look, traces = case.look, case.look.traces
    if traces is None or traces.moved_gpus == 0:
        return None
    fresh = look.fresh_age_s is not None and look.fresh_age_s <= case.policy.fresh_within_s
    left = max(traces.owned_gpus, look.gpus if fresh else 0)
    if left >= action.gpus:
        return None
    return Proof(
        reason=Why.GPUS_GONE,
        evidence={
            "accelerators_before": float(action.gpus),
            ACCELERATORS_LEFT: float(left),
            "seen_elsewhere": float(traces.moved_gpus),
        },
    )


def vanished(case: Case, action: Action) -> Proof | None:
    """All have been silent for long since the accepted order, and others of the cluster are heard."""
    look, traces = case.look, case.look.traces
    if traces is None or not traces.order_delivered or look.state == "busy":
        return None
    heard_until, last_seen_at = traces.heard_until, traces.last_seen_at
    if heard_until is None or last_seen_at is None or traces.others_heard == 0:
        return None
    lag_s = (case.now - heard_until).total_seconds()
    silent_s = (heard_until - max(last_seen_at, action.executed_at or action.at)).total_seconds()
    if lag_s > case.policy.fresh_within_s + SIGHTED_EVERY_S or silent_s <= case.policy.vanished_after_s:
        return None
    return Proof(
        reason=Why.GPUS_VANISHED,
        evidence={
            "accelerators_before": float(action.gpus),
            ACCELERATORS_LEFT: 0.0,
            "silent_s": silent_s,
            "others_heard_in_cluster": float(traces.others_heard),
        },
    )
