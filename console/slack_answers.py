"""What is said to the one who pressed: a note that only they see, or a dialog. What fails is logged, not repeated."""

import logging
from urllib.parse import urlsplit

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.channels.slack_files import LOOPBACK
from alerts.secrets import Secret
from alerts.slack_text import Block, escape

log = structlog.get_logger()

TIMEOUT_S = 5


class SlackAnswers:
    """Answers within one Slack channel, with its bot token."""

    def __init__(self, token: Secret, channel: str, base_url: str) -> None:
        quiet = logging.Logger("slack", logging.CRITICAL)  # the SDK's own lines may quote payloads
        self._channel = channel
        self._client = WebClient(
            token=token.reveal(), base_url=base_url, timeout=TIMEOUT_S, retry_handlers=[], logger=quiet
        )
        if urlsplit(base_url).hostname in LOOPBACK:
            self._client.proxy = None

    def whisper(self, user: str, words: str) -> None:
        """Tell one user, where the others don't see it."""
        self._call("chat.postEphemeral", {"channel": self._channel, "user": user, "text": escape(words)})

    def open_view(self, trigger_id: str, view: Block) -> None:
        """Open a dialog; Slack takes it for three seconds after the press."""
        self._call("views.open", {"trigger_id": trigger_id, "view": view})

    def _call(self, method: str, body: Block) -> None:
        try:
            self._client.api_call(method, json=body)
        except SlackApiError as error:
            data = getattr(error.response, "data", None)
            code = data.get("error") if isinstance(data, dict) else None
            log.warning("slack_answer_refused", method=method, error=str(code)[:64])
        except (OSError, SlackClientError) as error:
            log.warning("slack_answer_lost", method=method, error=type(error).__name__)
