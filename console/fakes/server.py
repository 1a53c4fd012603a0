"""A small HTTP server on 127.0.0.1 that can be told to fail in the ways that real ones do."""

import json
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from msgspec import Struct

HANG_MAX_S = 30.0
IDLE_MAX_S = 5.0
BODY_MAX_BYTES = 2 * 1024 * 1024


class Answer(Struct, frozen=True, kw_only=True):
    """What the server says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    named = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Answer(status=status, body=json.dumps(value).encode(), headers=named)


class LocalServer:
    """Serves as long as its `with` block lasts; what goes wrong inside it is raised at the end.

    `fail_next(kind)` scripts the next request. Kinds: `500_before` and `500_after` (answers 500, before or after it
    has carried the request out; any status will do), `timeout_after` (carries it out and never answers),
    `reset_after` (carries it out and breaks the connection), `429:SECONDS`, `ok_false:ERROR` (Slack),
    `status:CODE`, `redirect:URL`, `big` (a body of a megabyte).
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.requests_seen = 0
        self._script: deque[str] = deque()
        self._released = threading.Event()
        self._errors: list[BaseException] = []
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end."""
        if self._server is None:
            raise RuntimeError("the server runs only inside its `with` block")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_next(self, kind: str, times: int = 1) -> None:
        """Script a failure of the next request, or of the next few."""
        with self.lock:
            self._script.extend([kind] * times)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(IDLE_MAX_S)
        if self._errors and error is None:
            raise self._errors[0]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry a request out. Called under the lock."""
        return Answer(status=404)

    def failed(self, kind: str) -> Answer | None:
        """The answer to a scripted failure that is this server's own; None for the others."""
        return None

    def note_error(self, error: BaseException) -> None:
        """Keep what went wrong in a request, to raise it at the end."""
        self._errors.append(error)

    def take(self, handler: "_Handler", method: str, headers: Mapping[str, str], body: bytes) -> None:
        """One request, as scripted."""
        with self.lock:
            self.requests_seen += 1
            kind = self._script.popleft() if self._script else ""
            name, _, given = kind.partition(":")
            scripted = self.failed(kind) or _scripted(name, given)
            done = Answer() if scripted is not None else self.answer(method, handler.path, headers, body)
        if name == "timeout_after":
            self._released.wait(HANG_MAX_S)
        elif name == "reset_after":
            handler.reset()
        elif name.endswith("_after"):
            handler.say(Answer(status=int(name.removesuffix("_after"))))
        else:
            handler.say(scripted or done)


def _scripted(name: str, given: str) -> Answer | None:
    if name == "429":
        return Answer(status=429, headers={"Retry-After": given} if given else {})
    if name == "status":
        return Answer(status=int(given))
    if name == "redirect":
        return Answer(status=302, headers={"Location": given})
    if name == "big":
        return Answer(status=200, body=b"x" * 1_000_000)
    if name.endswith("_before"):
        return Answer(status=int(name.removesuffix("_before")))
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    owner: LocalServer

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.owner.note_error(error)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_MAX_S

    def do_GET(self) -> None:
        self._take("GET")

    def do_POST(self) -> None:
        self._take("POST")

    def _take(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX_BYTES:
            self.say(Answer(status=413))
            return
        body = self.rfile.read(length)
        owner = cast(_Server, self.server).owner
        owner.take(self, method, {k.lower(): v for k, v in self.headers.items()}, body)

    def say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
