"""What the console reads of the store: the part of it that the pages need, and no more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from alerts.incidents import Incident
from alerts.notices import Notice
from alerts.reasons import Hush
from alerts.scale_down import Action, ActionStep
from alerts.silences import Silence
from alerts.would_stop import WouldStop
from store.facts import ChangeRow, ForecastRow, GapRow, StatusRow, StopRow

State = Literal["open", "resolved"]


class HourSpend(Protocol):
    """What one workload cost in one UTC hour."""

    @property
    def hour(self) -> datetime:
        """Start of the hour."""

    @property
    def workload(self) -> str:
        """Whose spend it is."""

    @property
    def team(self) -> str | None:
        """Who pays, where that is known."""

    @property
    def nano_usd(self) -> int:
        """Exact sum in nano-dollars."""


class SentNotice(Protocol):
    """A row of the outbox: what was or would be sent, and what became of it."""

    @property
    def notice(self) -> Notice:
        """The notice."""

    @property
    def state(self) -> str:
        """What became of it."""

    @property
    def attempts(self) -> int:
        """How often it was tried."""

    @property
    def detail(self) -> str:
        """The channel's last answer, for operators."""

    @property
    def hushed(self) -> Hush | None:
        """Why it was held back, where it was."""


class TakenStep(Protocol):
    """A step that an action took."""

    @property
    def step(self) -> ActionStep:
        """The step."""

    @property
    def at(self) -> datetime:
        """When it was taken."""

    @property
    def reason(self) -> str:
        """Why, in words."""

    @property
    def approved_by(self) -> str | None:
        """Who decided, where a person did."""


class ViewStore(Protocol):
    """What the console reads of the store. Newest first where a list has a limit."""

    def statuses(self) -> Sequence[StatusRow]:
        """Every workload as its latest complete minute shows it."""

    def open_incidents(self) -> Sequence[Incident]:
        """All incidents that are not resolved."""

    def incident(self, incident_id: str) -> Incident | None:
        """One incident, open or not."""

    def list_incidents(self, limit: int, state: State | None = None, kind: str | None = None) -> Sequence[Incident]:
        """Incidents; `state` is open or resolved."""

    def spend_by_hour(self, start: datetime, end: datetime, *, workload: str | None = None) -> Sequence[HourSpend]:
        """Spend of the hours that begin in [start, end)."""

    def latest_forecasts(self) -> Sequence[ForecastRow]:
        """The latest forecast of each workload, budget and period."""

    def reject_counts(self) -> dict[str, int]:
        """Events set aside, by reason."""

    def stops(self) -> Sequence[StopRow]:
        """Partitions that are stopped now."""

    def gaps(self, limit: int) -> Sequence[GapRow]:
        """Messages that were gone from Kafka unread."""

    def notices(self, limit: int, channel: str | None = None, subject_id: str | None = None) -> Sequence[SentNotice]:
        """Rows of the outbox."""

    def silences(self, not_over_at: datetime | None = None) -> Sequence[Silence]:
        """Silences, all of them or those that are not over."""

    def action(self, action_id: str) -> Action | None:
        """One action as it stands."""

    def action_steps(self, action_id: str) -> Sequence[TakenStep]:
        """The steps that an action took, in order."""

    def list_actions(self, limit: int) -> Sequence[Action]:
        """Actions as they stand."""

    def would_stops_between(self, start: datetime, end: datetime) -> Sequence[WouldStop]:
        """What mode auto would have stopped in [start, end) while it was only observed, in order of time."""

    def paused(self) -> bool:
        """Whether all actions have been stopped, by a person or by the breaker."""

    def action_for(self, incident_id: str) -> Action | None:
        """The action of an incident, if there is one."""

    def changes_between(self, start: datetime, end: datetime, workload: str | None = None) -> Sequence[ChangeRow]:
        """What people did in [start, end)."""
