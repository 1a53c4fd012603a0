"""The buttons of a Slack message, and the dialog before a shutdown: what is seen there is what is signed. Pure."""

from base64 import b32encode
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from hmac import compare_digest

from msgspec import json

from alerts.action_messages import action_sentence
from alerts.incidents import Incident
from alerts.scale_down import Action, ActionStep, Mode
from alerts.secrets import Secret
from alerts.slack_text import Block, code, escape, fields, paragraph, plain
from alerts.titles import place
from alerts.wording import cap, clean, moment, per_day, per_hour

CONFIRM_TEXT_MAX = 300
MODAL_TITLE_MAX = 24


class Ask(StrEnum):
    """What a press asks for: the `action_id` of its button."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    EXPECTED = "expected"
    KEEP = "keep_running"
    APPROVE = "approve_shutdown"


SNOOZES = {"1h": "for 1 hour", "4h": "for 4 hours", "1d": "for a day", "monday": "until Monday"}
APPROVAL = "approve_shutdown"  # callback_id of the dialog
TYPED = "typed"  # block and action of its only input


def nonce(key: Secret, incident_id: str, action: Action | None = None) -> str:
    """What a button bears: it proves what was shown, and names nothing. With `action`: the action exactly as shown."""
    shown: list[object] = [incident_id]
    if action is not None:
        shown += [action.action_id, action.transition, action.workload, action.usd_per_hour, action.gpus]
        shown += [action.replicas_from, action.replicas_to]
    secret = blake2b(key.reveal().encode()).digest()
    return b32encode(blake2b(json.encode(shown), digest_size=20, key=secret).digest()).decode().lower()


def is_nonce(key: Secret, given: str, incident_id: str, action: Action | None = None) -> bool:
    """Whether a button bears what the present state would be shown with. In constant time."""
    return compare_digest(given.encode(), nonce(key, incident_id, action).encode())


def snoozed_until(choice: str, now: datetime) -> datetime | None:
    """The end of a snooze by its choice, None for one that is not offered."""
    match choice:
        case "1h":
            return now + timedelta(hours=1)
        case "4h":
            return now + timedelta(hours=4)
        case "1d":
            return now + timedelta(days=1)
        case "monday":
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            return midnight + timedelta(days=7 - now.weekday(), hours=9)
        case _:
            return None


def may_be_approved(action: Action) -> bool:
    """Whether a person is asked: only of a proposal, never in observe mode."""
    return action.step is ActionStep.PROPOSED and action.mode is not Mode.OBSERVE


def may_be_kept(action: Action) -> bool:
    """Whether a person may still say no."""
    waits = (ActionStep.WARNED, ActionStep.PROPOSED, ActionStep.APPROVED, ActionStep.RECHECKED)
    return action.step in waits and action.mode is not Mode.OBSERVE


def button_blocks(key: Secret, incident: Incident, action: Action | None) -> list[Block]:
    """The buttons that the state allows; none when there is nothing left to do."""
    value = nonce(key, incident.incident_id)
    shown: list[Block] = []
    if incident.resolved_at is None:
        if incident.acknowledged_at is None:
            shown.append(_button(Ask.ACKNOWLEDGE, "Acknowledge", value, style="primary"))
        if incident.expected_at is None:
            shown.append(_snooze(value))
            shown.append(_button(Ask.EXPECTED, "This was expected", value, confirm=_muted()))
    if action is not None and may_be_kept(action):
        shown.append(_button(Ask.KEEP, "Keep running", value))
    if action is not None and may_be_approved(action):
        signed = nonce(key, incident.incident_id, action)
        shown.append(_button(Ask.APPROVE, "Approve shutdown", signed, style="danger"))
    return [{"type": "actions", "block_id": f"do_{value}", "elements": shown}] if shown else []


def action_in_words(action: Action) -> Block:
    """How the scale-down stands, within the message of its incident."""
    return paragraph(f"Scale-down, {action.step}: {action_sentence(action)}")


def approval_view(action: Action, signed: str, now: datetime) -> Block:
    """The dialog that asks to type the workload's name. `signed`: the nonce of the button that was pressed."""
    back = f"Scale it to {action.replicas_from} replica{'' if action.replicas_from == 1 else 's'} again."
    shown = [
        ("Workload", code(place(action.workload, 120))),
        ("Owner", code(action.team) if action.team else "not known"),
        ("Saves", escape(f"{per_hour(action.usd_per_hour)} ({per_day(action.usd_per_hour)})")),
        ("Effect", escape(f"{action.replicas_from} to {action.replicas_to} replicas, {action.gpus} GPUs")),
        ("Idle for", escape(f"{action.evidence.get('idle_s', 0.0) / 3600:.1f} h")),
        ("To undo", escape(back)),
    ]
    return {
        "type": "modal",
        "callback_id": APPROVAL,
        "private_metadata": json.encode({"action_id": action.action_id, "signed": signed}).decode(),
        "title": plain("Approve shutdown", MODAL_TITLE_MAX),
        "submit": plain("Shut down", MODAL_TITLE_MAX),
        "close": plain("Cancel", MODAL_TITLE_MAX),
        "blocks": [
            fields(shown),
            paragraph(f"{action_sentence(action)} As of {moment(now)}. It is looked at once more before it is done."),
            {
                "type": "input",
                "block_id": TYPED,
                "label": plain("Type the name of the workload", 2000),
                "hint": plain(clean(typed_name(action), 150), 2000),
                "element": {"type": "plain_text_input", "action_id": TYPED, "max_length": 200},
            },
        ],
    }


def typed_name(action: Action) -> str:
    """What must be typed: the last part of the workload's name."""
    return action.workload.rpartition("/")[2] or action.workload


def _button(ask: Ask, label: str, value: str, *, style: str | None = None, confirm: Block | None = None) -> Block:
    button: Block = {"type": "button", "action_id": str(ask), "text": plain(label, 75), "value": value}
    if style is not None:
        button["style"] = style
    return button if confirm is None else button | {"confirm": confirm}


def _snooze(value: str) -> Block:
    options = [{"text": plain(words, 75), "value": f"{choice}.{value}"} for choice, words in SNOOZES.items()]
    return {
        "type": "static_select",
        "action_id": str(Ask.SNOOZE),
        "placeholder": plain("Snooze", 150),
        "options": options,
    }


def _muted() -> Block:
    words = "Nothing more is told of this incident but its end. Others like it are told; a silence mutes those."
    return {
        "title": plain("This was expected?", 100),
        "text": plain(cap(words, CONFIRM_TEXT_MAX), CONFIRM_TEXT_MAX),
        "confirm": plain("Mute it", 30),
        "deny": plain("Cancel", 30),
    }
