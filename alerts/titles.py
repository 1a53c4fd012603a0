"""The one line that a push notification shows: money first, then the thing, never the product."""

from datetime import UTC, datetime

from alerts.incidents import Incident
from alerts.partition_stop import place as partition_place
from alerts.units import SUSPECT, suspicion
from alerts.wording import clean, count, day, duration, money, per_hour, percent, quantity
from detectors.findings import Cause, Kind

TITLE_MAX = 150

_HOW = {
    Kind.IDLE: {Cause.UNALLOCATED: "given to nobody for"},
    Kind.WASTE: {
        Cause.BUSY_NO_OUTPUT: "busy without output for",
        Cause.NO_TRAFFIC: "without traffic for",
        Cause.SCALE_OUT_NOT_REVERSED: "not scaled back for",
        Cause.MEMORY_HELD: "holding memory without work for",
        Cause.UNALLOCATED: "given to nobody for",
        Cause.UTILIZATION: "hardly used for",
        Cause.UNLIKE_PEERS: "lagging behind for",
    },
}
_CHANGED = {
    Cause.REQUEST_RATE: ("more requests", "fewer requests"),
    Cause.TOKENS_PER_REQUEST: ("more tokens per request", "fewer tokens per request"),
    Cause.MODEL_MIX: ("a dearer mix of models", "a cheaper mix of models"),
    Cause.PRICE: ("a higher price", "a lower price"),
    Cause.GPU_HOURS: ("more GPU hours", "fewer GPU hours"),
    Cause.LEVEL_STEP: ("a step up", "a step down"),
    Cause.SLOW_GROWTH: ("slow growth", "slow decline"),
    Cause.UTILIZATION: ("lower utilisation", "higher utilisation"),
}


def title(incident: Incident) -> str:
    """What a person must know from the lock screen, in plain text of at most 150 characters."""
    resolved = incident.resolved_at is not None
    text = _TITLES[incident.kind](incident, resolved)
    return clean(text, TITLE_MAX)


def where(incident: Incident, limit: int = 70) -> str:
    """The thing that it is about: workload, else input, else model, else budget, else the team."""
    if incident.workload is not None:
        return place(incident.workload, limit)
    if incident.source is not None:
        return clean(incident.source.partition("@")[0], limit)
    if incident.model is not None:
        return f"model {clean(incident.model, limit)}"
    if incident.budget is not None:
        return f"budget {clean(incident.budget, limit)}"
    return f"team {clean(incident.team, limit)}" if incident.team else "the whole fleet"


def place(workload: str, limit: int = 70) -> str:
    """A workload by its name; `cluster//`, which belongs to nobody, by its cluster."""
    return clean(workload.removesuffix("//"), limit)


def lasted(incident: Incident) -> str:
    """How long the condition has held, or held."""
    return duration((incident.resolved_at or incident.updated_at) - incident.began_at)


def gpus(incident: Incident) -> int:
    """How many accelerators; of many, not all are named."""
    counted = incident.evidence.get("accelerators", incident.evidence.get("gpus", 0.0))
    return max(len(incident.devices), int(counted))


def accelerators(incident: Incident) -> str:
    """How many of what: `4x NVIDIA H100`, `1 GPU`."""
    number = gpus(incident)
    if incident.kind == Kind.IDLE and incident.model:
        return f"{number}x {clean(incident.model, 40)}" if number else clean(incident.model, 40)
    return "GPUs" if not number else "1 GPU" if number == 1 else f"{number} GPUs"


def excess(incident: Incident) -> float:
    """USD per hour above (or, negative, below) what is normal."""
    if incident.unit == "usd_per_hour" and incident.observed is not None and incident.expected is not None:
        return incident.observed - incident.expected
    return incident.usd_per_hour


def changed(incident: Incident) -> str:
    """The cause in words, in the direction that it went; empty where it is not known."""
    more, less = _CHANGED.get(incident.cause, ("", ""))
    return more if excess(incident) >= 0 else less


def broken_on(incident: Incident) -> datetime | None:
    """The day on which a budget is expected to break, where the evidence says it."""
    at_s = incident.evidence.get("breach_at_epoch_s")
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC)


def worth(usd: float) -> bool:
    """Whether an amount is enough to be named: nobody is told of `$0.00`."""
    return abs(usd) >= 0.005


def _owner(incident: Incident) -> str:
    return f" (team {clean(incident.team, 40)})" if incident.team else ""


def _tail(incident: Incident) -> str:
    return f"{where(incident)}{_owner(incident)}"


def _unused(incident: Incident, resolved: bool) -> str:
    how = _HOW[incident.kind].get(incident.cause, "idle" if incident.kind == Kind.IDLE else "paid for without use for")
    what = f"{accelerators(incident)} {how} {lasted(incident)}"
    if resolved:
        over = f"{money(incident.usd_so_far)} wasted, over now" if worth(incident.usd_so_far) else "Over now"
        return f"{over}: {what} - {_tail(incident)}"
    if worth(incident.usd_per_hour):
        return f"{per_hour(incident.usd_per_hour)} wasted: {what} - {_tail(incident)}"
    return f"Price unknown: {what} - {_tail(incident)}"


def _anomaly(incident: Incident, resolved: bool) -> str:
    why = changed(incident)
    tail = f"{_tail(incident)}, {why}" if why else _tail(incident)
    if suspicion(incident):
        tail = f"{tail} ({SUSPECT})"
    if resolved:
        side = "below" if incident.cause == Cause.PRICE and incident.usd_per_hour < 0 else "above"
        over = f"{money(incident.usd_so_far)} {side} normal, over now" if worth(incident.usd_so_far) else "Normal again"
        return f"{over}: {tail}, {lasted(incident)}"
    over_usd = excess(incident)
    if not worth(over_usd):
        return f"Unusual use: {tail}, for {lasted(incident)}"
    side = "above" if over_usd > 0 else "below"
    return f"{per_hour(abs(over_usd))} {side} normal: {tail}, for {lasted(incident)}"


def _drift(incident: Incident, resolved: bool) -> str:
    if incident.cause == Cause.UTILIZATION:
        return _used_less(incident, resolved)
    over_usd = excess(incident)
    why = changed(incident) or "a lasting change"
    if resolved:
        over = f"{money(incident.usd_so_far)} of drift, over now" if worth(incident.usd_so_far) else "Drift is over"
        return f"{over}: {_tail(incident)}, {why}"
    if not worth(over_usd):
        return f"Drift: {_tail(incident)}, {why} over {lasted(incident)}"
    side = "more" if over_usd > 0 else "less"
    return f"{per_hour(abs(over_usd))} {side} than before: {_tail(incident)}, {why} over {lasted(incident)}"


def _used_less(incident: Incident, resolved: bool) -> str:
    figures = ""
    if incident.observed is not None and incident.expected is not None and incident.unit.endswith("ratio"):
        figures = f" {percent(incident.observed)}, was {percent(incident.expected)}"
    if resolved:
        return f"Utilisation is back: {_tail(incident)}, after {lasted(incident)}"
    if worth(incident.usd_per_hour):
        return f"{per_hour(incident.usd_per_hour)} badly used: utilisation{figures} - {_tail(incident)}"
    return f"Utilisation sinks:{figures} - {_tail(incident)}"


def _budget(incident: Incident, resolved: bool) -> str:
    name = clean(incident.budget or where(incident), 50)
    if resolved:
        end = f", {money(incident.observed)} expected" if incident.observed is not None else ""
        of = f" of {money(incident.expected)}" if end and incident.expected is not None else ""
        return f"Budget {name} is safe again{end}{of}{_owner(incident)}"
    spent = incident.evidence.get("spent_usd")
    if spent is not None and incident.expected is not None and spent >= incident.expected:
        return f"{money(spent)} spent of {money(incident.expected)}: budget {name} is broken{_owner(incident)}"
    on = broken_on(incident)
    text = f"budget {name} will break" + (f" on {day(on)}" if on else "")
    if incident.observed is None:
        return f"{text[:1].upper()}{text[1:]}{interval(incident)}{_owner(incident)}"
    of = f" of {money(incident.expected)}" if incident.expected is not None else ""
    return f"{money(incident.observed)}{of} expected: {text}{interval(incident)}{_owner(incident)}"


def interval(incident: Incident) -> str:
    """The forecast's 80 % interval in brackets, where the evidence holds it."""
    low, high = incident.evidence.get("p10_usd"), incident.evidence.get("p90_usd")
    return f" (80 %: {money(low)} to {money(high)})" if low is not None and high is not None else ""


def _poison(incident: Incident, resolved: bool) -> str:
    what = clean(partition_place(incident), 100)
    if resolved:
        return f"Reading goes on: {what}, stopped for {lasted(incident)}"
    return f"Spend not seen: {what} is stopped, {incident.observed or 0:,.0f} messages could not be used"


def lost_messages(incident: Incident) -> str:
    """How many messages of an input are missing, as far as that is known."""
    most = incident.evidence.get("most_events")
    return "an unknown number of messages" if most is None else f"up to {most:,.0f} message{'' if most == 1 else 's'}"


def _messages_lost(incident: Incident, resolved: bool) -> str:
    text = f"{lost_messages(incident)} of {where(incident)} gone from Kafka unread"
    usd = incident.evidence.get("may_be_missing_usd")
    if usd is not None and worth(usd):
        text = f"about {money(usd)} may be missing: {text}"
    text = f"{text}, {'read on after' if resolved else 'nothing read for'} {lasted(incident)}"
    return text[:1].upper() + text[1:]


def _data_gap(incident: Incident, resolved: bool) -> str:
    if incident.source is not None:
        return _messages_lost(incident, resolved)
    if incident.cause == Cause.POISON:
        return _poison(incident, resolved)
    if resolved:
        return f"Telemetry is back: {_tail(incident)}, after {lasted(incident)}"
    if worth(incident.usd_per_hour):
        return f"{per_hour(incident.usd_per_hour)} not seen: {_tail(incident)}, telemetry lost for {lasted(incident)}"
    return f"Telemetry lost: {_tail(incident)}, for {lasted(incident)}"


def _unpriced(incident: Incident, resolved: bool) -> str:
    model = f"model {clean(incident.model, 60)}" if incident.model else where(incident)
    of = f" of {place(incident.workload, 50)}" if incident.workload and incident.model else ""
    if resolved:
        return f"Priced now: {model}{of}{_owner(incident)}"
    tokens = unpriced_tokens(incident)
    amount = f", {count(tokens)} tokens" if tokens else ""
    opening = (
        f"{per_hour(incident.usd_per_hour)} estimated, without a price" if worth(incident.usd_per_hour) else "No price"
    )
    return f"{opening}: {model}{of}{amount}{_owner(incident)}"


def unpriced_tokens(incident: Incident) -> float:
    """How many tokens have no price, as far as the evidence tells."""
    if incident.unit == "tokens" and incident.observed is not None:
        return incident.observed
    return incident.evidence.get("unpriced_tokens", incident.evidence.get("tokens", 0.0))


def _reconciliation(incident: Incident, resolved: bool) -> str:
    if resolved:
        return f"Estimate and bill agree again: {_tail(incident)}"
    if incident.observed is None or incident.expected is None or not worth(incident.observed - incident.expected):
        off = f"{money(incident.usd_so_far)} between" if worth(incident.usd_so_far) else "Difference between"
        return f"{off} bill and estimate: {_tail(incident)}"
    over = incident.observed - incident.expected
    write = quantity(abs(over), incident.unit)
    side = "more" if over > 0 else "less"
    return (
        f"{write} {side} billed than estimated: {_tail(incident)}, "
        f"{quantity(incident.observed, incident.unit)} against {quantity(incident.expected, incident.unit)}"
    )


_TITLES = {
    Kind.IDLE: _unused,
    Kind.WASTE: _unused,
    Kind.ANOMALY: _anomaly,
    Kind.DRIFT: _drift,
    Kind.BUDGET: _budget,
    Kind.DATA_GAP: _data_gap,
    Kind.UNPRICED: _unpriced,
    Kind.RECONCILIATION: _reconciliation,
}
