"""What people read of an incident: a title, the reason in one sentence, a Slack message, and plain text."""

from alerts.incidents import Incident, Severity
from alerts.partition_stop import place as partition_place
from alerts.reasons import Reason
from alerts.slack_text import Block, code, context, escape, fields, header, link_to, paragraph
from alerts.titles import (
    accelerators,
    broken_on,
    changed,
    interval,
    lasted,
    lost_messages,
    title,
    unpriced_tokens,
    where,
    worth,
)
from alerts.units import suspicion
from alerts.wording import clean, count, day, figure, moment, money, per_day, per_hour, percent, quantity
from detectors.findings import Cause, Kind

__all__ = [
    "changes_in_words",
    "evidence_in_words",
    "evidence_line",
    "plain_text",
    "sentence",
    "slack_blocks",
    "thread_line",
    "title",
]

MESSAGE_TEXT_MAX = 3500

_MARK = {Severity.PAGE: "🔴", Severity.WARN: "🟠", Severity.INFO: "🔵"}
_WHY = {
    Cause.MEMORY_HELD: "memory is held and no work is done",
    Cause.UNALLOCATED: "nobody has asked for them, and they are paid for",
    Cause.NO_TRAFFIC: "no requests arrive, and the accelerators stay",
    Cause.BUSY_NO_OUTPUT: "the accelerators report work, and no tokens come out",
    Cause.SCALE_OUT_NOT_REVERSED: "the load that called for the scale-out has gone, and the replicas have stayed",
    Cause.UTILIZATION: "the accelerators do less for the same money",
    Cause.UNLIKE_PEERS: "they do less than the others of their workload, and the others may wait for them",
}
_ALREADY_SAID = {
    "accelerators",
    "gpus",
    "p10_usd",
    "p50_usd",
    "p90_usd",
    "breach_at_epoch_s",
    "budget_usd",
    "unpriced_tokens",
    "usd_so_far",
    "observed_generation",
    "partition",
    "first_offset",
    "next_offset",
    "most_events",
}
_LABELS = {"families": "kinds of evidence"}
_RATE = {Kind.DATA_GAP: "Not seen", Kind.BUDGET: "Spending now", Kind.UNPRICED: "Estimated"}
_SEEN = {Kind.BUDGET: "Forecast / budget", Kind.DATA_GAP: "Silent for / reports every"}
_EVIDENCE_MAX = 6
_PRICE = "price_"


def sentence(incident: Incident) -> str:
    """Why we think so: the reason, then the figures behind it, in human units."""
    reason = _REASONS[incident.kind](incident)
    figures = evidence_in_words(incident.evidence)
    doubt = suspicion(incident)
    said = f"{reason} ({figures})." if figures else f"{reason}."
    return clean(f"{said} A unit may be wrong: {doubt}." if doubt else said, 600)


def evidence_in_words(evidence: dict[str, float], limit: int = _EVIDENCE_MAX) -> str:
    """The figures that a person can check, at most six; prices stand in the footer."""
    shown = [
        evidence_line(k, v)
        for k, v in evidence.items()
        if k not in _ALREADY_SAID and not k.startswith(_PRICE) and not (k.startswith("unpriced_") and not v)
    ]
    return ", ".join(shown[:limit])


def evidence_line(name: str, value: float) -> str:
    """One piece of evidence in words."""
    return figure(_LABELS.get(name, name), value)


def slack_blocks(incident: Incident, *, link: str | None) -> list[Block]:
    """The incident as Slack blocks: header, figures, reason, what changed, footer. Below 10,000 characters in all."""
    blocks = [
        header(f"{_mark(incident)} {title(incident)}"),
        fields([(label, code(v) if outside else escape(v)) for label, v, outside in _figures(incident)]),
        paragraph(sentence(incident)),
    ]
    if incident.changes:
        blocks.append(paragraph("What changed: " + changes_in_words(incident)))
    if state := state_in_words(incident):
        blocks.append(paragraph(state))
    footer = [code(incident.incident_id), escape(f"{incident.kind} / {incident.cause}")]
    if price := _price(incident):
        footer.append(escape(price))
    footer.append(f"data to {moment(incident.updated_at)}")
    if link:
        footer.append(link_to(link, "open"))
    return [*blocks, context(footer)]


def plain_text(incident: Incident, *, link: str | None = None) -> str:
    """The incident in lines of plain text, for a terminal, a mail, or a Slack that refuses the blocks."""
    lines = [title(incident), ""]
    lines += [f"{label}: {clean(value)}" for label, value, _ in _figures(incident)]
    lines += ["", f"Why: {sentence(incident)}"]
    if incident.changes:
        lines.append(f"What changed: {changes_in_words(incident)}")
    if state := state_in_words(incident):
        lines.append(state)
    price = f", {_price(incident)}" if _price(incident) else ""
    lines += [
        "",
        f"{incident.incident_id}, {incident.kind} / {incident.cause}{price}, data to {moment(incident.updated_at)}",
    ]
    if link:
        lines.append(link)
    return "\n".join(lines)[:MESSAGE_TEXT_MAX]


def thread_line(incident: Incident, reason: Reason | None = None) -> str:
    """What a reply in the incident's thread says: only what is new."""
    if incident.resolved_at is not None:
        cost = f", {money(incident.usd_so_far)} in all" if worth(incident.usd_so_far) else ""
        return f"Resolved after {lasted(incident)}{cost}."
    again = _AGAIN.get(reason) if reason is not None else None
    if again is None and (state := state_in_words(incident)):
        return state
    now = f"{per_hour(incident.usd_per_hour)} now" if worth(incident.usd_per_hour) else ""
    so_far = f"{money(incident.usd_so_far)} so far" if worth(incident.usd_so_far) else ""
    figures = ", ".join(filter(None, (now, so_far)))
    return f"{again or f'Raised to {incident.severity}'}{': ' + figures if figures else ''}."


_AGAIN = {
    Reason.HUSH_ENDED: "No longer held back, and open still",
    Reason.STILL_OPEN: "Still open, and taken by nobody",
    Reason.NOT_ACKNOWLEDGED: "Nobody has taken it",
}


def changes_in_words(incident: Incident) -> str:
    """The changes near in time, at most three, each on at most 200 characters."""
    shown = [clean(change) for change in incident.changes[:3]]
    more = len(incident.changes) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def state_in_words(incident: Incident) -> str:
    """Who has taken it, or that it is over; empty while it is open and nobody has."""
    if incident.resolved_at is not None:
        return f"Resolved at {moment(incident.resolved_at)} after {lasted(incident)}."
    if incident.expected_at is not None:
        return f"Said to be expected{_by(incident.expected_by)} at {moment(incident.expected_at)}."
    if incident.snoozed_until is not None and incident.updated_at < incident.snoozed_until:
        return f"Snoozed{_by(incident.snoozed_by)} until {moment(incident.snoozed_until)}."
    if incident.acknowledged_at is not None:
        return f"Acknowledged{_by(incident.acknowledged_by)} at {moment(incident.acknowledged_at)}."
    return ""


def _by(who: str | None) -> str:
    return f" by {clean(who, 80)}" if who else ""


def _mark(incident: Incident) -> str:
    if incident.resolved_at is not None:
        return "✅"
    if incident.expected_at is not None:
        return "☑"
    if incident.snoozed_until is not None and incident.updated_at < incident.snoozed_until:
        return "💤"
    return "👀" if incident.acknowledged_at is not None else _MARK[incident.severity]


def _price(incident: Incident) -> str:
    """The prices used, where the evidence names them (`price_book_usd_per_hour`)."""
    named = [figure(k.removeprefix(_PRICE), v) for k, v in incident.evidence.items() if k.startswith(_PRICE)]
    return f"price: {', '.join(named[:2])}" if named else ""


def _figures(incident: Incident) -> list[tuple[str, str, bool]]:
    """Label, value, and whether the value is text from outside; at most six."""
    open_now = incident.resolved_at is None
    budget = incident.kind == Kind.BUDGET
    shown: list[tuple[str, str, bool]] = []
    if open_now and worth(incident.usd_per_hour):
        label = _RATE.get(incident.kind, "Burning now")
        day_rate = f" ({per_day(incident.usd_per_hour)})" if abs(incident.usd_per_hour) >= 0.095 else ""
        shown.append((label, per_hour(incident.usd_per_hour) + day_rate, False))
    if worth(incident.usd_so_far) and not budget:
        later = incident.usd_if_ignored
        more = f" ({money(later)} by month end)" if open_now and later is not None and worth(later) else ""
        shown.append(("So far", money(incident.usd_so_far) + more, False))
    if incident.observed is not None:
        seen = quantity(incident.observed, incident.unit)
        unpriced = incident.kind == Kind.UNPRICED
        known = incident.expected is not None and not unpriced
        against = f" / {quantity(incident.expected or 0.0, incident.unit)}" if known else ""
        label = _SEEN.get(incident.kind, "Observed / expected")
        if incident.cause == Cause.POISON:
            seen = f"{incident.observed:,.0f} messages that could not be used"
        if incident.unit == "usd_per_hour_used" and incident.expected is not None:
            label, against = "Used", f" of {per_hour(incident.expected)} paid for"
        shown.append((label if against else "Without a price" if unpriced else "Observed", seen + against, False))
    if budget and open_now and incident.usd_if_ignored is not None and worth(incident.usd_if_ignored):
        shown.append(("Over by month end", money(incident.usd_if_ignored), False))
    shown.append(("Since", f"{moment(incident.began_at)} ({lasted(incident)})", False))
    shown.append(("Team", incident.team, True) if incident.team else ("Team", "not known", False))
    if len(shown) < 6:
        shown.append(("Confidence", percent(incident.confidence), False))
    return shown


def _unused(incident: Incident) -> str:
    why = _WHY.get(incident.cause, "they are paid for and not used")
    kept = "" if incident.resolved_at is None else ", until it ended"
    return f"{accelerators(incident)} of {where(incident)}: {why}, for {lasted(incident)}{kept}"


def _unlike(incident: Incident) -> str:
    why = changed(incident)
    known = f"because of {why}" if why else "and no single cause is known"
    over = incident.resolved_at is not None
    if incident.observed is None or incident.expected is None:
        return f"Spend of {where(incident)} {'was' if over else 'is'} unlike its own past, {known}"
    return (
        f"{where(incident)} {'was' if over else 'is'} at {quantity(incident.observed, incident.unit)} "
        f"where its own past lets us expect {quantity(incident.expected, incident.unit)}, {known}"
    )


def _will_break(incident: Incident) -> str:
    name = clean(incident.budget or where(incident), 80)
    if incident.resolved_at is not None:
        return f"The forecast for budget {name} is below its limit again"
    on = broken_on(incident)
    limit = f" of {money(incident.expected)}" if incident.expected is not None else ""
    when = f" on {day(on)}" if on else " before the month ends"
    return f"At the present pace the limit{limit} of budget {name} is reached{when}{interval(incident)}"


def _not_seen(incident: Incident) -> str:
    if incident.cause == Cause.POISON:
        what = f"{partition_place(incident)[:1].upper()}{partition_place(incident)[1:]}"
        if incident.resolved_at is not None:
            return f"{what} is read again, from where it was stopped; nothing in between was lost"
        return (
            f"{what} held so many unusable messages that it was stopped; nothing of it is judged until it goes on "
            "(`emberwatch dlq list` says what is wrong with them, `emberwatch dlq resume` lets it go on)"
        )
    if incident.source is not None:
        return _gone_unread(incident)
    ended = "came back" if incident.resolved_at is not None else "has not come back"
    return f"{where(incident)} stopped sending and {ended}; nothing is known of it for {lasted(incident)}"


def _gone_unread(incident: Incident) -> str:
    """Nothing that is said of the dollars is certain: what was never read can't be priced."""
    offsets = incident.source.partition("@")[2].replace("-", " to ") if incident.source else ""
    known = incident.evidence.get("may_be_missing_usd")
    dollars = (
        f"at the pace of the day before, about {money(known)} may be missing from every sum, more or less"
        if known is not None
        else "what is missing from the sums can't be told"
    )
    ended = "reading has gone on" if incident.resolved_at is not None else "no message has followed yet"
    return (
        f"Kafka no longer holds {lost_messages(incident)} of {where(incident)} (read up to offset and on from: "
        f"{clean(offsets, 60)}); {ended}; {dollars}"
    )


def _no_price(incident: Incident) -> str:
    model = f"model {clean(incident.model, 80)}" if incident.model else where(incident)
    if incident.resolved_at is not None:
        return f"A price for {model} is known now"
    tokens = unpriced_tokens(incident)
    amount = f"{count(tokens)} tokens of {model} have" if tokens else f"{model} has"
    return f"{amount} no price in the price book or the shipped tables, so this spend is missing from every sum"


def _off(incident: Incident) -> str:
    if incident.observed is None or incident.expected is None:
        return f"The bill of {where(incident)} differs from what was estimated"
    share = ""
    if incident.expected:
        share = f", {percent(abs(incident.observed / incident.expected - 1))} off"
    return (
        f"{quantity(incident.observed, incident.unit)} were billed for {where(incident)} and "
        f"{quantity(incident.expected, incident.unit)} estimated{share}"
    )


_REASONS = {
    Kind.IDLE: _unused,
    Kind.WASTE: _unused,
    Kind.ANOMALY: _unlike,
    Kind.DRIFT: _unlike,
    Kind.BUDGET: _will_break,
    Kind.DATA_GAP: _not_seen,
    Kind.UNPRICED: _no_price,
    Kind.RECONCILIATION: _off,
}
