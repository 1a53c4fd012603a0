"""When the service speaks and when it keeps quiet, and who is told that it lives."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from console.settings_people import ChannelName, check_address
from console.settings_types import Duration, Number, Secret, Section


class Speaking(Section):
    """When the service keeps quiet, and when it speaks again."""

    group_from: int = Field(
        default=5,
        ge=1,
        le=100_000,
        description="So many incidents of one team, cluster and cause are told one by one; more go into one summary.",
    )
    fleet_from: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="So many incidents of one cluster and cause, whosever they are; more go into one summary.",
    )
    group_wait: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="How long the first summary of a group waits for its others.",
    )
    group_interval: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="The time in which those of a group are counted, and between two edits of its summary.",
    )
    storm_from: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="So many incidents may wait for one channel; more are a storm, told in one summary.",
    )
    summary_every: Duration = Field(
        default=timedelta(minutes=1),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="The time between two edits of the summary of a storm.",
    )
    repeat_after: Duration = Field(
        default=timedelta(hours=4),
        ge=timedelta(minutes=5),
        le=timedelta(days=30),
        description="A page that is open and taken by nobody is said again after this long.",
    )
    escalate_after: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(minutes=1),
        le=timedelta(days=7),
        description="A page that nobody has taken for this long is told to `escalate_to` as well.",
    )
    escalate_to: tuple[ChannelName, ...] = Field(
        default=(), description="Names of channels that hear of a page that nobody has taken; none: nobody does."
    )
    pages_max: int = Field(
        default=2,
        ge=1,
        le=10_000,
        description="So many incidents may wake one owner (a team) within `pages_window`.",
    )
    pages_window: Duration = Field(
        default=timedelta(hours=12),
        ge=timedelta(minutes=10),
        le=timedelta(days=30),
        description="The time over which `pages_max` is counted.",
    )
    always_page_usd_per_hour: Number = Field(
        default=1000.0,
        gt=0.0,
        le=1e9,
        description="From this rate on, in USD an hour, a page is told whatever `pages_max` says.",
    )


class Heartbeat(Section):
    """A dead man's switch outside: it calls someone when it hears no more of this service."""

    url: Secret | None = Field(
        default=None, description="Address that is told that all is well (POST), https, as a reference; absent: nobody."
    )
    url_file: Path | None = Field(default=None, description="File that holds the address.")
    every: Duration = Field(
        default=timedelta(minutes=1), ge=timedelta(seconds=10), le=timedelta(hours=1), description="How often."
    )
    allow_insecure_loopback: bool = Field(
        default=False, description="Allow http:// to this machine, for trying it out."
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_address(self.url, self.allow_insecure_loopback)
        return self
