"""The weekly digest: what was spent, wasted and recovered, as one value that every form is rendered from. Pure."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from alerts import digest_sums as sums
from alerts.digest_lines import Actions, BudgetLine, HeldLine, IdleLine, KindLine, Outlook, Quality, Spend
from alerts.digest_sums import Spending
from alerts.figures import change, usd
from alerts.incidents import Incident
from alerts.reasons import Hush
from alerts.regret import sum_up
from alerts.scale_down import Action
from alerts.week import Week, week_of
from alerts.would_stop import WouldStop


class Digest(Struct, frozen=True, kw_only=True):
    """One week in figures."""

    week: Week
    total: Spend
    wasted_usd: float
    outlook: Outlook | None
    budgets: tuple[BudgetLine, ...]
    teams: tuple[Spend, ...]
    movers: tuple[Spend, ...]
    idle: tuple[IdleLine, ...]
    incidents: tuple[KindLine, ...]
    actions: Actions
    quality: Quality
    held: tuple[HeldLine, ...] = ()  # what was not told one by one, and why
    to_do: tuple[str, ...]  # in words; empty: nothing to do

    @property
    def title(self) -> str:
        """One line that begins with money."""
        ratio = self.total.change_ratio
        against = "" if ratio is None else f" ({change(ratio)} on the week before)"
        return f"{usd(self.total.this_usd)} spent in {self.week.label}{against}, {usd(self.wasted_usd)} wasted"


def compose(
    week: Week,
    *,
    this_week: Spending,
    last_week: Spending,
    incidents: Iterable[Incident] = (),
    actions: Iterable[Action] = (),
    outlook: tuple[float, float, float] | None = None,
    forecasts: Iterable[tuple[str, float, float, float]] = (),
    budgets: Iterable[tuple[str, float, float]] = (),
    quality: Quality | None = None,
    held: Iterable[tuple[Hush, str]] = (),
    stops: Iterable[WouldStop] = (),
    top: int = 5,
) -> Digest:
    """Make the digest of one week.

    `outlook`: p10, p50, p90 of the whole month's spend, in USD; `forecasts`: name of a budget and the same three;
    `budgets`: name, USD a month, USD spent of it so far; `held`: why an incident of this id was held back.
    Incidents and actions outside the week are left out; the dollars of an incident that lasted beyond the week are
    counted by the share of its time that lies in it.
    """
    found = [incident for incident in incidents if sums.lies_in(incident, week)]
    taken = [action for action in actions if (action.warned_at or action.at) < week.end]
    idle = sums.idle_lines(found, week)
    budgeted = sums.budget_lines(budgets, forecasts)
    done = sums.sum_actions(taken, found, week)
    thought_of = [stop for stop in stops if week.start <= stop.at < week.end]
    if thought_of:
        done = replace(done, regret=sum_up(thought_of))
    trust = quality or Quality()
    return Digest(
        week=week,
        total=sums.spend("all", "", sum(this_week.values()), sum(last_week.values())),
        wasted_usd=sum(line.usd for line in idle),
        outlook=None if outlook is None else Outlook(p10_usd=outlook[0], p50_usd=outlook[1], p90_usd=outlook[2]),
        budgets=budgeted,
        teams=sums.teams(this_week, last_week),
        movers=sums.movers(this_week, last_week, top),
        idle=tuple(idle[:top]),
        incidents=sums.kinds(found, taken, week),
        actions=done,
        quality=trust,
        held=sums.held_lines(held, found, week),
        to_do=sums.to_do(idle, budgeted, done, trust),
    )


__all__ = [
    "Actions",
    "BudgetLine",
    "Digest",
    "HeldLine",
    "IdleLine",
    "KindLine",
    "Outlook",
    "Quality",
    "Spend",
    "Spending",
    "Week",
    "compose",
    "week_of",
]
