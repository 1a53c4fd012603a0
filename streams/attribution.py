"""Whose is it: the team of a workload, from the event or from the rules of the config, first match wins."""

from fnmatch import fnmatchcase

from msgspec import Struct


class TeamRule(Struct, frozen=True, kw_only=True):
    """Gives a team to what matches all of `match`: globs on cluster, namespace, name, workload or `label.KEY`."""

    match: dict[str, str]
    team: str

    def fits(self, workload: str, labels: dict[str, str] | None) -> bool:
        """Whether every glob matches; an absent label matches nothing. A rule without globs fits everything."""
        cluster, namespace, name = workload.split("/", 2)
        known = {"cluster": cluster, "namespace": namespace, "name": name, "workload": workload}
        for key, glob in self.match.items():
            value = (labels or {}).get(key[6:]) if key.startswith("label.") else known.get(key)
            if value is None or not fnmatchcase(value, glob):
                return False
        return True


class Attribution:
    """Teams by rule; remembers what it decided for workloads without labels."""

    def __init__(self, rules: tuple[TeamRule, ...], limit: int = 200_000) -> None:
        """Rules in order. `limit`: so many decisions are remembered at a time."""
        self.rules, self.limit = rules, limit
        self._by_label = any(key.startswith("label.") for rule in rules for key in rule.match)
        self._known: dict[str, str | None] = {}

    def team(self, workload: str, stated: str | None, labels: dict[str, str] | None) -> str | None:
        """The team of an event: what it states, else the first rule that fits, else None."""
        if stated or not self.rules:
            return stated or None
        if labels and self._by_label:
            return self._decide(workload, labels)
        if workload not in self._known:
            if len(self._known) >= self.limit:
                self._known.clear()
            self._known[workload] = self._decide(workload, None)
        return self._known[workload]

    def _decide(self, workload: str, labels: dict[str, str] | None) -> str | None:
        return next((rule.team for rule in self.rules if rule.fits(workload, labels)), None)
