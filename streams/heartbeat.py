"""The dead man's switch: while all is well, something outside is told so; when it hears no more, it calls someone."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog
from msgspec import json

log = structlog.get_logger()


class Answer(Protocol):
    """What became of a beat."""

    @property
    def taken(self) -> bool:
        """Whether it was heard."""

    @property
    def fault(self) -> str:
        """What was wrong, without the address."""


class Heart(Protocol):
    """Where beats go."""

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one."""


class Heartbeat:
    """Beats every so often, unless something is wrong: silence is the alarm."""

    def __init__(self, heart: Heart, every_s: float, unwell: Callable[[], str | None]) -> None:
        """`unwell`: what is wrong, in words; None while all is well."""
        self._heart, self._every_s, self._unwell = heart, every_s, unwell
        self._beat_at: datetime | None = None

    def run(self, now: datetime) -> bool:
        """Beat where it is time and all is well; say whether it was heard."""
        if self._beat_at is not None and 0 <= (now - self._beat_at).total_seconds() < self._every_s:
            return False
        self._beat_at = now
        wrong = self._unwell()
        if wrong is not None:
            log.warning("heartbeat_withheld", reason=wrong)
            return False
        answer = self._heart.post(json.encode({"service": "emberwatch", "at": now}), {})
        if not answer.taken:
            log.warning("heartbeat_unheard", fault=answer.fault)
        return answer.taken
