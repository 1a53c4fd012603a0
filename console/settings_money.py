"""The owner's money: what things cost, who pays, and how much they may."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from console.settings_types import Glob, Moment, Section, Text, Timezone, Usd, fault, shown

BUDGET_LABELS = ("team", "workload", "cluster", "namespace")
OWNER_LABELS = ("cluster", "namespace", "name", "workload")


def _budget_labels(match: dict[str, str]) -> dict[str, str]:
    for label in match:
        if label not in BUDGET_LABELS:
            raise fault(
                f"the label {shown(label)}", f"one of {', '.join(BUDGET_LABELS)}", option=label, known=BUDGET_LABELS
            )
    return match


def _owner_labels(match: dict[str, str]) -> dict[str, str]:
    for label in match:
        if label not in OWNER_LABELS and not re.fullmatch(r"label\.\S+", label):
            raise fault(
                f"the label {shown(label)}",
                f"one of {', '.join(OWNER_LABELS)}, or label.KEY for a label of the event",
                option=label,
                known=OWNER_LABELS,
            )
    return match


class GpuPriceRow(Section):
    """What an hour of one accelerator costs. The first glob that matches wins, of its rows the latest in force."""

    model: Glob = Field(description='Glob on the name that the driver gives the accelerator, such as "*H100*".')
    usd_per_hour: Usd = Field(description="Price of one accelerator for one hour, in USD; exact as written.")
    since: Moment = Field(alias="from", description="In force from this date (midnight UTC) on.")


class TokenPriceRow(Section):
    """What tokens of one model cost. The row that was latest in force at the event's time is used."""

    provider: Text = Field(description="Provider, as the events name it.")
    model: Text = Field(description="Model, as the events name it.")
    since: Moment = Field(alias="from", description="In force from this date (midnight UTC) on.")
    input_usd_per_million: Usd = Field(description="USD for a million input tokens that were not read from a cache.")
    output_usd_per_million: Usd = Field(description="USD for a million output tokens, reasoning included.")
    cache_read_usd_per_million: Usd | None = Field(
        default=None, description="USD for a million tokens read from a cache; absent: as input."
    )
    cache_write_usd_per_million: Usd | None = Field(
        default=None, description="USD for a million tokens written to a cache; absent: as input."
    )


class Prices(Section):
    """The price book. It wins over learnt, reported and shipped prices."""

    gpu: tuple[GpuPriceRow, ...] = Field(default=(), description="Prices of accelerators; the first match wins.")
    tokens: tuple[TokenPriceRow, ...] = Field(default=(), description="Prices of tokens; a row of zeros means free.")


class BudgetRow(Section):
    """A sum for each calendar month, over the workloads that match."""

    name: Text = Field(description="Name of the budget, as messages and incidents show it; unique.")
    match: Annotated[dict[str, Glob], AfterValidator(_budget_labels)] = Field(
        description="What counts: globs on team, workload, cluster, namespace. All must match; {} is all spend."
    )
    usd_per_month: Usd = Field(gt=0, description="The sum for one calendar month, in USD.")
    timezone: Timezone = Field(default="UTC", description="Where the month begins and ends.")


class OwnerRule(Section):
    """Which team a workload belongs to, where the event itself does not say. The first match wins."""

    match: Annotated[dict[str, Glob], AfterValidator(_owner_labels)] = Field(
        description="Globs on cluster, namespace, name, workload or label.KEY. All must match; {} is every workload."
    )
    team: Text = Field(description="The team that owns what matches.")


def names(rows: Any) -> list[Any]:
    """The names that rows of the file bear, with None for rows that have none."""
    return [row.get("name") if isinstance(row, dict) else None for row in rows] if isinstance(rows, list) else []
