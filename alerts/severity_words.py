"""Why an incident is as loud as it is, in a sentence with the figures that decide. Pure."""

from alerts.incidents import Incident
from alerts.severity import Severity, SeverityPolicy
from alerts.wording import money, per_hour, percent
from detectors.findings import Cause, Kind


def why_so_loud(policy: SeverityPolicy, incident: Incident) -> str:
    """Why it pages, warns or is only recorded, by this policy; as it stands in these figures."""
    kind, severity = incident.kind, incident.severity
    if incident.cause is Cause.POISON:
        return "a partition that is stopped always pages"
    if kind in (Kind.DATA_GAP, Kind.UNPRICED):
        return f"{str(kind).replace('_', ' ')} always warns, and never pages"
    if kind is Kind.BUDGET:
        reached = ">=" if severity is not Severity.INFO else "<"
        likely = f"{percent(incident.confidence)} {reached} {percent(policy.warn_breach_confidence)}"
        return f"how likely the budget breaks: {likely}"
    if severity is Severity.INFO:
        if kind is Kind.ANOMALY and incident.cause is Cause.LEVEL_STEP and incident.changes:
            return "a step of the level next to a change that people made"
        return f"{_below(incident, policy.warn_usd_per_hour, policy.warn_usd)}"
    if severity is Severity.PAGE:
        return f"{_reached(incident, policy.page_usd_per_hour, policy.page_usd)}, confidence {incident.confidence:.2f}"
    return _reached(incident, policy.warn_usd_per_hour, policy.warn_usd)


def _reached(incident: Incident, usd_per_hour: float, usd: float) -> str:
    if abs(incident.usd_per_hour) >= usd_per_hour:
        return f"{per_hour(incident.usd_per_hour)} >= {per_hour(usd_per_hour)}"
    if abs(incident.usd_so_far) >= usd:
        return f"{money(incident.usd_so_far)} so far >= {money(usd)}"
    return "by an earlier figure, or by another config: severity only rises"


def _below(incident: Incident, usd_per_hour: float, usd: float) -> str:
    rate = f"{per_hour(incident.usd_per_hour)} < {per_hour(usd_per_hour)}"
    return f"{rate} and {money(incident.usd_so_far)} so far < {money(usd)}"
