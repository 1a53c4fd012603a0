"""What a notice is sent as: with the acknowledgement, the snooze and the scale-down that are true by now.

On a channel whose messages are edited in place, an incident and its scale-down are one message.
"""

from collections.abc import Collection

from msgspec import MsgspecError, json
from msgspec.structs import replace

from alerts.incidents import Incident
from alerts.notices import Notice
from alerts.scale_down import Action
from alerts.shown import with_action, with_incident
from store.store import Store
from streams.delivery import Claimed
from streams.speaking import PEOPLE_SET


class Present:
    """Makes notices for the channels whose messages are edited."""

    def __init__(self, store: Store, edited: Collection[str]) -> None:
        """`edited`: names of the channels whose messages are edited in place."""
        self._store, self._edited = store, frozenset(edited)

    def __call__(self, claimed: Claimed) -> tuple[Notice, str | None]:
        """The notice with what is true by now, and the reference of the message that it belongs to."""
        notice, reference = claimed.notice, claimed.reference
        if notice.channel not in self._edited:
            return notice, reference
        try:
            if notice.subject == "incident":
                return self._incident(notice), reference
            if notice.subject == "action":
                return self._action(notice, reference)
        except MsgspecError:
            return notice, reference  # the channel says that it can't be read
        return notice, reference

    def _incident(self, notice: Notice) -> Notice:
        incident = json.decode(notice.body, type=Incident)
        stands = self._store.incident(incident.incident_id)
        if stands is not None:
            incident = replace(incident, **{name: getattr(stands, name) for name in PEOPLE_SET})
        return with_action(notice, incident, self._store.action_for(incident.incident_id))

    def _action(self, notice: Notice, reference: str | None) -> tuple[Notice, str | None]:
        action = json.decode(notice.body, type=Action)
        incident = self._store.incident(action.incident_id)
        if incident is None:
            return notice, reference
        parents = self._store.delivered_references(notice.channel, action.incident_id)
        return with_incident(notice, action, incident), reference or next(iter(parents), None)
