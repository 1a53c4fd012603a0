"""The console as an ASGI app: pages, JSON, probes, metrics and the door for events, behind one guard."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import msgspec
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from alerts.scale_down import Mode
from console.auth import ConsoleAuth
from console.changes import Changes
from console.controls import Controls
from console.guard import Guard
from console.ingest import BODY_BYTES, Ingest
from console.ingest_metrics import MetricsDoors
from console.metrics_page import metrics_answer
from console.pages import Pages
from console.render import Renderer
from console.slack_door import SlackDoor
from console.view import ConsoleView
from streams.health import Health
from streams.intake import Append

RETRY_S = "5"

Handler = Callable[[Request, Exception], Awaitable[Response] | Response]


def build_app(
    view: ConsoleView,
    auth: ConsoleAuth,
    *,
    health: Health,
    registry: CollectorRegistry,
    renderer: Renderer | None = None,
    mode: Mode = Mode.OBSERVE,
    controls: Controls | None = None,
    append: Append | None = None,
    slack: SlackDoor | None = None,
    body_bytes: int = BODY_BYTES,
    unavailable: tuple[type[Exception], ...] = (),
    version: str = "",
) -> Starlette:
    """The console over `view`.

    `controls` makes its buttons work, `append` takes events in by HTTP; without them neither exists. `slack`
    takes what its buttons say.
    `unavailable` are the errors that mean "the store is away for now": they are answered 503.
    """
    pages = Pages(view, auth, renderer or Renderer(), mode=mode, controls=controls, version=version)
    changes = Changes(view, auth, pages, controls)

    def live(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def ready(request: Request) -> Response:
        readiness = health.readiness()
        body = msgspec.json.encode(readiness)
        return Response(body, 200 if readiness.ready else 503, media_type="application/json")

    def metrics(request: Request) -> Response:
        return metrics_answer(request, registry)

    def refused(request: Request, error: Exception) -> Response:
        fault = cast(HTTPException, error)
        response = pages.problem(request, fault.status_code, fault.detail)
        response.headers.update(fault.headers or {})
        return response

    def away(request: Request, error: Exception) -> Response:
        response = pages.problem(request, 503, "the store can't be reached just now; nothing is lost, try again soon")
        response.headers["retry-after"] = RETRY_S
        return response

    handlers: dict[int | type[Exception], Handler] = {HTTPException: refused, **dict.fromkeys(unavailable, away)}
    return Starlette(
        routes=[
            Route("/livez", live),
            Route("/healthz", live),
            Route("/readyz", ready),
            Route("/metrics", metrics),
            *pages.routes(),
            *changes.routes(),
            *([slack.route()] if slack else []),
            *([Ingest(append, body_bytes).route(), *MetricsDoors(append, body_bytes).routes()] if append else []),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(Guard, auth=auth, login_page=pages.login)],
        exception_handlers=handlers,
    )
