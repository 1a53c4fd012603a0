"""The default channel: writes down what would be said, and says nothing to anybody."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import MsgspecError

from alerts.channels.rendering import render
from alerts.notices import Notice, Outcome, Receipt

Line = dict[str, str]


class RecorderChannel:
    """Hands each notice as a line `{at, channel, incident_id, reason, title, text}` to `sink`."""

    def __init__(self, name: str, sink: Callable[[Line], None]) -> None:
        self.name = name
        self._sink = sink

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Write it down; always delivered."""
        text, incident_id = notice.title, notice.subject_id
        try:
            message = render(notice)
            text = message.text
            incident_id = message.action.incident_id if message.action is not None else incident_id
        except MsgspecError:
            pass
        self._sink(
            {
                "at": notice.at.isoformat(),
                "channel": notice.channel,
                "incident_id": incident_id,
                "reason": str(notice.reason),
                "title": notice.title,
                "text": text,
            }
        )
        return Receipt(outcome=Outcome.DELIVERED, reference=reference or notice.notice_id)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """A recorder is never unsure."""
        return Receipt(outcome=Outcome.RETRY)


def to_file(path: Path) -> Callable[[Line], None]:
    """A sink that appends JSON lines to a file, each written whole."""

    def append(line: Line) -> None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    return append
