"""A receiver of the scale-down webhook as the contract asks for: checks the signature, acts once, refuses the stale."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from alerts.secrets import Secret
from alerts.targets.signature import SignatureError, verify
from alerts.targets.webhook import Request
from console.fakes.server import Answer, LocalServer, json_answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class FakeReceiver(LocalServer):
    """Keeps `executed`, the requests that were carried out, and `received`, every body by its webhook-id.

    `on_executed` is called with each request that is carried out, so that a demo's controller can scale.
    `generations` maps workloads to their present generation: a request that saw another is refused with 409.
    """

    def __init__(
        self,
        *,
        secrets: tuple[str, ...] = (SECRET,),
        on_executed: Callable[[Request], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.executed: list[Request] = []
        self.rehearsed: list[Request] = []
        self.received: dict[str, list[Any]] = {}
        self.generations: dict[str, str] = {}
        self._secrets = tuple(Secret(secret) for secret in secrets)
        self._on_executed = on_executed
        self._clock = clock

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request: 401 unsigned, 400 unreadable, 409 changed since, 422 expired, else 202."""
        try:
            message_id = verify(self._secrets, headers, body, self._clock())
        except SignatureError:
            return json_answer({"error": "the signature does not hold"}, status=401)
        try:
            request = msgspec.json.decode(body, type=Request)
        except msgspec.MsgspecError:
            return json_answer({"error": "the body is not a scale-down request"}, status=400)
        again = message_id in self.received
        self.received.setdefault(message_id, []).append(msgspec.json.decode(body))
        if again:
            return json_answer({"status": "already taken"}, status=202)
        if datetime.fromtimestamp(self._clock(), UTC) >= request.expires_at:
            return json_answer({"error": "the request has expired"}, status=422)
        seen, now = request.target.observed_generation, self.generations.get(request.workload)
        if seen is not None and now is not None and seen != now:
            return json_answer({"error": "the target has changed since"}, status=409)
        if request.dry_run:
            self.rehearsed.append(request)
            return json_answer({"status": "would be done"}, status=202)
        self.executed.append(request)
        if self._on_executed is not None:
            self._on_executed(request)
        return json_answer({"status": "taken"}, status=202)
