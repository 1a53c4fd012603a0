"""What a press of a Slack button does: who pressed, on what, whether they may, and what they are told.

A press names nothing itself: the message that it was made on is looked up in the outbox, and what it bears proves what
was shown there. Each press is written to the audit log, and does its work at most once.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec
import structlog
from msgspec import Struct, field

from alerts.incidents import Incident
from alerts.scale_down import Action
from alerts.secrets import Secret
from alerts.slack_buttons import (
    APPROVAL,
    TYPED,
    Ask,
    approval_view,
    is_nonce,
    may_be_approved,
    snoozed_until,
    typed_name,
)
from alerts.slack_text import Block
from alerts.wording import clean
from console.controls import Controls, may_approve
from store.errors import StoreUnavailable
from store.store import Store

log = structlog.get_logger()

LONGEST_BYTES = 1024 * 1024
AWAY = "The service can't reach its store just now: nothing was done. Try again in a minute."
STALE = "This has changed since it was shown. Look at the message again."


class Named(Struct, frozen=True):
    """A user, a channel or a workspace."""

    id: str = ""


class Option(Struct, frozen=True):
    """What was chosen of a menu."""

    value: str = ""


class Pressed(Struct, frozen=True):
    """One press."""

    action_id: str = ""
    value: str = ""
    action_ts: str = ""
    selected_option: Option | None = None


class Container(Struct, frozen=True):
    """Where it was pressed."""

    message_ts: str = ""
    channel_id: str = ""


class Typed(Struct, frozen=True):
    """What was typed into a dialog."""

    value: str | None = None


class ViewState(Struct, frozen=True):
    """All that was typed, by block and action."""

    values: dict[str, dict[str, Typed]] = {}


class View(Struct, frozen=True):
    """A dialog."""

    id: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: ViewState = ViewState()


class Payload(Struct, frozen=True):
    """What Slack says of a press or of a dialog that was sent."""

    type: str
    user: Named = Named()
    team: Named | None = None
    channel: Named = Named()
    container: Container = Container()
    trigger_id: str = ""
    actions: list[Pressed] = []
    view: View = View()
    api_app_id: str = ""


class Signed(Struct, frozen=True):
    """What a dialog bears."""

    action_id: str
    signed: str


class Place(Struct, frozen=True, kw_only=True):
    """A Slack channel with buttons."""

    name: str  # of the channel in the config
    channel: str  # id
    key: Secret  # that its buttons are proved with
    operators: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    workspace: str | None = None
    whisper: Callable[[str, str], None] = field(default=lambda user, words: None)  # tells one user
    open_view: Callable[[str, Block], None] = field(default=lambda trigger, view: None)


class Reply(Struct, frozen=True):
    """The answer to Slack, and what is to be done after it was given."""

    body: bytes = b""
    after: Callable[[], None] | None = None


class SlackPresses:
    """Takes presses, by whichever way they come. `places`: by the id of the Slack channel."""

    def __init__(
        self, store: Store, controls: Controls, places: Mapping[str, Place], clock: Callable[[], datetime]
    ) -> None:
        self._store, self._controls, self._places, self._clock = store, controls, dict(places), clock

    def handle(self, raw: bytes, places: Mapping[str, Place] | None = None) -> Reply:
        """Take one payload. `places`: those that its signature speaks for; None: all. Never raises for its content."""
        try:
            payload = msgspec.json.decode(raw, type=Payload)
        except (msgspec.MsgspecError, RecursionError):
            return Reply()
        known = self._places if places is None else places
        if payload.type == "block_actions" and payload.actions:
            place = known.get(payload.container.channel_id or payload.channel.id)
            return Reply() if place is None else self._press(payload, payload.actions[0], place)
        if payload.type == "view_submission" and payload.view.callback_id == APPROVAL:
            return self._submit(payload, known)
        return Reply()

    def _press(self, payload: Payload, pressed: Pressed, place: Place) -> Reply:
        who, now = f"slack:{payload.user.id}", self._clock()
        try:
            ask = Ask(pressed.action_id)
        except ValueError:
            return Reply()
        try:
            mark = f"{payload.user.id}|{place.channel}|{payload.container.message_ts}|{ask}|{pressed.action_ts}"
            if not self._store.first_press(blake2b(mark.encode(), digest_size=16).hexdigest(), now):
                return Reply()
            reference = f"{place.channel}:{payload.container.message_ts}"
            incident_id = self._store.incident_at(place.name, reference)
            incident = None if incident_id is None else self._store.incident(incident_id)
            if incident is None or not self._of_workspace(payload, place):
                return self._told(place, payload, ask, "unknown", "This message is none of this service's.")
            if not self._may(place, payload.user.id, ask):
                words = "You are not among those who may do that. Ask the owner of the config to add you."
                return self._told(place, payload, ask, incident.incident_id, words, outcome="refused: role")
            if ask is Ask.APPROVE:
                return self._ask(payload, pressed, place, incident)
            choice, _, given = (pressed.selected_option or Option()).value.rpartition(".")
            if not is_nonce(place.key, pressed.value or given, incident.incident_id):
                return self._told(place, payload, ask, incident.incident_id, STALE, outcome="refused: stale")
            done, words = self._do(ask, incident, choice, who, now)
            outcome = "done" if done else "nothing to do"
            return self._told(place, payload, ask, incident.incident_id, "" if done else words, outcome=outcome)
        except StoreUnavailable:
            return Reply(after=lambda: place.whisper(payload.user.id, AWAY))

    def _do(self, ask: Ask, incident: Incident, choice: str, who: str, now: datetime) -> tuple[bool, str]:
        """Carry out what takes no dialog; what it did shows in the message itself."""
        over = "It is over, or someone was faster: nothing was changed."
        if ask is Ask.ACKNOWLEDGE:
            return self._controls.acknowledge(incident.incident_id, who), over
        if ask is Ask.EXPECTED:
            return self._controls.expect(incident.incident_id, who), over
        if ask is Ask.SNOOZE:
            until = snoozed_until(choice, now)
            return until is not None and self._controls.snooze(incident.incident_id, until, who), over
        action = self._store.action_for(incident.incident_id)
        kept = action is not None and self._controls.keep(action.action_id, who)
        return kept, "There is nothing to keep from being stopped any more."

    def _ask(self, payload: Payload, pressed: Pressed, place: Place, incident: Incident) -> Reply:
        """Open the dialog that shows exactly what would be done."""
        action, now = self._store.action_for(incident.incident_id), self._clock()
        if action is None or not may_approve(action, now) or not self._shown(place, pressed.value, incident, action):
            return self._told(place, payload, Ask.APPROVE, incident.incident_id, STALE, outcome="refused: stale")
        view = approval_view(action, pressed.value, now)
        self._store.audit(now, f"slack:{payload.user.id}", str(Ask.APPROVE), action.action_id, "asked to type the name")
        return Reply(after=lambda: place.open_view(payload.trigger_id, view))

    def _submit(self, payload: Payload, places: Mapping[str, Place]) -> Reply:
        """Approve what was shown, by who may, once the name is typed."""
        who, now = f"slack:{payload.user.id}", self._clock()
        try:
            signed = msgspec.json.decode(payload.view.private_metadata, type=Signed)
            action = self._store.action(signed.action_id)
            incident = None if action is None else self._store.incident(action.incident_id)
            if action is None or incident is None:
                return _wrong(STALE)
            found = [one for one in places.values() if self._shown(one, signed.signed, incident, action)]
            allowed = [one for one in found if self._may(one, payload.user.id, Ask.APPROVE)]
            allowed = [one for one in allowed if self._of_workspace(payload, one)]
            typed = payload.view.state.values.get(TYPED, {}).get(TYPED, Typed()).value or ""
            if not found or not may_be_approved(action) or not may_approve(action, now):
                words, outcome = STALE, "refused: stale"
            elif not allowed:
                words, outcome = "You are not among those who may approve a shutdown.", "refused: role"
            elif typed.strip() != typed_name(action):
                words, outcome = f"That is not {clean(typed_name(action), 150)}.", "refused: name"
            elif self._controls.approve(action.action_id, who):
                return Reply(after=lambda: allowed[0].whisper(payload.user.id, f"Approved: {clean(action.workload)}."))
            else:
                words, outcome = "Someone was faster: nothing was changed.", "nothing to do"
            self._store.audit(now, who, str(Ask.APPROVE), action.action_id, outcome)
            return _wrong(words)
        except msgspec.MsgspecError:
            return _wrong(STALE)
        except StoreUnavailable:
            return _wrong(AWAY)

    def _told(
        self, place: Place, payload: Payload, ask: Ask, subject: str, words: str, *, outcome: str = "refused: unknown"
    ) -> Reply:
        user = payload.user.id
        self._store.audit(self._clock(), f"slack:{user}", str(ask), subject, outcome)
        log.info("slack_press", ask=str(ask), subject_id=subject, user=clean(user, 40), outcome=outcome)
        return Reply(after=(lambda: place.whisper(user, words)) if words else None)

    @staticmethod
    def _shown(place: Place, given: str, incident: Incident, action: Action) -> bool:
        return is_nonce(place.key, given, incident.incident_id, action)

    @staticmethod
    def _of_workspace(payload: Payload, place: Place) -> bool:
        return place.workspace is None or (payload.team is not None and payload.team.id == place.workspace)

    @staticmethod
    def _may(place: Place, user: str, ask: Ask) -> bool:
        """Whether this user may: a shutdown only by name, all else by name or, where none is given, by anyone."""
        if not user:
            return False
        return user in place.approvers if ask is Ask.APPROVE else not place.operators or user in place.operators


def _wrong(words: str) -> Reply:
    return Reply(body=msgspec.json.encode({"response_action": "errors", "errors": {TYPED: words}}))
