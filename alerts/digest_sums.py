"""The sums of the weekly digest. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from alerts.digest_lines import Actions, BudgetLine, HeldLine, IdleLine, KindLine, Quality, Spend
from alerts.figures import shown, usd
from alerts.incidents import Incident
from alerts.reasons import Hush
from alerts.scale_down import Action, ActionStep, Mode
from alerts.titles import gpus
from alerts.week import Week
from detectors.findings import Kind

Spending = Mapping[tuple[str | None, str], float]  # (team, workload): USD of one week

NO_TEAM = "no team"
_TEAMS_MAX = 15  # what is beyond is summed up in one line
_MOVED_FROM_USD = 0.01
_DONE = (ActionStep.EXECUTED, ActionStep.VERIFIED, ActionStep.UNDONE)


def spend(name: str, team: str, this_usd: float, last_usd: float) -> Spend:
    """Put the two weeks of one name side by side."""
    change_usd = this_usd - last_usd
    return Spend(
        name=name,
        team=team,
        this_usd=this_usd,
        last_usd=last_usd,
        change_usd=change_usd,
        change_ratio=change_usd / last_usd if last_usd > 0 else None,
    )


def teams(this_week: Spending, last_week: Spending) -> tuple[Spend, ...]:
    """List the teams, the dearest first; those beyond a screen are summed up."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for column, spending in enumerate((this_week, last_week)):
        for (team, _), amount_usd in spending.items():
            sums[shown(team or NO_TEAM)][column] += amount_usd
    lines = [spend(team, team, this_usd, last_usd) for team, (this_usd, last_usd) in sums.items()]
    lines.sort(key=lambda line: (-line.this_usd, line.name))
    rest = lines[_TEAMS_MAX:]
    if not rest:
        return tuple(lines)
    others = spend(f"{len(rest)} others", "", sum(line.this_usd for line in rest), sum(line.last_usd for line in rest))
    return (*lines[:_TEAMS_MAX], others)


def movers(this_week: Spending, last_week: Spending, top: int) -> tuple[Spend, ...]:
    """List the workloads whose spend has changed most, in dollars, up or down."""
    lines = [
        spend(
            shown(workload),
            shown(team or NO_TEAM),
            this_week.get((team, workload), 0.0),
            last_week.get((team, workload), 0.0),
        )
        for team, workload in {*this_week, *last_week}
    ]
    moved = [line for line in lines if abs(line.change_usd) >= _MOVED_FROM_USD]
    return tuple(sorted(moved, key=lambda line: (-abs(line.change_usd), line.name, line.team))[:top])


def lies_in(incident: Incident, week: Week) -> bool:
    """Whether the incident lasted in some part of the week."""
    return incident.began_at < week.end and (incident.resolved_at is None or incident.resolved_at >= week.start)


def usd_in(incident: Incident, week: Week) -> float:
    """The incident's dollars, by the share of its time that lies in the week."""
    last_seen = incident.resolved_at or incident.updated_at
    whole_s = (last_seen - incident.began_at).total_seconds()
    if whole_s <= 0:
        return incident.usd_so_far
    return incident.usd_so_far * min(_hours(incident.began_at, last_seen, week) * 3600.0 / whole_s, 1.0)


def idle_lines(incidents: Iterable[Incident], week: Week) -> list[IdleLine]:
    """List what was paid for and not used, the dearest first."""
    lines = [
        IdleLine(
            incident_id=incident.incident_id,
            workload=shown(incident.workload or incident.model or "unknown"),
            team=shown(incident.team or NO_TEAM),
            cause=incident.cause.replace("_", " "),
            gpus=gpus(incident),
            usd=usd_in(incident, week),
            usd_per_hour=incident.usd_per_hour,
            open=_open(incident, week),
        )
        for incident in incidents
        if incident.kind in (Kind.IDLE, Kind.WASTE)
    ]
    return sorted(lines, key=lambda line: (-line.usd, line.incident_id))


def kinds(incidents: Sequence[Incident], actions: Iterable[Action], week: Week) -> tuple[KindLine, ...]:
    """Count the incidents of each kind and what became of them."""
    acted_on = {action.incident_id for action in actions if action.step in _DONE and action.mode is not Mode.OBSERVE}
    lines = []
    for kind in Kind:
        of_kind = [incident for incident in incidents if incident.kind is kind]
        if of_kind:
            still_open = sum(_open(incident, week) for incident in of_kind)
            lines.append(
                KindLine(
                    kind=kind.replace("_", " "),
                    incidents=len(of_kind),
                    acknowledged=sum(incident.acknowledged_at is not None for incident in of_kind),
                    acted_on=sum(incident.incident_id in acted_on for incident in of_kind),
                    resolved=len(of_kind) - still_open,
                    open=still_open,
                    usd=sum(usd_in(incident, week) for incident in of_kind),
                )
            )
    return tuple(lines)


def held_lines(held: Iterable[tuple[Hush, str]], incidents: Iterable[Incident], week: Week) -> tuple[HeldLine, ...]:
    """Sum up what was held back, by reason, the dearest first; `held`: a reason and the id of an incident."""
    known = {incident.incident_id: incident for incident in incidents}
    by_reason: dict[Hush, list[Incident]] = defaultdict(list)
    for why, incident_id in held:
        if incident_id in known:
            by_reason[why].append(known[incident_id])
    lines = [
        HeldLine(why=why.replace("_", " "), incidents=len(found), usd=sum(usd_in(one, week) for one in found))
        for why, found in by_reason.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.usd, line.why)))


def budget_lines(
    budgets: Iterable[tuple[str, float, float]], forecasts: Iterable[tuple[str, float, float, float]]
) -> tuple[BudgetLine, ...]:
    """Put each budget beside its forecast."""
    known = {name: (p10_usd, p50_usd, p90_usd) for name, p10_usd, p50_usd, p90_usd in forecasts}
    lines = []
    for name, usd_per_month, spent_usd in budgets:
        p10_usd, p50_usd, p90_usd = known.get(name, (None, None, None))
        lines.append(
            BudgetLine(
                name=shown(name),
                usd_per_month=usd_per_month,
                spent_usd=spent_usd,
                p10_usd=p10_usd,
                p50_usd=p50_usd,
                p90_usd=p90_usd,
            )
        )
    return tuple(lines)


def sum_actions(actions: Iterable[Action], incidents: Iterable[Incident], week: Week) -> Actions:
    """Count the actions by how they stand, and their dollars within the week."""
    ends = {incident.incident_id: incident.resolved_at for incident in incidents}
    counts: dict[str, int] = defaultdict(int)
    saved_usd = would_have_saved_usd = 0.0
    for action in actions:
        if action.mode is Mode.OBSERVE:
            if action.proposed_at is not None:
                until = action.at if action.step is ActionStep.KEPT else ends.get(action.incident_id) or week.end
                counts["observed"] += 1
                would_have_saved_usd += action.usd_per_hour * _hours(action.proposed_at, until, week)
            continue
        if action.step in _COUNTED:
            counts[_COUNTED[action.step]] += 1
        if action.step in (ActionStep.VERIFIED, ActionStep.UNDONE):
            until = action.at if action.step is ActionStep.UNDONE else week.end
            saved_usd += action.usd_per_hour * _hours(action.executed_at or action.at, until, week)
    return replace(Actions(saved_usd=saved_usd, would_have_saved_usd=would_have_saved_usd), **counts)


_COUNTED = {
    ActionStep.PROPOSED: "waiting",
    ActionStep.KEPT: "kept",
    ActionStep.VERIFIED: "verified",
    ActionStep.FAILED: "failed",
    ActionStep.UNDONE: "undone",
}


def to_do(
    idle: Sequence[IdleLine], budgets: Sequence[BudgetLine], actions: Actions, quality: Quality
) -> tuple[str, ...]:
    """Say in plain sentences what waits for a person; nothing to say is nothing to do."""
    still = [line for line in idle if line.open]
    pressing = [line for line in budgets if line.outlook in ("broken", "will break")]
    said = []
    if still:
        rate = sum(line.usd_per_hour for line in still)
        said.append(f"Stop or explain what is idle still: {_count(len(still), 'workload')}, {usd(rate)}/h.")
    said += [
        f"Budget {line.name}: {line.outlook}, {usd(line.spent_usd)} of {usd(line.usd_per_month)} spent."
        for line in pressing
    ]
    if actions.waiting:
        said.append(f"Answer {_count(actions.waiting, 'proposal')} to scale down.")
    if actions.failed:
        said.append(f"Look after {_count(actions.failed, 'scale-down')} that did not seem to happen.")
    if quality.unpriced_tokens:
        said.append(f"Give a price to {quality.unpriced_tokens:,} tokens that have none: they are not in these sums.")
    return tuple(said)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _open(incident: Incident, week: Week) -> bool:
    return incident.resolved_at is None or incident.resolved_at >= week.end


def _hours(start: datetime, end: datetime, week: Week) -> float:
    return max((min(end, week.end) - max(start, week.start)).total_seconds(), 0.0) / 3600.0
