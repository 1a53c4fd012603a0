"""Stand-ins for Slack, PagerDuty and the receiver of scale-downs that append all they are asked to files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.fakes.pagerduty import FakePagerDuty
from console.fakes.receiver import SECRET, FakeReceiver
from console.fakes.server import Answer, LocalServer
from console.fakes.slack import FakeSlack

TOKEN, ROUTING_KEY = "xoxb-faults", "R0" + "1" * 30


class Recording(LocalServer):
    """Writes a line for each request that was carried out. Put before the stand-in among the bases."""

    file: Path

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry it out, and write it down with its answer."""
        answer = super().answer(method, path, headers, body)
        line = {
            "path": path,
            "webhook_id": headers.get("webhook-id"),
            "body": json.loads(body) if body.startswith(b"{") else None,
            "status": answer.status,
            "answer": json.loads(answer.body) if answer.body.startswith(b"{") else None,
        }
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return answer


class RecordingSlack(Recording, FakeSlack):
    """Slack."""


class RecordingPagerDuty(Recording, FakePagerDuty):
    """PagerDuty."""


class RecordingReceiver(Recording, FakeReceiver):
    """The receiver of scale-downs."""


@dataclass(frozen=True)
class Recorders:
    """The stand-ins, and what was asked of each."""

    slack: RecordingSlack
    pagerduty: RecordingPagerDuty
    receiver: RecordingReceiver

    def config(self, folder: Path) -> dict[str, Any]:
        """Channels and target of a service that is to use them. Secrets are files in the folder."""
        for name, secret in (("slack", TOKEN), ("pagerduty", ROUTING_KEY), ("receiver", SECRET)):
            (folder / f"{name}-secret").write_text(secret)
        return {
            "channels": [
                {
                    "type": "slack",
                    "name": "slack",
                    "channel": "C1",
                    "token_file": str(folder / "slack-secret"),
                    "base_url": self.slack.base_url,
                },
                {
                    "type": "pagerduty",
                    "name": "pagerduty",
                    "routing_key_file": str(folder / "pagerduty-secret"),
                    "base_url": self.pagerduty.url,
                },
            ],
            "default_route": ["slack", "pagerduty"],
        }

    def target(self, folder: Path) -> dict[str, Any]:
        """The target of scale-downs."""
        return {
            "type": "webhook",
            "url": f"{self.receiver.url}/scale",
            "secret_file": str(folder / "receiver-secret"),
            "allow_insecure_loopback": True,
        }


@contextmanager
def recorders(folder: Path) -> Iterator[Recorders]:
    """All three, as long as the block lasts."""
    made = Recorders(
        RecordingSlack(token=TOKEN, channels={"C1": "ai-cost"}),
        RecordingPagerDuty(routing_key=ROUTING_KEY),
        RecordingReceiver(),
    )
    for name, one in vars(made).items():
        one.file = folder / f"{name}.jsonl"
        one.file.touch()
    with ExitStack() as stack:
        for one in vars(made).values():
            stack.enter_context(one)
        yield made


def lines(file: Path) -> list[dict[str, Any]]:
    """What was written down."""
    return [json.loads(line) for line in file.read_text().splitlines()]
