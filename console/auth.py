"""Who may use the console: a token, the session that it is exchanged for, and proof that a change was meant.

The token opens everything. A browser shows it once and gets a session cookie that is signed with it; a program sends
it as a bearer. A second, weaker token may only deliver events. Neither appears in a repr, a log or an answer.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from urllib.parse import urlsplit

COOKIE = "emberwatch_session"
SESSION_S = 12 * 3600
SHORTEST_TOKEN = 16
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
ATTEMPTS = 10
WINDOW_S = 60.0
MOST_CLIENTS = 4096


class ConsoleAuth:
    """Checks tokens, sessions, hosts and origins. All comparisons of secrets take constant time."""

    def __init__(
        self,
        token: str | None,
        *,
        ingest_token: str | None = None,
        allowed_hosts: Iterable[str] = LOOPBACK_HOSTS,
        metrics_open: bool = False,
        clock: Callable[[], float],
    ) -> None:
        """Auth by this token; None turns it off, for whoever already stands behind another gate.

        `allowed_hosts` are names without a port that a Host header may bear; `clock` returns seconds since the epoch.
        Raises ValueError where a token is too short to be one.
        """
        for name, value in (("token", token), ("ingest_token", ingest_token)):
            if value is not None and len(value) < SHORTEST_TOKEN:
                raise ValueError(
                    f"the console's {name} must have at least {SHORTEST_TOKEN} characters, got {len(value)}; "
                    "leave it out to have one made"
                )
        self.metrics_open = metrics_open
        self._token = None if token is None else token.encode()
        self._ingest_token = None if ingest_token is None else ingest_token.encode()
        self._key = self._token or secrets.token_bytes(32)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = Lock()

    def __repr__(self) -> str:
        """Says whether a token is asked for, and never which."""
        return f"ConsoleAuth({'off' if self.off else 'by token'})"

    @property
    def off(self) -> bool:
        """Whether anyone who reaches the port may use it."""
        return self._token is None

    def is_token(self, candidate: str) -> bool:
        """Whether this is the token that opens everything."""
        return self._token is not None and hmac.compare_digest(candidate.encode(), self._token)

    def is_ingest_token(self, candidate: str) -> bool:
        """Whether this is the token that may only deliver events."""
        return self._ingest_token is not None and hmac.compare_digest(candidate.encode(), self._ingest_token)

    def open_session(self) -> str:
        """A cookie's value: when it expires, a nonce, and our signature over both."""
        claim = f"{int(self._clock()) + SESSION_S}.{secrets.token_urlsafe(12)}"
        return f"{claim}.{self._sign('session', claim)}"

    def is_session(self, cookie: str) -> bool:
        """Whether we signed this cookie and it has not expired."""
        claim, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", claim).encode()):
            return False
        expires = claim.partition(".")[0]
        return expires.isascii() and expires.isdigit() and int(expires) > self._clock()

    def csrf(self, cookie: str) -> str:
        """What a form of this session must bring with it."""
        return self._sign("csrf", cookie)

    def is_csrf(self, cookie: str, candidate: str) -> bool:
        """Whether a form was ours and of this session."""
        return hmac.compare_digest(candidate.encode(), self.csrf(cookie).encode())

    def allows_host(self, host: str) -> bool:
        """Whether a Host header names us: a page of another name that points at our address is refused."""
        name = host.lower()
        name = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
        return "*" in self._hosts or name in self._hosts

    @staticmethod
    def is_ours(fetch_site: str | None, origin: str | None, host: str) -> bool:
        """Whether a browser's request comes from our own pages; where nothing tells, it does not."""
        if fetch_site is not None:
            return fetch_site in ("same-origin", "none")
        return origin is not None and bool(host) and urlsplit(origin).netloc.lower() == host.lower()

    def wait_s(self, client: str) -> int:
        """How many seconds this client must wait before it may show a token again; 0 where it may now."""
        with self._lock:
            recent = self._recent(client)
            return 0 if len(recent) < ATTEMPTS else max(1, int(recent[0] + WINDOW_S - self._clock()) + 1)

    def failed(self, client: str) -> None:
        """This client has shown a wrong token."""
        with self._lock:
            self._failures[client] = [*self._recent(client), self._clock()][-ATTEMPTS:]
            self._failures.move_to_end(client)
            if len(self._failures) > MOST_CLIENTS:
                self._failures.popitem(last=False)

    def _recent(self, client: str) -> list[float]:
        after = self._clock() - WINDOW_S
        return [at for at in self._failures.get(client, []) if at > after]

    def _sign(self, purpose: str, claim: str) -> str:
        return hmac.digest(self._key, f"{purpose}|{claim}".encode(), "sha256").hex()
