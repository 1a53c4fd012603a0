"""Presses by Socket Mode: this service calls Slack, so that Slack needs no way in."""

import asyncio
import json
import logging
from typing import Any
from urllib.parse import urlsplit

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from alerts.channels.slack_files import LOOPBACK
from alerts.secrets import Secret
from console.slack_presses import SlackPresses

log = structlog.get_logger()

TRY_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class SlackSocket:
    """One connection of one app; the vendor's client keeps it up."""

    def __init__(self, presses: SlackPresses, app_token: Secret, base_url: str, timeout_s: int = 10) -> None:
        """`base_url`: of the Web API, as the channels' own."""
        self._presses, self._app_token, self._base_url, self._timeout_s = presses, app_token, base_url, timeout_s

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop. While Slack is away it is tried again."""
        quiet = logging.Logger("slack", logging.CRITICAL)  # the SDK's own lines may quote payloads
        web = WebClient(
            token=self._app_token.reveal(), base_url=self._base_url, timeout=self._timeout_s, retry_handlers=[],
            logger=quiet,
        )  # fmt: skip
        client = SocketModeClient(self._app_token.reveal(), logger=quiet, web_client=web, concurrency=2)
        if urlsplit(self._base_url).hostname in LOOPBACK:
            web.proxy = client.proxy = None
        client.socket_mode_request_listeners.append(self._take)
        tries = 0
        try:
            while not stop.is_set():
                try:
                    await asyncio.to_thread(client.connect)
                    log.info("slack_socket_open")
                    await stop.wait()
                except (OSError, SlackApiError, SlackClientError) as error:
                    wait_s = TRY_AGAIN_S[min(tries, len(TRY_AGAIN_S) - 1)]
                    tries += 1
                    log.warning("slack_socket_away", error=_kind(error), tried_again_in_s=wait_s)
                    await _rest(stop, wait_s)
        finally:
            await asyncio.to_thread(client.close)

    def _take(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Answer one envelope, and then do what follows from it. A fault in one ends no other."""
        if request.type != "interactive":
            client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
            return
        reply = self._presses.handle(json.dumps(request.payload).encode())
        payload: dict[str, Any] | None = json.loads(reply.body) if reply.body else None
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=payload))
        if reply.after is not None:
            reply.after()


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _kind(error: Exception) -> str:
    """What went wrong, without addresses or tickets."""
    data = getattr(getattr(error, "response", None), "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) and code.isascii() and len(code) < 65 else type(error).__name__
