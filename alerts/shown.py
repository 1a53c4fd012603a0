"""What a message that is edited in place shows: the incident and its scale-down together, as they stand. Pure."""

import msgspec

from alerts.incidents import Incident
from alerts.notices import Notice
from alerts.scale_down import Action, Mode


class ShownIncident(Incident, frozen=True, kw_only=True):
    """An incident and the scale-down that it led to."""

    action: Action | None = None


class ShownAction(Action, frozen=True, kw_only=True):
    """A scale-down and the incident that it is of."""

    incident: Incident | None = None


def with_action(notice: Notice, incident: Incident, action: Action | None) -> Notice:
    """The notice of an incident, bearing the incident and its action."""
    values = {name: getattr(incident, name) for name in Incident.__struct_fields__}
    body = msgspec.json.encode(ShownIncident(**values, action=_seen(action)))
    return msgspec.structs.replace(notice, body=body)


def with_incident(notice: Notice, action: Action, incident: Incident) -> Notice:
    """The notice of an action, bearing the action and its incident."""
    values = {name: getattr(action, name) for name in Action.__struct_fields__}
    return msgspec.structs.replace(notice, body=msgspec.json.encode(ShownAction(**values, incident=incident)))


def incident_and_action(notice: Notice) -> tuple[Incident | None, Action | None]:
    """What a notice bears. Raises msgspec.MsgspecError where its body is not what the subject says."""
    if notice.subject == "incident":
        incident = msgspec.json.decode(notice.body, type=ShownIncident)
        return incident, incident.action
    if notice.subject == "action":
        action = msgspec.json.decode(notice.body, type=ShownAction)
        return action.incident, action
    return None, None


def _seen(action: Action | None) -> Action | None:
    """What is only observed is nobody's business but the digest's."""
    return None if action is None or action.mode is Mode.OBSERVE else action
