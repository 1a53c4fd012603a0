"""A receiver of the scale-down webhook as the contract asks for: checks the signature, acts once, refuses the stale."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from alerts.secrets import Secret
from alerts.targets.receiver import receive
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
        now = datetime.fromtimestamp(self._clock(), UTC)
        answer = receive(
            self._secrets,
            headers,
            body,
            now,
            taken=self.received.__contains__,
            generation=lambda asked: self.generations.get(asked.workload),
        )
        if answer.message_id is not None and answer.status != 400:
            self.received.setdefault(answer.message_id, []).append(msgspec.json.decode(body))
        request = answer.request
        if request is not None and request.dry_run:
            self.rehearsed.append(request)
        elif request is not None:
            self.executed.append(request)
            if self._on_executed is not None:
                self._on_executed(request)
        return json_answer(answer.said, status=answer.status)
