"""Hours of spend, summed as the pages need them, so that a month of many workloads is read once and kept small."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from console.summary import NO_TEAM
from console.view_store import HourSpend
from detectors.budget import Budget, matches


class Spend(Struct, frozen=True):
    """Exact sums in nano-dollars by (hour, team), and by budget and hour."""

    by_team: dict[tuple[datetime, str], int]
    by_budget: dict[str, dict[datetime, int]]

    def since(self, moment: datetime) -> int:
        """Nano-dollars of all hours from this moment on."""
        return sum(nano for (hour, _), nano in self.by_team.items() if hour >= moment)

    def of_budget(self, budget: Budget, start: datetime, end: datetime) -> dict[datetime, int]:
        """Nano-dollars of a budget's hours in [start, end), in order of time."""
        hours = self.by_budget.get(budget.name, {})
        return {hour: hours[hour] for hour in sorted(hours) if start <= hour < end}


def summed(rows: Iterable[HourSpend], budgets: Sequence[Budget]) -> Spend:
    """Rows of workloads summed by team and by budget."""
    by_team: dict[tuple[datetime, str], int] = {}
    by_budget: dict[str, dict[datetime, int]] = {budget.name: {} for budget in budgets}
    of: dict[tuple[str, str | None], list[dict[datetime, int]]] = {}
    for row in rows:
        team = (row.hour, row.team or NO_TEAM)
        by_team[team] = by_team.get(team, 0) + row.nano_usd
        subject = (row.workload, row.team)
        if subject not in of:
            of[subject] = [by_budget[budget.name] for budget in budgets if matches(budget, *subject)]
        for hours in of[subject]:
            hours[row.hour] = hours.get(row.hour, 0) + row.nano_usd
    return Spend(by_team, by_budget)


def joined(parts: Sequence[Spend]) -> Spend:
    """Parts of different hours as one."""
    by_team: dict[tuple[datetime, str], int] = {}
    by_budget: dict[str, dict[datetime, int]] = {}
    for part in parts:
        by_team |= part.by_team
        for name, hours in part.by_budget.items():
            by_budget[name] = by_budget.get(name, {}) | hours
    return Spend(by_team, by_budget)
