"""Slack's end of Socket Mode: a single-use ticket in the address, hello, envelopes, and an answer to each."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Self

from aiohttp import WSMsgType, web


class SocketServer:
    """Serves in a thread while its `with` block lasts. `answers`: by the id of the envelope."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | None] = {}
        self.connections = 0
        self._tickets: set[str] = set()
        self._socket: web.WebSocketResponse | None = None
        self._loop = asyncio.new_event_loop()
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def address(self) -> str:
        """A new address, good for one connection."""
        ticket = f"ticket-{len(self._tickets)}"
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self._port}/link/?ticket={ticket}"

    def send(self, envelope_id: str, payload: dict[str, Any]) -> None:
        """Deliver an interactive envelope."""
        envelope = {
            "envelope_id": envelope_id,
            "type": "interactive",
            "payload": payload,
            "accepts_response_payload": True,
        }
        assert self._socket is not None
        asyncio.run_coroutine_threadsafe(self._socket.send_json(envelope), self._loop).result(30)

    def drop(self) -> None:
        """Break the connection, as Slack does every few hours."""
        assert self._socket is not None
        asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop).result(30)

    def wait(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Until something is so. Raises AssertionError where it does not come about."""
        with self._heard:
            assert self._heard.wait_for(condition, limit_s)

    async def _serve(self) -> int:
        app = web.Application()
        app.router.add_get("/link/", self._talk)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._socket = socket
        await socket.send_json({"type": "hello", "num_connections": 1})
        self._note(lambda: setattr(self, "connections", self.connections + 1))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                answer = message.json()
                self._note(lambda a=answer: self.answers.__setitem__(a["envelope_id"], a.get("payload")))
        return socket

    def _note(self, change: Callable[[], None]) -> None:
        with self._heard:
            change()
            self._heard.notify_all()
