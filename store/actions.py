"""Actions as they stand, the steps they took, and the switch that stops them all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace
from sqlalchemy import Connection, Select, select, update

from alerts.notices import Notice
from alerts.scale_down import Action, ActionStep
from store import tables
from store.database import Part
from store.facts import StatusRow
from store.outbox import write_notices
from store.status import write_statuses
from store.upsert import insert_or_ignore, table_of, upsert

ACTIONS = table_of(tables.Action).c
STEPS = table_of(tables.ActionStep).c
SWITCHES = table_of(tables.Switch).c
COLUMNS = tuple(name for name in Action.__struct_fields__ if name in ACTIONS)
OPEN_STEPS = (
    ActionStep.WARNED,
    ActionStep.PROPOSED,
    ActionStep.APPROVED,
    ActionStep.RECHECKED,
    ActionStep.EXECUTED,
)
PAUSE = "actions_paused"


class ActionStepRow(Struct, frozen=True, kw_only=True):
    """A step that an action took."""

    action_id: str
    step: ActionStep
    at: datetime
    reason: str
    approved_by: str | None


class Pause(Struct, frozen=True, kw_only=True):
    """Whether all actions are stopped; who said so last and when, None where nobody ever did."""

    paused: bool
    by: str | None = None
    at: datetime | None = None


def _row(action: Action) -> dict[str, Any]:
    return {**{name: getattr(action, name) for name in COLUMNS}, "body": json.encode(action).decode()}


def _fetch(connection: Connection, query: Select[Any]) -> list[Action]:
    return [json.decode(body, type=Action) for body in connection.scalars(query)]


class ActionsPart(Part):
    """Writes and reads actions."""

    def save_action(
        self,
        action: Action,
        notices: Sequence[Notice] = (),
        *,
        after: ActionStep | None = None,
        statuses: Sequence[StatusRow] = (),
    ) -> bool:
        """Write the action as it stands, its step (once), notices and statuses, together; say whether that was done.

        With `after`, nothing is written unless that is the step the action stands at: of two who decide at
        the same time, one is told False. An action of a lower transition than the one that is kept is refused too.
        """
        query = select(ACTIONS.step, ACTIONS.transition).where(ACTIONS.action_id == action.action_id).with_for_update()
        with self._database.writing() as connection:
            kept = connection.execute(query).first()
            if kept is not None and kept.transition > action.transition:
                return False
            if after is not None and (kept is None or kept.step != after):
                return False
            upsert(connection, tables.Action, [_row(action)])
            step = {name: getattr(action, name) for name in ActionStepRow.__struct_fields__}
            insert_or_ignore(connection, tables.ActionStep, [step], key=("action_id", "step"))
            write_statuses(connection, statuses)
            write_notices(connection, notices)
            return True

    def note_waiting(self, action: Action, waiting: str) -> None:
        """Keep why the action takes no step just now. Writes nothing where that is known, or it has gone on since."""
        if action.waiting == waiting:
            return
        body = json.encode(replace(action, waiting=waiting)).decode()
        same = (ACTIONS.action_id == action.action_id, ACTIONS.transition == action.transition)
        with self._database.writing() as connection:
            connection.execute(update(table_of(tables.Action)).where(*same).values(body=body))

    def action(self, action_id: str) -> Action | None:
        """Return the action, None where there is none of that id."""
        return next(iter(self._found_actions(select(ACTIONS.body).where(ACTIONS.action_id == action_id))), None)

    def action_for(self, incident_id: str) -> Action | None:
        """Return the incident's latest action, None where it has none."""
        query = select(ACTIONS.body).where(ACTIONS.incident_id == incident_id)
        return next(iter(self._found_actions(query.order_by(ACTIONS.at.desc(), ACTIONS.action_id).limit(1))), None)

    def open_actions(self) -> list[Action]:
        """Return the actions that still have a step to take, in order of time."""
        return self._found_actions(
            select(ACTIONS.body).where(ACTIONS.step.in_(OPEN_STEPS)).order_by(ACTIONS.at, ACTIONS.action_id)
        )

    def actions_since(self, at: datetime) -> list[Action]:
        """Return the actions whose latest step was at that moment or later, in order of time."""
        return self._found_actions(select(ACTIONS.body).where(ACTIONS.at >= at).order_by(ACTIONS.at, ACTIONS.action_id))

    def list_actions(self, limit: int) -> list[Action]:
        """Return actions, the newest first."""
        return self._found_actions(select(ACTIONS.body).order_by(ACTIONS.at.desc(), ACTIONS.action_id).limit(limit))

    def action_steps(self, action_id: str) -> list[ActionStepRow]:
        """Return the steps that the action took, in the order they were written."""
        query = select(table_of(tables.ActionStep)).where(STEPS.action_id == action_id).order_by(STEPS.serial)
        with self._database.reading() as connection:
            return [
                ActionStepRow(
                    action_id=row["action_id"],
                    step=ActionStep(row["step"]),
                    at=row["at"],
                    reason=row["reason"],
                    approved_by=row["approved_by"],
                )
                for row in connection.execute(query).mappings()
            ]

    def paused(self) -> bool:
        """Say whether people have stopped all actions."""
        with self._database.reading() as connection:
            return bool(connection.scalar(select(SWITCHES.is_on).where(SWITCHES.name == PAUSE)))

    def pause(self) -> Pause:
        """Return whether people have stopped all actions, and who said so."""
        query = select(SWITCHES.is_on, SWITCHES.set_by, SWITCHES.set_at).where(SWITCHES.name == PAUSE)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return Pause(paused=False) if row is None else Pause(paused=bool(row[0]), by=row[1], at=row[2])

    def set_paused(self, paused: bool, by: str, at: datetime) -> None:
        """Stop all actions, or let them go on, and note who said so."""
        with self._database.writing() as connection:
            upsert(connection, tables.Switch, [{"name": PAUSE, "is_on": paused, "set_by": by, "set_at": at}])

    def _found_actions(self, query: Select[Any]) -> list[Action]:
        with self._database.reading() as connection:
            return _fetch(connection, query)
