"""The few requests that change something: each by POST, from our own page, with the session's proof."""

from collections.abc import Callable
from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from alerts.scale_down import Action
from console.auth import COOKIE, ConsoleAuth
from console.controls import Controls, may_approve, may_keep, may_undo
from console.guard import LOGIN, client_of, with_session
from console.pages import Pages
from console.view import ConsoleView

FORM_BYTES = 16 * 1024
WHO = "console"


class Changes:
    """Acknowledge, approve, keep, undo, log in and out."""

    def __init__(self, view: ConsoleView, auth: ConsoleAuth, pages: Pages, controls: Controls | None) -> None:
        """Changes made through `controls`; without them only log in and log out are left."""
        self._view = view
        self._auth = auth
        self._pages = pages
        self._controls = controls

    def routes(self) -> list[Route]:
        """The routes; another method than POST is answered 405."""
        routes = [Route(LOGIN, self.log_in, methods=["POST"]), Route("/logout", self.log_out, methods=["POST"])]
        if self._controls is not None:
            routes += [
                Route("/incidents/{incident_id}/acknowledge", self.acknowledge, methods=["POST"]),
                Route("/actions/{action_id}/approve", self.approve, methods=["POST"]),
                Route("/actions/{action_id}/keep", self.keep, methods=["POST"]),
                Route("/actions/{action_id}/undo", self.undo, methods=["POST"]),
            ]
        return routes

    async def log_in(self, request: Request) -> Response:
        """A token, typed in, becomes a session."""
        form = await _form(request)
        client = client_of(request)
        if wait_s := self._auth.wait_s(client):
            return self._pages.login(request, 429, f"too many wrong tokens: try again in {wait_s} s")
        if not self._auth.is_token(form.get("token", "").strip()):
            self._auth.failed(client)
            return self._pages.login(request, 401, "that is not the token of this service")
        return with_session(request, self._auth, "/")

    async def log_out(self, request: Request) -> Response:
        """The browser forgets its session."""
        await self._proven(request)
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response

    async def acknowledge(self, request: Request) -> Response:
        """Someone looks after an incident; saying it twice changes nothing."""
        await self._proven(request)
        incident_id = request.path_params["incident_id"]
        controls = self._wanted()
        if not await run_sync(controls.acknowledge, incident_id, WHO):
            raise HTTPException(409, "this incident is over, is acknowledged already, or never was")
        return self._pages.back_to(f"/incidents/{incident_id}")

    async def approve(self, request: Request) -> Response:
        """A proposal is approved, exactly as it was shown."""
        return await self._decide(request, self._may_approve, self._wanted().approve)

    async def keep(self, request: Request) -> Response:
        """A workload is left alone, though its action has gone on since it was shown: a no holds until it is done."""
        return await self._decide(request, may_keep, self._wanted().keep, as_shown=False)

    async def undo(self, request: Request) -> Response:
        """What was stopped is brought back, whether or not it was proven meanwhile."""
        return await self._decide(request, may_undo, self._wanted().undo, as_shown=False)

    def _may_approve(self, action: Action) -> bool:
        return may_approve(action, self._view.now())

    async def _decide(
        self,
        request: Request,
        may: Callable[[Action], bool],
        decide: Callable[[str, str], bool],
        *,
        as_shown: bool = True,
    ) -> Response:
        form = await self._proven(request)
        action_id = request.path_params["action_id"]
        action = await run_sync(self._view.action, action_id)
        if action is None:
            raise HTTPException(404, "there is no action of this id")
        if (as_shown and form.get("transition") != str(action.transition)) or not may(action):
            raise HTTPException(409, "this action has changed since it was shown; look at it again")
        if not await run_sync(decide, action_id, WHO):
            raise HTTPException(409, "this action has been decided already")
        return self._pages.back_to("/actions")

    async def _proven(self, request: Request) -> dict[str, str]:
        """The form, where it is ours. A bearer needs no proof: no browser adds one by itself."""
        form = await _form(request)
        session = request.scope["state"]["session"]
        if session is not None and not self._auth.is_csrf(session, form.get("csrf", "")):
            raise HTTPException(403, "this form is not of your session; load the page again")
        return form

    def _wanted(self) -> Controls:
        if self._controls is None:
            raise HTTPException(404)
        return self._controls


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise HTTPException(413, f"a form has at most {FORM_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=16)
    except ValueError:
        raise HTTPException(400, "this is no form of ours") from None
    return {name: values[-1] for name, values in fields.items()}
