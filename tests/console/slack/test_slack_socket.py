"""Presses by Socket Mode, with the vendor's own client against a server that speaks as Slack does."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.scale_down import ActionStep
from alerts.secrets import Secret
from console.fakes.slack import FakeSlack
from console.slack_socket import SlackSocket
from store.store import Store
from tests.console.slack.pressing import INCIDENT, TOKEN, Room
from tests.console.slack.socket_server import SocketServer
from tests.support.waiting import wait_until


class Renewing(FakeSlack):
    """Gives out a new address for each connection."""

    def __init__(self, server: SocketServer) -> None:
        super().__init__(token=TOKEN)
        self._sockets = server

    def _socket(self, args):
        self.socket_url = self._sockets.address()
        return super()._socket(args)


class Listening:
    """The socket in a loop of its own, as in the service."""

    def __init__(self, room: Room, app_token: str) -> None:
        self._socket = SlackSocket(room.presses, Secret(app_token), room.slack.base_url)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._socket.run(self._stop),))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture
def server() -> Iterator[SocketServer]:
    with SocketServer() as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: SocketServer) -> Iterator[Room]:
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    with Renewing(server) as slack:
        yield Room(store, slack)
    store.close()


def test_presses_and_dialogs_come_in_and_are_answered_in_their_envelopes(room: Room, server: SocketServer):
    message = room.open()
    action = room.propose()
    with Listening(room, room.slack.app_token):
        server.wait(lambda: server.connections == 1)
        server.send("e1", room.payload(message, "acknowledge"))
        server.send("e2", room.payload(message, "approve_shutdown"))
        server.wait(lambda: {"e1", "e2"} <= set(server.answers))
        assert wait_until(lambda: bool(room.slack.views), 100)
        server.send("e3", room.submission("wrong"))
        server.send("e4", room.submission("llama70b"))
        server.wait(lambda: {"e3", "e4"} <= set(server.answers))

    assert server.answers["e1"] is None
    assert server.answers["e3"] == {"response_action": "errors", "errors": {"typed": "That is not llama70b."}}
    assert server.answers["e4"] is None
    assert room.store.incident(INCIDENT.incident_id).acknowledged_by == "slack:U0ANA"
    assert room.store.action(action.action_id).step is ActionStep.APPROVED


def test_an_envelope_delivered_again_after_a_broken_connection_has_one_effect(room: Room, server: SocketServer):
    message = room.open()
    press = room.payload(message, "acknowledge")
    with Listening(room, room.slack.app_token):
        server.wait(lambda: server.connections == 1)
        server.send("e1", press)
        server.wait(lambda: "e1" in server.answers)
        server.drop()
        server.wait(lambda: server.connections == 2)
        server.send("e1b", press)
        server.wait(lambda: "e1b" in server.answers)

    assert [what for _, what, _ in room.log()] == ["acknowledge", "acknowledge"]
    assert room.slack.whispers == []


def test_a_token_that_is_refused_is_said_and_tried_again(room: Room, server: SocketServer, capsys, caplog):
    with Listening(room, "xapp-canary-wrong"):
        assert wait_until(lambda: room.slack.calls.count("apps.connections.open") >= 2, 100)

    said = capsys.readouterr().out + caplog.text  # by way of the one or the other, as logging is configured
    assert "invalid_auth" in said
    assert "canary" not in said
