"""A mail server that speaks enough SMTP to take mail, refuse it, or vanish."""

import base64
import binascii
import socketserver
import sys
import threading
from collections import deque
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self, cast

IDLE_MAX_S = 5.0
LINE_MAX_BYTES = 1000  # RFC 5321, 4.5.3.1.6
MAIL_MAX_LINES = 100_000


class FakeSmtp:
    """Keeps `mails`, each as parsed, and `envelopes`, sender and recipients of each.

    `fail_next(kind)` scripts the next conversation: `mail:451`, `rcpt:550`, `data:452`, `body:554` answer that code
    at that point; `drop_before_data` and `drop_after_data` hang up, the latter after the mail has been taken.
    """

    def __init__(self, *, username: str | None = None, password: str | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, tuple[str, ...]]] = []
        self.username, self.password = username, password
        self.lock = threading.RLock()
        self._script: deque[str] = deque()
        self._errors: list[BaseException] = []
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """Where it listens."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The free port that it was given."""
        if self._server is None:
            raise RuntimeError("the server runs only inside its `with` block")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address as people write it."""
        return f"smtp://{self.host}:{self.port}"

    def fail_next(self, kind: str) -> None:
        """Script a failure of the next conversation."""
        with self.lock:
            self._script.append(kind)

    def take_script(self) -> str:
        """The failure scripted for the conversation that begins; empty where there is none."""
        with self.lock:
            return self._script.popleft() if self._script else ""

    def note_error(self, error: BaseException) -> None:
        """Keep what went wrong in a conversation, to raise it at the end."""
        self._errors.append(error)

    def __enter__(self) -> Self:
        self._server = _Server((self.host, 0), _Conversation)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(IDLE_MAX_S)
        if self._errors and error is None:
            raise self._errors[0]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    block_on_close = True
    owner: FakeSmtp

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.owner.note_error(error)


class _Conversation(socketserver.StreamRequestHandler):
    timeout = IDLE_MAX_S

    def handle(self) -> None:
        self.owner = cast(_Server, self.server).owner
        self.point, _, self.code = self.owner.take_script().partition(":")
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.known = self.owner.username is None
        self._say("220 fake.example ESMTP")
        while line := self.rfile.readline(LINE_MAX_BYTES):
            verb, _, rest = line.decode("ascii", "replace").strip().partition(" ")
            if not self._obey(verb.upper(), rest):
                return

    def _obey(self, verb: str, rest: str) -> bool:
        """Answer one command; False ends the conversation."""
        if verb == "QUIT":
            self._say("221 bye")
            return False
        if verb == "DATA":
            return self._data()
        if verb in ("EHLO", "HELO"):
            self._greet(verb)
        elif verb == "AUTH":
            self._auth(rest)
        elif verb in ("NOOP", "RSET"):
            self.sender, self.recipients = (None, []) if verb == "RSET" else (self.sender, self.recipients)
            self._say("250 ok")
        elif not self.known:
            self._say("530 authentication required")
        elif verb == "MAIL" and rest.upper().startswith("FROM:"):
            self._mail(rest)
        elif verb == "RCPT" and rest.upper().startswith("TO:"):
            self._rcpt(rest)
        else:
            self._say("502 not implemented")
        return True

    def _greet(self, verb: str) -> None:
        if verb == "HELO":
            self._say("250 fake.example")
            return
        self._say("250-fake.example")
        if self.owner.username is not None:
            self._say("250-AUTH PLAIN")
        self._say("250 SIZE 10485760")

    def _auth(self, rest: str) -> None:
        scheme, _, given = rest.partition(" ")
        try:
            _, username, password = base64.b64decode(given).decode().split("\0")
        except (binascii.Error, ValueError):
            username, password = "", ""
        self.known = scheme.upper() == "PLAIN" and (username, password) == (self.owner.username, self.owner.password)
        self._say("235 accepted" if self.known else "535 authentication failed")

    def _mail(self, rest: str) -> None:
        if self.point == "mail":
            self._say(f"{self.code} not now")
            return
        self.sender, self.recipients = _address(rest), []
        self._say("250 ok")

    def _rcpt(self, rest: str) -> None:
        if self.sender is None:
            self._say("503 MAIL first")
        elif self.point == "rcpt":
            self._say(f"{self.code} not this one")
        else:
            self.recipients.append(_address(rest))
            self._say("250 ok")

    def _data(self) -> bool:
        if self.sender is None or not self.recipients:
            self._say("503 RCPT first")
            return True
        if self.point == "drop_before_data":
            return False
        if self.point == "data":
            self._say(f"{self.code} no data")
            return True
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline(LINE_MAX_BYTES + 2)) != b".\r\n":
            if not line or not line.endswith(b"\r\n") or len(lines) > MAIL_MAX_LINES:
                self._say("500 a line is too long or not ended by CR LF")
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if self.point == "body":
            self._say(f"{self.code} not this mail")
            return True
        with self.owner.lock:
            self.owner.mails.append(message_from_bytes(b"".join(lines).replace(b"\r\n", b"\n"), policy=policy.default))
            self.owner.envelopes.append((self.sender, tuple(self.recipients)))
        if self.point == "drop_after_data":
            return False
        self._say("250 taken")
        self.sender, self.recipients = None, []
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def _address(rest: str) -> str:
    return rest.partition(":")[2].strip().partition(" ")[0].strip("<>")
