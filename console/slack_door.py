"""Where Slack delivers presses over HTTP: signed, fresh, at most a megabyte, and answered within its three seconds."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alerts.channels.slack_signature import is_signed
from alerts.secrets import Secret
from console.guard import SLACK
from console.slack_presses import LONGEST_BYTES, Place, SlackPresses

JSON = "application/json"


class SlackDoor:
    """Takes what is signed with one of the apps' secrets, for the channels of that app only."""

    def __init__(
        self,
        presses: SlackPresses,
        apps: Sequence[tuple[Secret, Mapping[str, Place]]],
        clock: Callable[[], float],
    ) -> None:
        """`apps`: signing secrets, each with the channels that it speaks for. `clock`: epoch seconds."""
        self._presses, self._apps, self._clock = presses, tuple(apps), clock

    def route(self) -> Route:
        """The route; another method than POST is answered 405."""
        return Route(SLACK, self.press, methods=["POST"])

    async def press(self, request: Request) -> Response:
        """One press or one dialog."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BYTES:
                return PlainTextResponse("too large\n", 413)
        raw = bytes(body)
        stamp = request.headers.get("x-slack-request-timestamp", "")
        given = request.headers.get("x-slack-signature", "")
        signed = [places for secret, places in self._apps if is_signed(secret, stamp, raw, given, self._clock())]
        if not signed:
            return PlainTextResponse("this is not signed by the Slack app of this service\n", 401)
        try:
            fields = parse_qs(raw.decode("utf-8"), max_num_fields=16)
        except ValueError:
            return PlainTextResponse("this is no form of Slack's\n", 400)
        places = {channel: place for some in signed for channel, place in some.items()}
        payload = fields.get("payload", [""])[-1].encode()
        reply = await run_sync(self._presses.handle, payload, places)
        later = None if reply.after is None else BackgroundTask(run_sync, reply.after)
        return Response(reply.body, 200, media_type=JSON if reply.body else None, background=later)
