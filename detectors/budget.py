"""Budgets: when a month's spend will break them, and how sure that is."""

from msgspec import Struct


class Budget(Struct, frozen=True, kw_only=True):
    """A sum for each calendar month over the workloads that match."""

    name: str
    usd_per_month: float
    match: dict[str, str]  # "team", "workload" (glob), "cluster", "namespace"; all must match
    timezone: str = "UTC"
