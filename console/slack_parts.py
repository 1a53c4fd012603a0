"""The ways by which presses of Slack buttons come in, from the config."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from alerts.secrets import Secret
from console import settings_people as people
from console.controls import Controls
from console.settings import Settings
from console.slack_answers import SlackAnswers
from console.slack_door import SlackDoor
from console.slack_presses import Place, SlackPresses
from console.slack_socket import SlackSocket
from console.ways import SLACK_URL, has_buttons
from store.store import Store


class SlackParts(Struct, frozen=True):
    """A door for HTTP, where a signing secret is known, and a socket for each app-level token."""

    door: SlackDoor | None = None
    sockets: tuple[SlackSocket, ...] = ()


def slack_parts(settings: Settings, store: Store, controls: Controls, clock: Callable[[], datetime]) -> SlackParts:
    """What takes presses; nothing where no Slack channel has buttons."""
    places: dict[str, Place] = {}
    signed: dict[str, dict[str, Place]] = {}
    tokens: dict[str, str] = {}  # app-level token to the address of the API
    for wanted in settings.channels:
        if not isinstance(wanted, people.SlackChannel) or not has_buttons(wanted) or wanted.token is None:
            continue
        token = Secret(wanted.token.get_secret_value())
        address = SLACK_URL if wanted.base_url is None else str(wanted.base_url)
        answers = SlackAnswers(token, wanted.channel, address)
        place = places[wanted.channel] = Place(
            name=wanted.name,
            channel=wanted.channel,
            key=token,
            operators=frozenset(wanted.operators),
            approvers=frozenset(wanted.approvers),
            workspace=wanted.workspace,
            whisper=answers.whisper,
            open_view=answers.open_view,
        )
        if wanted.signing_secret is not None:
            signed.setdefault(wanted.signing_secret.get_secret_value(), {})[wanted.channel] = place
        if wanted.app_token is not None:
            tokens[wanted.app_token.get_secret_value()] = address
    presses = SlackPresses(store, controls, places, clock)
    apps = [(Secret(secret), some) for secret, some in signed.items()]
    return SlackParts(
        SlackDoor(presses, apps, lambda: clock().timestamp()) if apps else None,
        tuple(SlackSocket(presses, Secret(token), address) for token, address in tokens.items()),
    )
