"""The door of the console: every request passes here before anything looks at it."""

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.auth import COOKIE, SESSION_S, ConsoleAuth

PROBES = frozenset({"/livez", "/readyz", "/healthz"})
INGEST, OTLP, WRITE = "/api/v1/events", "/v1/metrics", "/api/v1/write"
DOORS = frozenset({INGEST, OTLP, WRITE})  # for programs that deliver events
SLACK = "/slack/press"  # proved by its signature alone: Slack has no session, and no browser comes here
LOGIN = "/login"
SAFE = frozenset({"GET", "HEAD"})
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

LoginPage = Callable[[Request, int, str], Response]


class Guard:
    """Checks host, token or session, and origin. Probes are open to all; nothing else is, unless auth is off."""

    def __init__(self, app: ASGIApp, auth: ConsoleAuth, login_page: LoginPage) -> None:
        """A door before `app`. `login_page(request, status, what)` is the answer to a browser without a session."""
        self._app = app
        self._auth = auth
        self._login_page = login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        request = Request(scope)
        path = request.scope["path"]

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache" if path.startswith("/static/") else "no-store")
            await send(message)

        scope.setdefault("state", {})["session"] = None
        refusal = None if path in PROBES or path == SLACK else self._refusal(request)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        """None where the request may pass, else the answer to it."""
        path, auth = request.scope["path"], self._auth
        bearer = _bearer(request)
        if bearer is not None:
            if auth.is_token(bearer) or (path in DOORS and auth.is_ingest_token(bearer)):
                return None  # a bearer is no ambient credential: neither host nor origin can be abused
            if not auth.off:
                return self._wrong(request)
        if not auth.allows_host(request.headers.get("host", "")):
            return _problem(403, "this name is not one of the console's own; make it console.public_url")
        if path.startswith("/static/") or (path == "/metrics" and auth.metrics_open):
            return None
        if path in DOORS and not auth.off:
            return _problem(401, "send the token as `Authorization: Bearer ...`", {"www-authenticate": "Bearer"})
        shown = request.query_params.get("token")
        if shown is not None and request.method in SAFE and not auth.off:
            return self._exchange(request, shown)
        if path in DOORS and not any(name in request.headers for name in ("sec-fetch-site", "origin")):
            return None  # auth is off, and no browser sends this
        if request.method not in SAFE and not auth.is_ours(
            request.headers.get("sec-fetch-site"), request.headers.get("origin"), request.headers.get("host", "")
        ):
            return _problem(403, "a change must come from the console's own pages, or bear the token")
        cookie = request.cookies.get(COOKIE, "")
        if auth.off or auth.is_session(cookie):
            request.scope["state"]["session"] = "" if auth.off else cookie
            return None
        return None if path == LOGIN and request.method == "POST" else self._unknown(request)

    def _exchange(self, request: Request, shown: str) -> Response:
        """The token of the URL becomes a cookie, and leaves the URL."""
        client = client_of(request)
        if wait_s := self._auth.wait_s(client):
            return self._login_page(request, 429, f"too many wrong tokens: try again in {wait_s} s")
        if not self._auth.is_token(shown):
            return self._wrong(request)
        rest = [
            (name, value)
            for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"))
            if name != "token"
        ]
        return with_session(request, self._auth, here(request.scope["path"], urlencode(rest)))

    def _wrong(self, request: Request) -> Response:
        client = client_of(request)
        if wait_s := self._auth.wait_s(client):
            return _problem(429, f"too many wrong tokens: try again in {wait_s} s", {"retry-after": str(wait_s)})
        self._auth.failed(client)
        if _bearer(request) is None:
            return self._login_page(request, 401, "that is not the token of this service")
        return _problem(401, "that is not the token of this service", {"www-authenticate": "Bearer"})

    def _unknown(self, request: Request) -> Response:
        if request.scope["path"].startswith("/api/") or request.scope["path"] == "/metrics":
            return _problem(401, "send the token as `Authorization: Bearer ...`", {"www-authenticate": "Bearer"})
        return self._login_page(request, 401, "")


def with_session(request: Request, auth: ConsoleAuth, path: str) -> Response:
    """Send the browser to `path` with a new session."""
    response = RedirectResponse(path, status_code=303)
    response.set_cookie(
        COOKIE,
        auth.open_session(),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )
    return response


def here(path: str, query: str = "") -> str:
    """A place on this service and nowhere else: what a redirect may name."""
    path = "/" + path.lstrip("/\\")
    return quote(path, safe="/") + (f"?{query}" if query else "")


def client_of(request: Request) -> str:
    """The address whose attempts are counted together."""
    return request.client.host if request.client else ""


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _problem(status: int, what: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": what}, status, headers)
